"""One process's share of a step that several take together, each in `torch.distributed`'s group.

Everything random in a step is drawn by every process as if it were alone, for all rows, and each keeps its own rows:
the step is then the same for one process and for many, up to the order in which floating-point numbers are added. The
gradients are added by hand, in one piece, for parts of a model (text encoder, stage) run at different times and torch's
DistributedDataParallel wants one module with one forward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from .job import InvalidTrainingJob, TrainingJob


@dataclass(frozen=True, slots=True)
class Share:
    """Args:
    rank: of this process, from 0; count: of processes.
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def of_group(cls) -> Share:
        """Of the group that this process is in; the whole where it is in none."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    def rows(self, batch_size: int) -> range:
        """Which rows of a step's batch are this process's.

        Raises:
            InvalidTrainingJob: they cannot be divided evenly.
        """
        if batch_size % self.count:
            raise InvalidTrainingJob(
                f"batch_size must be a multiple of the number of workers, got {batch_size} and {self.count}"
            )
        each = batch_size // self.count
        return range(self.rank * each, (self.rank + 1) * each)

    def check(self, job: TrainingJob) -> None:
        """Raises:
        InvalidTrainingJob: the job cannot be shared by so many.
        """
        self.rows(job.batch_size)
        if self.count > 1 and not job.can_be_shared:
            raise InvalidTrainingJob("captioners and text encoders are trained by one worker; leave --workers out")

    def draw(self, make: Callable[[int], Tensor], rows: int) -> Tensor:
        """This process's `rows` rows of what `make` draws for those of all processes."""
        return make(rows * self.count)[self.rank * rows : (self.rank + 1) * rows]

    def average(self, parameters: Iterable[nn.Parameter], loss: Tensor) -> float:
        """Put the mean of all processes' gradients into the place of this one's; returns the mean of their losses.

        A parameter that the step did not reach has no gradient in any process.
        """
        if self.count == 1:
            return float(loss.detach())
        reached = [parameter.grad for parameter in parameters if parameter.grad is not None]
        whole = torch.cat([*(one.flatten().float() for one in reached), loss.detach().float().view(1)])
        distributed.all_reduce(whole)
        whole /= self.count
        for one, part in zip(reached, whole[:-1].split([one.numel() for one in reached]), strict=True):
            one.copy_(part.view_as(one))
        return float(whole[-1])

    def check_same(self, what: str, value: int, device: torch.device) -> None:
        """Raises:
        InvalidTrainingJob: the processes disagree, for they do not read the same folder.
        """
        if self.count == 1:
            return
        both = torch.tensor([value, -value], device=device)
        distributed.all_reduce(both, distributed.ReduceOp.MAX)
        if int(both[0]) != value or int(both[1]) != -value:
            raise InvalidTrainingJob(
                f"the workers find different {what} in output ({value}, others); give a folder that all nodes share"
            )


WHOLE = Share()

"""Everything that stops a job, as one tree. A row that fails is data in the manifest and never appears here.

Each message names the value, the limit and the remedy, and is meant to be printed as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from imagen_model.generation import ErrorCode

# Errors of the row itself: the table is pinned, so a retry meets them again.
OWN_FAULT = {
    ErrorCode.EMPTY_PROMPT,
    ErrorCode.PROMPT_TOO_LONG,
    ErrorCode.INVALID_SIZE,
    ErrorCode.INVALID_PARAMETER,
    ErrorCode.INVALID_ROW,
}


class PipelineError(Exception):
    """Whatever stops a job."""


class SetupError(PipelineError):
    """The job cannot start; nothing was generated."""


class InvalidJob(SetupError):
    """A setting of the job is out of range or does not fit the model."""


class NoCluster(InvalidJob):
    """No Ray cluster answers at the address."""


class TableError(SetupError):
    """The prompt table cannot be read as one."""


class NoFilesMatch(TableError):
    """The path, folder or glob names no file."""


class UnreadableTable(TableError):
    """A file of the table is truncated, foreign or not readable."""


class EmptyTable(TableError):
    """The table has no row."""


class NoPromptColumn(TableError):
    """No column is known to hold the prompts."""


class SchemaConflict(TableError):
    """Two files of the table give the same column different types."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that differs from the stored plan."""

    field: str
    planned: str
    now: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.field}: planned {self.planned}, now {self.now}; {self.remedy}"


class PlanMismatch(SetupError):
    """The output folder holds another run."""

    def __init__(self, output: str, differences: Sequence[Difference]) -> None:
        super().__init__(output, differences)
        self.output = output
        self.differences = tuple(differences)

    def __str__(self) -> str:
        lines = "\n".join(f"  {difference}" for difference in self.differences)
        return f"{self.output} holds a run with other settings; give another output folder, or:\n{lines}"


class WeightsError(SetupError):
    """A model's files cannot be fetched or kept, or are not those that the run began with."""


class ForeignOutput(SetupError):
    """The output folder holds files that no run of this program wrote."""


class NoPlan(SetupError):
    """The folder holds no run."""


class OutputLocked(SetupError):
    """Another run is writing to the output."""


class StoreError(PipelineError):
    """The output as a whole cannot be written to or read from."""


class StoreFull(StoreError):
    """No space, or no quota, is left."""


class StoreDenied(StoreError):
    """Permission is missing."""


class NoSuchBucket(StoreDenied):
    """The bucket of an S3 URL is not there."""


class StoreUnavailable(StoreError):
    """An operation kept failing after its retries."""


class TooManyFailures(PipelineError):
    """The failure budget is exceeded; finished shards stay."""


class Stopped(PipelineError):
    """Somebody asked the run to stop; shards that had begun were finished."""


class EndpointUnavailable(PipelineError):
    """The server that makes a job's pictures does not answer, or refuses everything."""


class WorkersFailed(PipelineError):
    """A worker could not load the model, or met an error that is no row's."""

"""Calls the generator so that nothing it does to one request reaches its neighbours."""

from __future__ import annotations

from collections.abc import Sequence

from imagen_model.generation import ErrorCode, Failure, GenerationRequest, Generator, Result

from .errors import PipelineError


def generate(generator: Generator, requests: Sequence[GenerationRequest]) -> list[Result]:
    """One result for each request, in order. What raises is halved down to the request that raises alone."""
    try:
        results = generator.generate(requests)
        if len(results) != len(requests):
            raise RuntimeError(f"the model gave {len(results)} results for {len(requests)} requests")
        return results
    except PipelineError:
        raise  # of a model that is a server: no request's fault
    except Exception as error:
        # Halved outside of the handler, so that the traceback's hold on GPU memory is gone by then.
        failure = None if len(requests) > 1 else failure_of(error)
    if failure is not None:
        return [failure]
    middle = len(requests) // 2
    return [*generate(generator, requests[:middle]), *generate(generator, requests[middle:])]


def failure_of(error: Exception) -> Failure:
    text = f"{type(error).__name__}: {error}"
    # By name: torch is not imported here, and `torch.OutOfMemoryError` has lived in more than one module.
    if isinstance(error, MemoryError) or any("OutOfMemory" in kind.__name__ for kind in type(error).__mro__):
        message = f"one picture alone does not fit into memory ({text}); use a smaller size"
        return Failure(ErrorCode.OUT_OF_MEMORY, message)
    return Failure(ErrorCode.GENERATION_FAILED, f"the model failed ({text}); run retry, or change the row")

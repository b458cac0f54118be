"""The online door: the same generator as the batch pipeline's, behind Ray Serve and OpenAI's Images API.

`serve run pipelines.online:build_app model=imagen-small` starts here, and so does `imagegen serve`.
"""

from __future__ import annotations

from typing import Any

__all__ = ["build_app"]


def __getattr__(name: str) -> Any:
    # Ray takes a second to import; the batcher and the schemas do without.
    if name == "build_app":
        from .deployments import build_app

        return build_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

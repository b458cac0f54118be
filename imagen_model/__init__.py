"""Imagen: a model that draws pixel after pixel what a prompt says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import ImagenConfig
    from .imagen import Imagen

__all__ = ["Imagen", "ImagenConfig"]


def __getattr__(name: str) -> Any:
    # torch and transformers take seconds to import; a driver that only needs the request type pays nothing.
    if name == "Imagen":
        from .imagen import Imagen

        return Imagen
    if name == "ImagenConfig":
        from .config import ImagenConfig

        return ImagenConfig
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The page at `/`, where its folder is there: a handful of files, read once."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response

from .errors import ApiError

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
HEADERS = {
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
}


def add_page(app: FastAPI) -> None:
    """`GET /` and `GET /page/{name}`; nothing where there is no page."""
    if not (FOLDER / "index.html").is_file():
        return
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}

    @app.get("/", include_in_schema=False)
    async def index() -> Response:
        return file("index.html")

    @app.get("/page/{name}", include_in_schema=False)
    async def file_of_the_page(name: str) -> Response:
        return file(name)

    def file(name: str) -> Response:
        if name not in files:
            raise ApiError(404, "unknown_url", f"the page has no file {name!r:.80}")
        return Response(files[name], headers={**HEADERS, "content-type": TYPES[Path(name).suffix]})

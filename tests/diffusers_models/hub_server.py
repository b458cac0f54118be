"""As much of the hub's protocol as its client needs to fetch a model: one repository on this machine's own address."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

COMMIT = hashlib.sha1(b"the only commit").hexdigest()


@contextmanager
def hub_of(folder: Path, repository: str, revisions: set[str], gated: str) -> Iterator[tuple[str, list[str]]]:
    """The hub's address, and the names of the files that were fetched so far.

    Args:
        folder: of the repository's files.
        repository, revisions: by which it is known; all revisions are one commit.
        gated: a repository whose terms nobody has accepted.
    """
    fetched: list[str] = []

    class Hub(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0].strip("/")
            if path.startswith((gated, f"api/models/{gated}")):
                return self.send(403, b"", {"X-Error-Code": "GatedRepo"}, with_body)
            asked = re.fullmatch(rf"api/models/{repository}/(revision|tree)/([^/]+)", path)
            if asked is not None and asked[2] in revisions:
                files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
                names = {file.relative_to(folder).as_posix(): file.stat().st_size for file in files}
                about: object = {"id": repository, "sha": COMMIT, "siblings": [{"rfilename": name} for name in names]}
                if asked[1] == "tree":
                    about = [{"type": "file", "path": name, "size": size, "oid": ""} for name, size in names.items()]
                return self.send(200, json.dumps(about).encode(), {"Content-Type": "application/json"}, with_body)
            if path.startswith(f"{repository}/resolve/"):
                revision, _, name = path.removeprefix(f"{repository}/resolve/").partition("/")
                if revision in revisions and not (folder / name).is_file():
                    return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, with_body)
                if revision in revisions:
                    content = (folder / name).read_bytes()
                    if with_body:
                        fetched.append(name)
                    tag = hashlib.sha1(content).hexdigest()
                    return self.send(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT}, with_body)
                return self.send(404, b"", {"X-Error-Code": "RevisionNotFound"}, with_body)
            return self.send(404, b"", {"X-Error-Code": "RepoNotFound"}, with_body)

        def send(self, status: int, body: bytes, headers: dict[str, str], with_body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", fetched
    finally:
        server.shutdown()
        thread.join()

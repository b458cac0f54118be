"""`imagegen serve` with the obedient model in the place of a real one: drive.py FOLDER [port=PORT] [NAME=VALUE ...]"""

from __future__ import annotations

import sys

import jobs.serve
from jobs.exit_codes import leave
from tests.online.obedient import ObedientSource

if __name__ == "__main__":
    folder, *given = sys.argv[1:]
    jobs.serve.find_source = lambda name, options: ObedientSource(folder)
    flags = dict(pair.split("=", 1) for pair in given)
    port = int(flags.pop("port", "0"))
    leave(jobs.serve.serve_command({"model": "obedient", **flags}, "127.0.0.1", port, False, None))

"""Seconds of a core, as Linux counts them: what this program's processes took, and what others took meanwhile.

Beside images a second they say whether the machine was quiet, and where a part of it went.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """A moment's counts, in seconds of a core.

    Args:
        ours: of this process and all below it that live.
        here: of this process alone.
        busy: of the whole machine.
    """

    ours: float
    here: float
    busy: float

    def __sub__(self, before: Cores) -> Cores:
        return Cores(self.ours - before.ours, self.here - before.here, self.busy - before.busy)


def count_cores() -> Cores:
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with suppress(OSError):  # it has ended
                _, _, fields = (folder / "stat").read_text().rpartition(")")  # the program's name may hold anything
                _, parent, *others = fields.split()
                parents[int(folder.name)] = int(parent)
                spent[int(folder.name)] = (int(others[9]) + int(others[10])) / os.sysconf("SC_CLK_TCK")
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    user, nice, system, _idle, _waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:])
    busy = (user + nice + system + sum(rest[:2])) / os.sysconf("SC_CLK_TCK")  # not what a hypervisor kept to itself
    return Cores(sum(spent[pid] for pid in own if pid in spent), spent[os.getpid()], busy)

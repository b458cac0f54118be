"""What a command is at before there is progress to show: "starting Ray", "loading imagen-small".

Steps are records of a logger, so that nothing has to be handed through: whoever wants them adds a handler, as the
command line does (`jobs/progress_line.py`), and whoever wants quiet raises the logger's level.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("imagegen.steps")


def step(text: str) -> None:
    """The step that begins now; it lasts until the next one."""
    logger.info(text)

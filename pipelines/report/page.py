"""Renders the page. Jinja2 escapes every value: prompts, names and messages are anybody's text.

The page holds its style and script within itself; a content policy lets nothing else run, by a nonce that is a hash
of the content, so that the same output gives the same bytes. `report.html` is the template.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ..card import dataset_title
from ..encoding import EXTENSIONS
from ..formats import output_format
from ..formats.imagefolder import IMAGES
from ..words import cut, duration, number, seconds
from .chunks import CHUNK, Chunk, script_json
from .contents import failure_group, figures, run_context, settings, shown_note, state_of, tabs
from .distributions import distributions, facets
from .runs import STEPS, run_views
from .sprites import ACROSS, BLOCK, GUTTER, SPRITES
from .survey import Survey

FOLDER = Path(__file__).parent / "page"
# The server's page and this one share their colours and the reader's choice between light and dark.
SHARED = Path(__file__).parents[1] / "online/page"
SCRIPTS = ("data.js", "filters.js", "gallery.js", "viewer.js", "page.js")
MOST_CHARTS = 10  # runs that are drawn; a table lists all


def render(survey: Survey, url: str, chunks: Sequence[Chunk], price: float | None = None) -> str:
    """Args:
    url: of the output, as commands are given it.
    price: of a GPU-hour; None for what each run was told.
    """
    runs = run_views(survey.history, survey.passes, survey.running, price)
    about = script_json(about_of(survey, chunks))
    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "cut": cut,
        "duration": duration,
        "number": number,
        "seconds": seconds,
        "with_code": with_code,
    }
    return environment.get_template("report.html").render(
        nonce=hashlib.sha256(about.encode()).hexdigest()[:32],
        theme=own_text(SHARED / "theme.js"),
        style=own_text(SHARED / "palette.css") + own_text(FOLDER / "style.css"),
        script=Markup('(() => {\n"use strict";\n') + Markup("\n").join(own_text(FOLDER / n) for n in SCRIPTS) + "})();",
        about=Markup(about),
        title=dataset_title(survey.plan),
        as_of=survey.as_of,
        state=state_of(survey),
        figures=figures(survey, runs),
        tabs=tabs(survey, runs),
        shown_note=shown_note(survey),
        failures=[failure_group(survey, url, code, count) for code, count in survey.census.codes.most_common()],
        runs=[run_context(view) for view in runs],
        most_charts=MOST_CHARTS,
        steps=STEPS,
        priced=any(view.cost for view in runs),
        on_gpus=any(view.gpu_hours for view in runs),
        spreads=distributions(survey.rows, survey.schema) if survey.schema else [],
        settings=settings(survey, url),
    )


def with_code(text: str) -> Markup:
    """Text in which `what stands so` is code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def own_text(path: Path) -> Markup:
    return Markup(path.read_text(encoding="utf-8"))


def about_of(survey: Survey, chunks: Sequence[Chunk]) -> dict[str, Any]:
    """What the page's script is told."""
    layout = survey.plan.output_format
    return {
        "items": survey.rows.num_rows,
        "chunks": [chunk.key for chunk in chunks],
        "chunk_rows": CHUNK,
        "block": BLOCK,
        "across": ACROSS,
        "gutter": GUTTER,
        "sprites": SPRITES,
        "folder": IMAGES if layout == "imagefolder" else None,
        "archives": "" if layout == "imagefolder" else output_format(layout).files,
        "extension": EXTENSIONS[survey.plan.settings.image_format],
        "codes": [code for code, _ in survey.census.codes.most_common()],
        "facets": facets(survey.rows, survey.schema) if survey.schema else [],
    }

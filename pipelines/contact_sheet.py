"""A PDF of all pictures of a finished run with their numbers and prompts: OUTPUT/contact-sheet.pdf.

The same run gives the same bytes. Text is text in it, to be searched and copied. Letters beyond Latin are set in
Adobe's standard Chinese font, which PDF readers bring themselves, so that no font has to be shipped.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image

from .errors import InvalidJob
from .formats import output_format
from .formats.layout import Picture
from .manifest import SUCCESS, Entry, finished_shards, read_manifest
from .plan import load_plan
from .storage import open_store

CONTACT_SHEET = "contact-sheet.pdf"
MAX_PICTURES = 5_000  # a sheet beyond is for nobody to look through
WIDTH, HEIGHT = 595.3, 841.9  # points: A4
MARGIN, HEAD, GAP, SPACE = 40.0, 24.0, 12.0, 4.0  # points; the last between a picture and its caption
CAPTION_LINES, LEADING = 4, 11.0
FONT, OTHER_FONT = "Helvetica", "STSong-Light"
LONGEST_SIDE = 800  # pixels of a picture in the PDF


def write_contact_sheet(output: str, title: str, columns: int, rows: int) -> str:
    """Args:
        output: folder or URL of a finished run.
        columns, rows: pictures on a page.

    Returns:
        Where the sheet is.

    Raises:
        InvalidJob: there are too many pictures.
    """
    store = open_store(output)
    plan = load_plan(store)
    layout = output_format(plan.output_format)

    def pictures() -> Iterator[Picture]:
        for shard in sorted(finished_shards(store)):
            entries = read_manifest(store, shard).to_pylist()
            found = iter(layout.pictures(store, shard, [one for one in entries if one["status"] == SUCCESS]))
            for entry in entries:
                yield next(found) if entry["status"] == SUCCESS else (entry, None)

    if plan.rows > MAX_PICTURES:
        raise InvalidJob(f"a contact sheet has at most {MAX_PICTURES:,} rows, the run has {plan.rows:,}; leave it out")
    with tempfile.TemporaryDirectory(prefix="imagegen-") as folder:
        path = Path(folder) / CONTACT_SHEET
        draw(pictures(), title, Grid(columns, rows), path)
        store.put_file(CONTACT_SHEET, path)
    return store.child_url(CONTACT_SHEET)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where a page's cells are. All lengths are in points, from the lower left corner of an A4 page."""

    columns: int
    rows: int

    @property
    def cell_width(self) -> float:
        return (WIDTH - 2 * MARGIN - (self.columns - 1) * GAP) / self.columns

    @property
    def cell_height(self) -> float:
        return (HEIGHT - 2 * MARGIN - HEAD - (self.rows - 1) * GAP) / self.rows

    @property
    def caption_height(self) -> float:
        return min(CAPTION_LINES * LEADING, self.cell_height / 2)

    @property
    def picture_height(self) -> float:
        return self.cell_height - self.caption_height - SPACE

    def corner(self, place: int) -> tuple[float, float]:
        """Left and top of a page's cell of that number."""
        row, column = divmod(place, self.columns)
        left = MARGIN + column * (self.cell_width + GAP)
        return left, HEIGHT - MARGIN - HEAD - row * (self.cell_height + GAP)


def draw(pictures: Iterator[Picture], title: str, grid: Grid, path: Path) -> None:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont(OTHER_FONT))
    canvas = Canvas(str(path), pagesize=(WIDTH, HEIGHT), invariant=1)  # no time stamp
    canvas.setTitle(title)
    for index, (entry, data) in enumerate(pictures):
        page, place = divmod(index, grid.columns * grid.rows)
        if place == 0:
            if page:
                canvas.showPage()
            draw_head(canvas, title, page + 1)
        left, top = grid.corner(place)
        used = draw_picture(canvas, data, left, top, grid) + SPACE
        draw_caption(canvas, index + 1, entry, left, top - used, grid)
    canvas.save()


def draw_picture(canvas: Any, data: bytes | None, left: float, top: float, grid: Grid) -> float:
    """The picture in its cell, or an empty frame where there is none; returns its height."""
    from reportlab.lib.utils import ImageReader

    if data is None:
        canvas.setStrokeGray(0.6)
        canvas.rect(left, top - grid.picture_height, grid.cell_width, grid.picture_height)
        return grid.picture_height
    with Image.open(io.BytesIO(data)) as opened:
        picture = opened.convert("RGB")
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    scale = min(grid.cell_width / picture.width, grid.picture_height / picture.height)
    width, height = picture.width * scale, picture.height * scale
    canvas.drawImage(ImageReader(picture), left, top - height, width, height)
    return height


def draw_head(canvas: Any, title: str, page: int) -> None:
    top = HEIGHT - MARGIN
    paragraph(canvas, f"<b>{marked(title)}</b>", MARGIN, top, WIDTH - 2 * MARGIN - 40.0, 16.0, size=13)
    canvas.setFont(FONT, 9)
    canvas.drawRightString(WIDTH - MARGIN, top - 10.0, str(page))


def draw_caption(canvas: Any, number: int, entry: Entry, left: float, top: float, grid: Grid) -> None:
    text = marked(entry["prompt"] or "")
    if entry["status"] != SUCCESS:
        text = f"<i>failed: {escape(entry['error_code'])}</i> {text}"
    paragraph(canvas, f"<b>{number}</b> {text}", left, top, grid.cell_width, grid.caption_height, size=8)


def paragraph(canvas: Any, text: str, left: float, top: float, width: float, height: float, size: float) -> None:
    """Lines of text below `top`, as many as the height holds."""
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    style = ParagraphStyle("text", fontName=FONT, fontSize=size, leading=size + 3.0, splitLongWords=1)
    whole = Paragraph(text, style)
    _, needed = whole.wrap(width, height)
    if needed > height:
        pieces = whole.split(width, height)
        if not pieces:
            return
        whole = pieces[0]
        _, needed = whole.wrap(width, height)
    whole.drawOn(canvas, left, top - needed)


def marked(text: str) -> str:
    """Reportlab's markup for untrusted text: escaped, and what the Latin font lacks set in the other one."""
    runs: list[tuple[bool, str]] = []
    for character in text:
        latin = character.isspace() or can_encode(character, "cp1252")
        shown = character if latin or can_encode(character, "gb2312") else "?"
        plain = latin or shown == "?"
        if runs and runs[-1][0] == plain:
            runs[-1] = (plain, runs[-1][1] + shown)
        else:
            runs.append((plain, shown))
    return "".join(escape(run) if plain else f'<font name="{OTHER_FONT}">{escape(run)}</font>' for plain, run in runs)


def can_encode(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True

"""The documentation is true: it builds, its links lead somewhere, its reference is the code's, its commands run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from imagen_model.generation import ErrorCode
from pipelines.manifest import OPTIONAL, SCHEMA
from pipelines.manifest_columns import FAILURES, MEANINGS

from .commands import blocks, run_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_reference", DOCS / "build_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_builds_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    page = (tmp_path / "site" / "tutorial" / "index.html").read_text()
    assert "imagegen generate prompts dataset" in re.sub(r"<[^>]*>", "", page)
    # Nothing is loaded from elsewhere: a person without network reads it too.
    assert 'src="http' not in page and 'rel="stylesheet" href="http' not in page


@pytest.mark.parametrize("name", sorted(builder().WRITERS))
def test_the_reference_is_what_the_code_says(name: str) -> None:
    module = builder()
    written = (DOCS / "reference" / name).read_text()
    assert written == module.NOTE + module.WRITERS[name](), f"docs/reference/{name} is out of date; run `make docs`"


def test_every_column_and_every_code_has_a_meaning() -> None:
    optional = {name for part in OPTIONAL.values() for name, _ in part}
    assert set(MEANINGS) == {*SCHEMA.names, *optional}
    assert set(FAILURES) == set(ErrorCode)


def test_every_block_that_is_not_run_says_why() -> None:
    for page in PAGES:
        for block in blocks(page):
            assert block.reason is None or len(block.reason) > 15, f"{page.name}: {block.text}"
            assert block.reason is not None or not block.rule or block.status or block.until, f"{page}: {block.rule}"


def test_no_command_stands_in_a_block_that_is_never_run() -> None:
    """A fence without ```bash or ```python would escape `run_page`."""
    fence = re.compile(r"^```(?P<language>\S*).*?\n(?P<text>.*?)^```$", re.M | re.S)
    command = re.compile(r"^(?:\$ )?(?:imagegen|python|pip|make|serve|ray|kubectl|docker) ", re.M)
    for page in PAGES:
        for match in fence.finditer(page.read_text()):
            # The reference shows each command's own help, the design the flow.
            shown = (
                match["language"] in {"bash", "python"} or page.parent.name == "reference" or page.name == "design.md"
            )
            assert shown or not command.search(match["text"]), f"{page.name}: {match['text']}"


RUN = [page for page in PAGES if any(block.reason is None for block in blocks(page))]


@pytest.mark.parametrize("page", RUN, ids=[page.stem for page in RUN])
def test_the_commands_of_a_page_run(page: Path, tmp_path: Path) -> None:
    run_page(page, tmp_path)

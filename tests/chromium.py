"""One way to open pages: Debian's Chromium, where it is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
REQUIRED = os.environ.get("IMAGEGEN_REQUIRE_CHROMIUM") == "1"
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not REQUIRED, reason="no Chromium here; apt-get install chromium brings it"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None, "IMAGEGEN_REQUIRE_CHROMIUM=1, but no chromium is on the PATH"
    with sync_playwright() as playwright:
        # Chromium's own sandbox needs privileges that containers lack; only our own page is opened.
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

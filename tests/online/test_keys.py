"""Who asks a server that asks for a key: the page, which keeps it for its tab, and a job that makes its pictures there.

Apart from what they do without one, so that these run where such a server is up.
"""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from imagen_model.generation import ErrorCode, Failure, GenerationRequest, Success
from pipelines.endpoint import find_endpoint
from pipelines.errors import EndpointUnavailable

from ..chromium import needs_chromium
from .conftest import KEY, Server
from .test_page import PATIENCE


def test_keys_and_single_refusals(keyed_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IMAGEGEN_API_KEY", raising=False)
    with pytest.raises(EndpointUnavailable, match="the key comes from IMAGEGEN_API_KEY"):
        find_endpoint(keyed_server.url, "obedient")
    monkeypatch.setenv("IMAGEGEN_API_KEY", KEY)
    model = find_endpoint(keyed_server.url, "obedient")
    requests = [
        GenerationRequest("good", 1, width=64, height=64),
        GenerationRequest("bad", 2, width=63, height=64),
        GenerationRequest("large", 1, width=64, height=64, post_processing="denoise, upscale=90x70"),
    ]
    good, bad, large = model.load().generate(requests)
    assert isinstance(good, Success) and good.image.size == (64, 64)
    assert isinstance(large, Success) and large.image.size == (90, 70)
    assert model.rules.limits["upscale"] == 1024 and "denoise" in model.rules.post_processing
    assert isinstance(bad, Failure) and bad.code == ErrorCode.INVALID_SIZE


@needs_chromium
def test_a_key_is_asked_for_and_kept_for_the_tab_only(browser: Browser, keyed_server: Server) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(keyed_server.url + "/")
    for name in ("Best of", "Afterwards"):  # until a model says that it takes them
        expect(page.get_by_label(name)).to_be_hidden()
    field = page.get_by_label("API key")
    expect(field).to_be_visible(timeout=PATIENCE)
    page.get_by_label("What should be drawn?").fill("a red circle")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#api_key-error")).to_contain_text("give a valid API key", timeout=PATIENCE)
    expect(field).to_be_focused()
    field.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".card:not(.growing)")).to_have_count(1, timeout=PATIENCE)
    assert page.evaluate("Object.values(localStorage).join()") == ""
    page.locator(".frame").click()
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.get_by_role("dialog").get_by_role("button", name="Copy as curl").click()
    expect(page.locator("#viewer-note")).to_have_text("Copied.")
    copied = page.evaluate("window.copied")
    assert "$IMAGEGEN_API_KEY" in copied and KEY not in copied
    context.close()

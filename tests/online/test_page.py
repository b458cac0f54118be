"""The page at `/`, driven in a real Chromium against a real server."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, Locator, Page, expect

from imagen_model.catalog import find_model
from imagen_model.generation import GenerationRequest
from pipelines.encoding import Encoder
from pipelines.provenance import Provenance

from ..chromium import needs_chromium

pytestmark = needs_chromium
OWN = ("blob:", "data:")
PATIENCE = 120_000  # ms; the server shares its cores with whatever else runs
EVIL = "<img src=x onerror=\"document.title='owned'\"><b>bold</b>"
HARD = 'it\'s "a" `red` $(touch owned) circle \\ !\nabove\u202e a ü square #{x} \U0001f7e5'


@pytest.fixture
def page(browser: Browser, server_url: str) -> Iterator[Page]:
    """The page, ready. Nothing may come from elsewhere, and no script may fail or be refused by the policy."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server_url)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if "Security Policy" in message.text else None)
    page.on("request", lambda asked: wrong.append(asked.url) if not asked.url.startswith((*OWN, server_url)) else None)
    page.goto(server_url + "/")
    expect(page.locator("#state")).to_have_text(re.compile("Ready|Busy"), timeout=PATIENCE)
    expect(page.get_by_label("Size")).to_have_role("combobox")
    yield page
    context.close()
    assert wrong == []


def generate(page: Page, prompt: str, seed: str = "", count: int = 1) -> Locator:
    """The cards, once so many new ones are done."""
    before = page.locator(".card").count()
    page.get_by_label("What should be drawn?").fill(prompt)
    page.get_by_label("Seed", exact=False).first.fill(seed)
    page.get_by_label("How many").fill(str(count))
    page.get_by_role("button", name="Generate").click()
    cards = page.locator(".card:not(.growing)")
    expect(cards).to_have_count(before + count, timeout=PATIENCE)
    return cards


def downloaded(page: Page, card: Locator) -> bytes:
    with page.expect_download() as waiting:
        card.get_by_role("button", name="Download").click()
    assert re.fullmatch(r"imagegen-\d+\.png", waiting.value.suggested_filename)
    return Path(waiting.value.path()).read_bytes()


def download(page: Page, card: Locator) -> Image.Image:
    picture = Image.open(io.BytesIO(downloaded(page, card)))
    picture.load()
    return picture


def ask(server_url: str, **body: Any) -> dict[str, Any]:
    """The server's own answer, good or bad."""
    sent = json.dumps(body).encode()
    request = urllib.request.Request(
        f"{server_url}/v1/images/generations", sent, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE / 1000) as response:
            answer: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as refusal:
        answer = json.load(refusal)
    return answer


def test_a_picture_grows_and_is_the_one_of_its_seed(page: Page, server_url: str) -> None:
    page.evaluate("""() => {
        window.seen = [];
        const note = () => window.seen.push(document.querySelector(".card .facts")?.textContent ?? "");
        const watched = { subtree: true, childList: true, characterData: true };
        new MutationObserver(note).observe(document.getElementById("gallery"), watched);
    }""")
    card = generate(page, "a red circle", "7").first
    expect(card.locator(".facts")).to_have_text(re.compile(r"seed 7 · 256x256 · \d+\.\d s"))
    seen = page.evaluate("window.seen")
    assert [part for part in (1, 2, 3) if any(f"being drawn, {part} of 3" in text for text in seen)] == [1, 2, 3]
    expect(page.locator("#progress")).to_have_text(re.compile(r"1 picture drawn in \d+\.\d s\."))

    direct = ask(server_url, prompt="a red circle", seed=7, response_format="b64_json")["data"][0]
    same = Image.open(io.BytesIO(base64.b64decode(direct["b64_json"])))
    model = find_model("imagen-small")
    asked = model.rules.resolve(GenerationRequest("a red circle", 7))
    label = Provenance(model.name, model.revision, "full").label(asked)
    assert downloaded(page, card) == Encoder("png").encode(same, label)


def test_a_download_holds_any_prompt_as_generate_writes_it(page: Page, server_url: str) -> None:
    page.get_by_label("What to avoid").fill('日落, "blue"')
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Guidance").fill("1.5")
    card = generate(page, HARD, "3").first
    body: dict[str, Any] = {"prompt": HARD, "negative_prompt": '日落, "blue"', "seed": 3, "guidance_scale": 1.5}
    answer = ask(server_url, response_format="b64_json", **body)["data"][0]
    model = find_model("imagen-small")
    label = Provenance(model.name, model.revision, "full").label(model.rules.resolve(GenerationRequest(**body)))
    with Image.open(io.BytesIO(base64.b64decode(answer["b64_json"]))) as picture:
        assert downloaded(page, card) == Encoder("png").encode(picture, label)


def test_a_signed_picture_is_downloaded_as_it_is(page: Page) -> None:
    credentials, buffer = PngInfo(), io.BytesIO()
    credentials.add(b"caBX", b"any change of the file would break what stands here")
    Image.new("RGB", (8, 8)).save(buffer, "PNG", pnginfo=credentials)
    kept = """async (text) => {
        const { withMetadata } = await import("/page/png.js");
        const blob = new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))]);
        return (await withMetadata(blob, { prompt: "x", seed: 1, size: "8x8", model: "m" }, "1")) === blob;
    }"""
    assert page.evaluate(kept, base64.b64encode(buffer.getvalue()).decode()) is True
    Image.new("RGB", (8, 8)).save(unsigned := io.BytesIO(), "PNG")
    assert page.evaluate(kept, base64.b64encode(unsigned.getvalue()).decode()) is False


def test_seeds_count_up_and_one_is_used_again(page: Page) -> None:
    cards = generate(page, "a blue ring", "4294967295", 3)
    for index, seed in enumerate(["4294967295", "0", "1"]):
        expect(cards.nth(index).locator(".facts")).to_contain_text(f"seed {seed} ·")
    first = download(page, cards.nth(2))
    cards.nth(2).get_by_role("button", name="Use this seed").click()
    field = page.locator("#seed")
    expect(field).to_have_value("1")
    expect(field).to_be_focused()
    again = generate(page, "a blue ring", field.input_value()).first
    assert download(page, again).tobytes() == first.tobytes()
    page.get_by_role("button", name="New seed").click()
    assert re.fullmatch(r"\d{1,10}", field.input_value()) and field.input_value() != "1"


def test_an_error_stands_beside_its_field_in_the_servers_words(page: Page, server_url: str) -> None:
    own_words = ask(server_url, prompt="a blue ring", guidance_scale=101)["error"]["message"]
    page.get_by_text("More", exact=True).click()
    field = page.get_by_label("Guidance")
    field.fill("101")
    page.get_by_label("What should be drawn?").fill("a blue ring")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#guidance_scale-error")).to_have_text(own_words, timeout=PATIENCE)
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description(re.compile(re.escape(own_words)))
    expect(page.locator(".card")).to_have_count(0)
    field.fill("")
    page.get_by_label("How many").fill("11")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#n-error")).to_have_text("n must be a whole number from 1 to 10, got 11")
    expect(page.locator("#guidance_scale-error")).to_be_hidden()


def test_best_of_and_what_is_done_afterwards(page: Page, server_url: str) -> None:
    page.get_by_text("More", exact=True).click()
    best, steps = page.get_by_label("Best of"), page.get_by_label("Afterwards")
    expect(best).to_have_attribute("placeholder", "1")
    expect(best).to_have_accessible_name("Best of (1 is off)")
    expect(steps).to_have_accessible_name("Afterwards (in order, such as denoise, sharpen=0.8, upscale=512x512)")
    asked: dict[str, Any] = {"prompt": "a red circle", "best_of": 2}
    own_words = ask(server_url, post_processing="blur", **asked)["error"]["message"]
    best.fill("2")
    steps.fill("blur")
    page.get_by_label("What should be drawn?").fill("a red circle")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#post_processing-error")).to_have_text(own_words, timeout=PATIENCE)
    expect(steps).to_have_attribute("aria-invalid", "true")
    expect(steps).to_be_focused()

    wanted = "sharpen=0.5, upscale=300x280"
    steps.fill(wanted)
    card = generate(page, "a red circle", "7").first
    expect(card.locator(".facts")).to_contain_text("seed 7 · 300x280 ·")
    direct = ask(server_url, seed=7, post_processing=wanted, **asked)["data"][0]
    same = Image.open(io.BytesIO(base64.b64decode(direct["b64_json"])))
    picture = download(page, card)
    assert picture.convert("RGB").tobytes() == same.convert("RGB").tobytes()
    assert 'Best of: 2, Post processing: "sharpen=0.5, upscale=300x280"' in picture.text["parameters"]  # type: ignore[attr-defined]
    card.locator(".frame").click()
    expect(page.locator("#viewer-facts")).to_contain_text("finished size300x280")
    for field in (best, steps):
        field.evaluate("field => { field.value = ''; }")
    page.get_by_role("dialog").get_by_role("button", name="Use all settings").click()
    expect(best).to_have_value("2")
    expect(steps).to_have_value(wanted)
    expect(page.locator("#size")).to_have_value("256x256")  # asked of the model; the finished one cannot be


def test_history_survives_a_reload_until_it_is_cleared(page: Page) -> None:
    generate(page, "three yellow hearts", "5")
    page.reload()
    card = page.locator(".card")
    expect(card).to_have_count(1)
    expect(card.locator(".prompt")).to_have_text("three yellow hearts")
    expect(card.locator(".facts")).to_contain_text("seed 5")
    assert download(page, card).size == (256, 256)
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear history").click()
    expect(card).to_have_count(0)
    page.reload()
    expect(page.locator("#empty")).to_be_visible()
    expect(card).to_have_count(0)


def test_everything_by_keyboard_alone(page: Page) -> None:
    def tab_to(name: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            focused = page.locator(":focus")
            if focused.count() and name in (focused.get_attribute("id") or "", focused.inner_text().strip()):
                return
        raise AssertionError(f"{name} is not reached by Tab")

    tab_to("Skip to the pictures")
    tab_to("prompt")
    page.keyboard.type("a green triangle")
    tab_to("seed")
    page.keyboard.type("3")
    tab_to("Generate")
    page.keyboard.press("Enter")
    expect(page.locator(".card:not(.growing)")).to_have_count(1, timeout=PATIENCE)
    tab_to("Clear history")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Open the picture of: a green triangle (seed 3)")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Picture 1 of 1")).to_be_visible()
    tab_to("Close")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator(".frame")).to_be_focused()
    page.locator("#prompt").focus()
    page.keyboard.press("Control+Enter")
    expect(page.locator(".card:not(.growing)")).to_have_count(2, timeout=PATIENCE)


def test_what_a_person_types_is_shown_as_text(page: Page) -> None:
    card = generate(page, EVIL, "1").first
    expect(card.locator(".prompt")).to_have_text(EVIL)
    card.locator(".frame").click()
    expect(page.locator("#viewer-prompt")).to_have_text(EVIL)
    page.keyboard.press("Escape")
    page.locator("#seed").fill(EVIL)  # the server's message repeats it
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#seed-error")).to_contain_text("<img src=x", timeout=PATIENCE)
    assert page.locator("img[src=x], main b").count() == 0
    assert page.title() == "imagegen"


def test_copied_commands_mean_the_same_whatever_the_prompt_holds(page: Page, server_url: str, tmp_path: Path) -> None:
    card = generate(page, HARD, "9").first
    wanted = download(page, card)
    assert json.loads(wanted.text["imagegen"])["prompt"] == HARD  # type: ignore[attr-defined]
    assert wanted.text["parameters"].startswith(HARD + "\n")  # type: ignore[attr-defined]
    card.locator(".frame").click()
    commands = {}
    for name in ("curl", "Python"):
        page.locator("#viewer-note").evaluate("note => { note.textContent = ''; }")
        page.get_by_role("dialog").get_by_role("button", name=f"Copy as {name}").click()
        expect(page.locator("#viewer-note")).to_have_text("Copied.")
        commands[name] = page.evaluate("navigator.clipboard.readText()")
    assert "\u202e" not in "".join(commands.values())  # it would turn the line around in an editor

    assert shutil.which("curl"), "this test needs curl"
    answer = subprocess.run(["bash", "-c", commands["curl"]], cwd=tmp_path, capture_output=True, check=True)
    drawn = json.loads(answer.stdout)["data"][0]
    assert drawn["seed"] == 9
    by_curl = Image.open(io.BytesIO(base64.b64decode(drawn["b64_json"]))).convert("RGB")
    subprocess.run([sys.executable, "-c", commands["Python"]], cwd=tmp_path, capture_output=True, check=True)
    by_python = Image.open(tmp_path / "imagegen-9.png").convert("RGB")
    assert by_curl.tobytes() == by_python.tobytes() == wanted.convert("RGB").tobytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["imagegen-9.png"]


def test_cancel_gives_up_what_is_not_drawn(page: Page) -> None:
    page.get_by_label("What should be drawn?").fill("snowy mountains at night")
    page.get_by_label("How many").fill("10")
    page.get_by_role("button", name="Generate").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#progress")).to_have_text(re.compile("Cancelled; .* drawn."))
    expect(page.locator(".growing")).to_have_count(0)
    expect(page.get_by_role("button", name="Cancel")).to_be_hidden()
    generate(page, "a red circle", "2")


def test_a_server_that_cannot_be_reached_is_said(page: Page) -> None:
    page.context.set_offline(True)
    page.get_by_label("What should be drawn?").fill("a red circle")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert")).to_have_text("The server cannot be reached. Is it running?")
    expect(page.locator("#state")).to_have_text("Not reachable")
    page.context.set_offline(False)
    expect(page.locator("#state")).to_have_text(re.compile("Ready|Busy"), timeout=PATIENCE)


CONTRASTS = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const light = (rgb) => {
        const [r, g, b] = rgb.slice(0, 3).map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
        return .2126 * r + .7152 * g + .0722 * b;
    };
    const ground = (element) => {
        for (; element; element = element.parentElement) {
            const colour = parts(getComputedStyle(element).backgroundColor);
            if (colour[3] !== 0) return colour;
        }
    };
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!(own || element.value) || !element.checkVisibility() || element.ariaDisabled === "true") continue;
        const text = parts(getComputedStyle(element).color);
        const [a, b] = [light(text), light(ground(element))].sort((x, y) => y - x);
        found.push([(a + .05) / (b + .05), element.id || element.textContent.trim().slice(0, 40)]);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_readable_on_a_small_phone(page: Page, scheme: Any) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": 360, "height": 740})
    page.get_by_text("More", exact=True).click()
    generate(page, "x" * 300, "1")
    page.locator("#seed").fill("-1")
    page.get_by_role("button", name="Generate").click()
    expect(page.locator("#seed-error")).to_be_visible(timeout=PATIENCE)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 20
    assert [entry for entry in contrasts if entry[0] < 4.5] == []
    page.get_by_role("button", name="Dark", exact=True).click()
    other = {"light": "dark", "dark": "light"}[scheme]
    assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == other

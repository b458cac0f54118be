// The page: what a person does, and what happens then. Each of n pictures is a request with its own seed, so that
// each one grows by itself and keeps its number.

import { generate, keepKey, key, models } from "./client.js";
import { curl, pythonCode } from "./commands.js";
import * as form from "./form.js";
import * as gallery from "./gallery.js";
import * as history from "./history.js";
import { withMetadata } from "./png.js";
import * as status from "./status.js";
import * as voice from "./voice.js";

const AT_ONCE = 4; // a browser opens six connections to one host; some must be left for the queue's length
const IDEAS = ["three yellow hearts", "a blue ring", "a red circle above a blue square", "a sunset over a tropical beach"];
const SAME_FOR_ALL = [400, 401, 403, 404, 413, 422];

const byId = (id) => document.getElementById(id);
let offered = [];
let running = null; // AbortController of what is being drawn

function say(text) {
  byId("progress").textContent = text;
}

function plural(count) {
  return count === 1 ? "1 picture" : `${count} pictures`;
}

async function submit() {
  if (running) return;
  form.clearErrors();
  try {
    const { request, count, seed } = form.read();
    const cards = form.seeds(seed, count).map((each) => gallery.pending({ ...request, seed: each }));
    gallery.show(cards);
    gallery.reveal(cards[0]);
    await run(cards);
  } catch (error) {
    form.showError(error);
  }
}

/** Draws all cards; a refusal that holds for every one of them stops the rest. */
async function run(cards) {
  running = new AbortController();
  const began = performance.now();
  const ends = { drawn: 0, failed: 0, refused: false };
  const waiting = [...cards];
  toggle(true);
  say(`Drawing ${plural(cards.length)} …`);
  const lane = async () => {
    for (let card = waiting.shift(); card; card = waiting.shift()) {
      await draw(card, running.signal, ends);
      if (waiting.length && ends.drawn) say(`${ends.drawn} of ${cards.length} drawn …`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  const stopped = running.signal.aborted;
  toggle(false);
  running = null;
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  const drawn = plural(ends.drawn);
  if (ends.refused) say(""); // the error beside its field says it
  else if (stopped) say(`Cancelled; ${drawn} drawn.`);
  else say(`${drawn} drawn in ${seconds} s.${ends.failed ? ` ${ends.failed} failed.` : ""}`);
}

async function draw(card, signal, ends) {
  if (signal.aborted) return gallery.drop(card.element);
  const began = performance.now();
  try {
    const { blob, seed, size } = await generate(card.request, {
      signal,
      partial: (part, index) => gallery.grow(card, part, index),
      waiting: (seconds) => gallery.wait(card, seconds),
    });
    const seconds = (performance.now() - began) / 1000;
    const model = offered.find((each) => each.id === card.request.model);
    const request = { ...model?.defaults, ...card.request, seed: seed ?? card.request.seed };
    // What was asked of the model stays; the file is larger where it was upscaled afterwards.
    if (request.post_processing) request.size ??= model?.sizes?.[0];
    else if (size) request.size = size;
    const picture = { request, blob, seconds, revision: model?.revision, ...(size && { size }) };
    ends.drawn += 1;
    gallery.done(card, picture);
    await keep(picture);
  } catch (error) {
    if (error.name === "AbortError") return gallery.drop(card.element);
    if (SAME_FOR_ALL.includes(error.status) || error.code === "unreachable") {
      gallery.drop(card.element);
      if (!signal.aborted) form.showError(error);
      ends.refused = true;
      running.abort();
    } else {
      ends.failed += 1;
      gallery.fail(card, error.message);
    }
  }
}

async function keep(picture) {
  try {
    gallery.dropIds(await history.add(picture));
  } catch {
    byId("count").textContent = "(the browser's storage is full: new pictures go with this page)";
  }
}

function toggle(busy) {
  byId("generate").setAttribute("aria-disabled", String(busy));
  byId("cancel").hidden = !busy;
  if (!busy && document.activeElement === document.body) byId("generate").focus(); // it was on Cancel
  status.setDrawing(busy);
}

async function act(name, picture, card) {
  if (name === "seed") {
    byId("seed").value = picture.request.seed;
    gallery.closeViewer();
    byId("seed").focus();
  } else if (name === "settings") {
    form.fill(picture.request);
    gallery.closeViewer();
    byId("prompt").focus();
  } else if (name === "download") {
    save(await withMetadata(picture.blob, picture.request, picture.revision), `imagegen-${picture.request.seed}.png`);
  } else if (name === "remove") {
    await history.remove(picture.id);
    gallery.closeViewer();
    gallery.drop(card);
  } else if (name === "again" && !running) {
    form.clearErrors();
    gallery.restart(card);
    await run([card]);
  } else if (name === "dismiss") {
    gallery.drop(card.element);
  } else if (name === "curl" || name === "python") {
    const text = (name === "curl" ? curl : pythonCode)(picture.request, location.origin, key() !== "");
    byId("viewer-note").textContent = await copy(text, byId("viewer"));
  }
}

function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser reads it after this call
}

/** Browsers give the clipboard to https and localhost only; elsewhere a selected text field does. */
async function copy(text, near) {
  try {
    await navigator.clipboard.writeText(text);
    return "Copied.";
  } catch {
    const box = document.createElement("textarea");
    box.className = "offscreen";
    box.value = text;
    near.append(box);
    const focused = document.activeElement;
    box.select();
    const copied = document.execCommand("copy");
    box.remove();
    focused.focus();
    return copied ? "Copied." : "The browser does not allow copying here.";
  }
}

async function copyForm(name) {
  form.clearErrors();
  try {
    const { request, count, seed } = form.read();
    const whole = { ...request, n: count, ...(seed === null ? {} : { seed }) };
    say(await copy((name === "curl" ? curl : pythonCode)(whole, location.origin, key() !== ""), byId("form")));
  } catch (error) {
    form.showError(error);
  }
}

/** What the server offers; a server that tells nothing leaves the fields as they are. */
async function learn() {
  try {
    offered = await models();
  } catch (error) {
    if (error.status === 401) form.showError(error);
    return;
  }
  const box = byId("model");
  box.replaceChildren(...offered.map((model) => new Option(model.id)));
  box.closest(".field").hidden = offered.length < 2;
  if (offered.length) form.offer(offered[0]);
}

function setTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light");
  const show = () => byId("theme").setAttribute("aria-pressed", String(now() === "dark"));
  dark.addEventListener("change", show);
  byId("theme").addEventListener("click", () => {
    document.documentElement.dataset.theme = now() === "dark" ? "light" : "dark";
    show();
    try {
      localStorage.setItem("imagegen-theme", document.documentElement.dataset.theme);
    } catch {
      // storage is forbidden: the choice holds until the page goes
    }
  });
  show();
}

function wire() {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || byId("viewer").open) return;
    event.preventDefault();
    submit();
  });
  byId("cancel").addEventListener("click", () => running?.abort());
  byId("dice").addEventListener("click", () => (byId("seed").value = form.randomSeed()));
  byId("model").addEventListener("change", () => form.offer(offered[byId("model").selectedIndex]));
  byId("api_key").addEventListener("change", () => {
    keepKey(byId("api_key").value.trim());
    form.clearErrors();
    learn();
  });
  byId("clear").addEventListener("click", async () => {
    if (!confirm("Delete all pictures kept in this browser?")) return;
    await history.clear();
    gallery.dropAll();
    byId("gallery-title").focus();
  });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", () => copyForm(button.dataset.copy));
  }
  const prompt = byId("prompt");
  for (const idea of IDEAS) {
    const chip = Object.assign(document.createElement("button"), { type: "button", textContent: idea });
    chip.addEventListener("click", () => {
      prompt.value = idea;
      prompt.focus();
    });
    byId("ideas").append(chip);
  }
  const said = (text) => (prompt.value = [prompt.value.trim(), text].filter(Boolean).join(" "));
  voice.start(byId("voice"), said, say);
  byId("api_key").value = key();
  byId("key-field").hidden = !key();
}

async function recall() {
  if (!(await history.open())) byId("empty").textContent = "Nothing drawn yet. This browser keeps no history for this page.";
  const cards = (await history.all()).map((picture) => {
    const card = gallery.pending(picture.request);
    gallery.done(card, picture);
    return card;
  });
  gallery.show(cards.reverse());
}

setTheme();
wire();
gallery.start(act);
await recall();
await status.start(learn);

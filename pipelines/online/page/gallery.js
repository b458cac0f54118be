// Cards of pictures, newest first, and the large view. Every text goes in through textContent.

const byId = (id) => document.getElementById(id);
const list = byId("gallery");
const viewer = byId("viewer");
const cards = new Map(); // element -> {picture, url}; only pictures that are done
let viewed = null;
let act = () => {};

/** `act(name, picture, card)` is called for what a button asks: seed, download, settings, curl, python, remove. */
export function start(handler) {
  act = handler;
  viewer.addEventListener("click", (event) => {
    const name = event.target.closest("[data-do]")?.dataset.do;
    if (name === "previous") step(-1);
    else if (name === "next") step(1);
    else if (name === "close" || event.target === viewer) viewer.close();
    else if (name) act(name, cards.get(viewed).picture, viewed);
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  viewer.addEventListener("close", () => viewed?.querySelector(".frame").focus());
}

/** A card for a picture still to be made. */
export function pending(request) {
  const element = byId("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => element.querySelector(selector);
  element.querySelector(".prompt").textContent = request.prompt;
  const card = { element, request, grown: false, picture: null };
  for (const button of element.querySelectorAll("[data-do]")) {
    button.addEventListener("click", () => act(button.dataset.do, card.picture, card));
  }
  part(".frame").addEventListener("click", () => view(element));
  restart(card);
  return card;
}

export function restart(card) {
  card.element.className = "card growing";
  card.grown = false;
  button(card, "frame").disabled = true;
  part(card, ".facts").textContent = `seed ${card.request.seed} · waiting …`;
  part(card, "img").alt = "";
  part(card, ".error").hidden = true;
  showButtons(card, []);
}

const part = (card, selector) => card.element.querySelector(selector);
const button = (card, name) => part(card, `.${name}`);

function showButtons(card, names) {
  for (const each of card.element.querySelectorAll("[data-do]")) each.hidden = !names.includes(each.dataset.do);
}

function paint(card, blob) {
  const image = part(card, "img");
  const before = image.src;
  const url = URL.createObjectURL(blob);
  image.onload = () => {
    image.classList.toggle("pixels", image.naturalWidth <= 256);
    if (before.startsWith("blob:")) URL.revokeObjectURL(before);
  };
  image.src = url;
  return url;
}

export function grow(card, blob, index) {
  card.grown = true;
  part(card, ".facts").textContent = `seed ${card.request.seed} · being drawn, ${index + 1} of 3 …`;
  paint(card, blob);
}

export function wait(card, seconds) {
  part(card, ".facts").textContent = `The server is full; asks again in ${seconds} s …`;
}

export function done(card, picture) {
  const { request } = picture;
  card.picture = picture;
  card.element.className = "card";
  button(card, "frame").disabled = false;
  part(card, "img").alt = `Open the picture of: ${request.prompt} (seed ${request.seed})`;
  part(card, ".facts").textContent = facts(picture);
  showButtons(card, ["seed", "download"]);
  cards.set(card.element, { picture, url: paint(card, picture.blob), card });
  tally();
}

function facts({ request, size, seconds }) {
  return [`seed ${request.seed}`, size ?? request.size, `${seconds.toFixed(1)} s`].filter(Boolean).join(" · ");
}

export function fail(card, message) {
  card.element.className = "card failed";
  part(card, ".facts").textContent = `seed ${card.request.seed}`;
  part(card, ".error").textContent = message;
  part(card, ".error").hidden = false;
  showButtons(card, ["again", "dismiss"]);
}

/** Puts cards before all others, in order. */
export function show(group) {
  list.prepend(...group.map((card) => card.element));
  tally();
}

/** On a phone the first new picture is below the form. */
export function reveal(card) {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  card.element.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
}

/** Takes a card away; focus goes to its neighbour, never to nowhere. */
export function drop(element) {
  const focused = element.contains(document.activeElement);
  const next = element.nextElementSibling ?? element.previousElementSibling;
  const url = cards.get(element)?.url ?? element.querySelector("img").src;
  if (url?.startsWith("blob:")) URL.revokeObjectURL(url);
  cards.delete(element);
  element.remove();
  tally();
  if (focused) (next?.querySelector("button:not([hidden], :disabled)") ?? byId("gallery-title")).focus();
}

export function dropIds(ids) {
  for (const [element, { picture }] of [...cards]) if (ids.includes(picture.id)) drop(element);
}

export function dropAll() {
  for (const element of [...cards.keys()]) drop(element);
}

function tally() {
  byId("empty").hidden = list.childElementCount > 0;
  byId("clear").hidden = cards.size === 0;
  byId("count").textContent = cards.size ? `(${cards.size})` : "";
}

function ordered() {
  return [...list.children].filter((element) => cards.has(element));
}

function step(by) {
  const all = ordered();
  const next = all[all.indexOf(viewed) + by];
  if (next) view(next);
}

/** Closes for another place's sake: focus does not go back to the card. */
export function closeViewer() {
  viewed = null;
  if (viewer.open) viewer.close();
}

function view(element) {
  const { picture, url } = cards.get(element);
  const { prompt, model, size, seed, ...others } = picture.request;
  const all = ordered();
  viewed = element;
  byId("viewer-image").src = url;
  byId("viewer-image").className = element.querySelector("img").className;
  byId("viewer-image").alt = `Picture of: ${prompt}`;
  byId("viewer-title").textContent = `Picture ${all.indexOf(element) + 1} of ${all.length}`;
  byId("viewer-prompt").textContent = prompt;
  byId("viewer-note").textContent = "";
  const seconds = picture.seconds.toFixed(1);
  const asked = { ...(model && { model }), ...(size && { size }), seed, ...others };
  const rows = { ...asked, ...(picture.size && picture.size !== size && { finished_size: picture.size }), seconds };
  byId("viewer-facts").replaceChildren(
    ...Object.entries(rows).flatMap(([name, value]) => [term("dt", name.replaceAll("_", " ")), term("dd", value)]),
  );
  // Not `disabled`: a button that loses its focus while it is pressed drops a keyboard user out of the dialog.
  const [newer, older] = ["previous", "next"].map((name) => viewer.querySelector(`[data-do="${name}"]`));
  newer.setAttribute("aria-disabled", element === all[0]);
  older.setAttribute("aria-disabled", element === all.at(-1));
  if (!viewer.open) {
    viewer.showModal();
    byId("viewer-title").focus();
  }
}

function term(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

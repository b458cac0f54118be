// Only the cards near the window are in the page, whatever the number of pictures; each keeps its place by its style.

const gallery = document.getElementById("gallery");
const GAP = 14;
const TEXT = 74; // px below a picture
const AHEAD = 1; // rows beyond the window
const cards = new Map(); // position in the order -> li
let order = null; // items in order, null for all of them
let count = 0;
let shape = { across: 1, width: 0, height: 0 };
let opened = () => {};
let failed = () => {};

function itemAt(position) {
  return order === null ? position : order[position];
}

function showItems(items) {
  order = items;
  count = items === null ? about.items : items.length;
  for (const card of cards.values()) card.remove();
  cards.clear();
  layOut();
}

function layOut() {
  const width = gallery.clientWidth;
  if (!width) return; // another tab is open
  const wanted = width < 560 ? 150 : 190;
  const across = Math.max(2, Math.floor((width + GAP) / (wanted + GAP)));
  const side = (width - GAP * (across - 1)) / across;
  shape = { across, width: side, height: side + TEXT };
  gallery.style.height = `${Math.max(0, Math.ceil(count / across) * (shape.height + GAP) - GAP)}px`;
  for (const [position, card] of cards) put(card, position);
  draw();
}

function put(card, position) {
  const [left, top] = [position % shape.across, Math.floor(position / shape.across)];
  card.style.width = `${shape.width}px`;
  card.style.height = `${shape.height}px`;
  card.style.transform = `translate(${left * (shape.width + GAP)}px, ${top * (shape.height + GAP)}px)`;
}

function draw() {
  if (!gallery.clientWidth || !count) return;
  const top = -gallery.getBoundingClientRect().top;
  const step = shape.height + GAP;
  const first = Math.max(0, Math.floor(top / step) - AHEAD) * shape.across;
  const last = Math.min(count, (Math.ceil((top + window.innerHeight) / step) + AHEAD) * shape.across);
  for (const [position, card] of cards) {
    if ((position < first || position >= last) && !card.contains(document.activeElement)) {
      card.remove();
      cards.delete(position);
    }
  }
  for (let position = first; position < last; position++) if (!cards.has(position)) add(position);
}

/** The card stands among its neighbours, so that Tab goes on in the order that is seen. */
function add(position) {
  const card = document.createElement("li");
  card.setAttribute("aria-setsize", String(count));
  card.setAttribute("aria-posinset", String(position + 1));
  put(card, position);
  const after = [...cards.keys()].filter((other) => other > position).sort((one, other) => one - other)[0];
  gallery.insertBefore(card, after === undefined ? null : cards.get(after));
  cards.set(position, card);
  const button = document.createElement("button");
  button.type = "button";
  button.className = "card";
  button.dataset.position = String(position);
  card.append(button);
  fill(button, position);
}

async function fill(button, position) {
  const item = itemAt(position);
  if (!place(item)) {
    button.classList.add("waiting");
    try {
      await chunk(Math.floor(item / about.chunk_rows));
    } catch (error) {
      failed(error);
      return;
    }
    if (!button.isConnected) return;
    button.classList.remove("waiting");
  }
  const row = entry(item);
  const prompt = element("span", "prompt", row.prompt || "no prompt");
  prompt.dir = "auto";
  button.append(row.sprite ? thumbnail(row) : failure(row), prompt, element("span", "hint", words(row)));
}

function words(row) {
  const parts = [`row ${row.row}${row.image_index ? `-${row.image_index}` : ""}`];
  const column = filters.sort.slice(1);
  if (column && !["seed", "row"].includes(column)) parts.push(`${column} ${shortened(row[column])}`);
  else if (row.seed !== null) parts.push(`seed ${row.seed}`);
  return parts.join(" · ");
}

function shortened(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "number" ? String(+value.toPrecision(6)) : String(value).slice(0, 40);
}

function thumbnail(row) {
  const [file, down, side] = row.sprite;
  const at = row.tile % about.block;
  const [left, top] = [at % about.across, Math.floor(at / about.across)];
  const frame = element("span", "frame");
  const picture = element("span", side < 100 ? "picture pixels" : "picture");
  picture.style.backgroundImage = `url("${about.sprites}/${file}")`;
  // A thumbnail stands amid a gutter of its own edge's colours, so that no neighbour shines in at any scale.
  const cell = side + 2 * about.gutter;
  const within = (index, cells) => (100 * (index * cell + about.gutter)) / (cells * cell - side);
  picture.style.backgroundSize = `${(100 * about.across * cell) / side}% ${(100 * down * cell) / side}%`;
  picture.style.backgroundPosition = `${within(left, about.across)}% ${within(top, down)}%`;
  frame.append(picture);
  return frame;
}

function failure(row) {
  const frame = element("span", "frame failed");
  frame.append(element("strong", "", row.error_code), element("span", "", row.error_message ?? ""));
  return frame;
}

function element(name, className, text = "") {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

/** Move the focus to another card, which is brought into view. */
function focusCard(position) {
  const wanted = Math.min(Math.max(position, 0), count - 1);
  const top = Math.floor(wanted / shape.across) * (shape.height + GAP);
  const box = gallery.getBoundingClientRect();
  if (box.top + top < 0 || box.top + top + shape.height > window.innerHeight) {
    window.scrollTo({ top: window.scrollY + box.top + top - (window.innerHeight - shape.height) / 2 });
  }
  draw();
  cards.get(wanted)?.firstChild.focus({ preventScroll: true });
}

gallery.addEventListener("keydown", (event) => {
  const button = event.target.closest(".card");
  if (!button || event.altKey || event.ctrlKey || event.metaKey) return;
  const page = Math.max(1, Math.floor(window.innerHeight / (shape.height + GAP)) - 1) * shape.across;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -shape.across, ArrowDown: shape.across, PageUp: -page, PageDown: page, Home: -count, End: count };
  if (!(event.key in steps)) return;
  event.preventDefault();
  focusCard(Number(button.dataset.position) + steps[event.key]);
});
gallery.addEventListener("click", (event) => {
  const button = event.target.closest(".card");
  if (button && !button.classList.contains("waiting")) opened(Number(button.dataset.position));
});

let planned = false;
addEventListener("scroll", () => {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    draw();
  });
}, { passive: true });
new ResizeObserver(layOut).observe(gallery);

// One picture, large, with all that the manifest says of it.

const viewer = document.getElementById("viewer");
const HIDDEN = new Set(["tile", "sprite", "prompt", "error_message", "format", "shard"]);
let looked = 0;

opened = (position) => {
  open(position);
  viewer.showModal();
  document.getElementById("viewer-title").focus();
};

async function open(position) {
  looked = position;
  const item = itemAt(position);
  if (!place(item)) await chunk(Math.floor(item / about.chunk_rows)).catch(failed);
  if (looked !== position || !place(item)) return;
  const row = entry(item);
  document.getElementById("viewer-title").textContent = `${row.error_code ? "Failure" : "Picture"} ${(position + 1).toLocaleString("en")} of ${count.toLocaleString("en")}`;
  document.getElementById("viewer-prompt").textContent = row.prompt ?? "no prompt";
  const trouble = document.getElementById("viewer-error");
  trouble.textContent = row.error_message ?? "";
  trouble.hidden = !row.error_message;
  picture(row);
  const facts = document.getElementById("viewer-facts");
  facts.replaceChildren();
  for (const [name, value] of Object.entries(row)) {
    if (HIDDEN.has(name) || value === null || value === undefined) continue;
    const said = element("dd", "", String(value));
    said.dir = "auto";
    facts.append(element("dt", "", name), said);
  }
  viewer.querySelector('[data-do="previous"]').setAttribute("aria-disabled", String(position === 0));
  viewer.querySelector('[data-do="next"]').setAttribute("aria-disabled", String(position === count - 1));
  document.getElementById("viewer-note").textContent = row.sprite && !about.folder ? `The picture itself is in ${archived(row)}; this is its thumbnail.` : "";
}

function picture(row) {
  const frame = document.getElementById("viewer-picture");
  const link = document.getElementById("viewer-file");
  frame.hidden = !row.sprite;
  link.hidden = !row.sprite || !about.folder;
  if (!row.sprite) return frame.replaceChildren();
  if (!about.folder) return frame.replaceChildren(...thumbnail(row).childNodes);
  const image = new Image();
  image.alt = row.prompt;
  image.className = Math.max(row.width, row.height) < 300 ? "pixels" : "";
  image.onerror = () => frame.replaceChildren(...thumbnail(row).childNodes);
  image.src = link.href = `${about.folder}/${digits(row.shard, 5)}/${name(row)}`;
  return frame.replaceChildren(image);
}

function archived(row) {
  return `${about.archives.replace("*", digits(row.shard, 5))} as ${name(row)}`;
}

function name(row) {
  return `${digits(row.row, 9)}-${row.image_index}.${about.extension}`;
}

function digits(number, length) {
  return String(number).padStart(length, "0");
}

function step(by) {
  if (looked + by >= 0 && looked + by < count) open(looked + by);
}

viewer.addEventListener("click", (event) => {
  if (event.target === viewer) viewer.close(); // beside it
  const act = event.target.closest("[data-do]")?.dataset.do;
  if (act === "close") viewer.close();
  if (act === "previous") step(-1);
  if (act === "next") step(1);
  if (act === "copy") copy(document.getElementById("viewer-prompt").textContent);
});
viewer.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
viewer.addEventListener("close", () => focusCard(looked));

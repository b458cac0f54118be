// The gallery's rows, in chunks that are loaded as scripts: a page that was opened from a disk may not fetch files.
// The files of this folder are one script, in the order data, filters, gallery, viewer, page.

const about = JSON.parse(document.getElementById("about").textContent);
const nonce = document.currentScript.nonce;
const AT_ONCE = 6; // scripts under way
const chunks = []; // index -> {rows, columns, sprites, tile}
const asked = new Map(); // index -> promise of a chunk

/** Called by each chunk's script. */
window.imagegenChunk = (index, raw) => {
  const columns = {};
  for (const [name, packed] of Object.entries(raw.columns)) columns[name] = unpacked(packed, raw.rows);
  chunks[index] = { rows: raw.rows, columns, sprites: raw.sprites, tile: unpacked(raw.tile, raw.rows), searched: null };
};

function unpacked(packed, rows) {
  if ("v" in packed) return packed.v;
  if ("i" in packed) return packed.i.map((place) => packed.d[place]);
  if ("n" in packed) return Array.from({ length: rows }, (_, index) => packed.n + index);
  return new Array(rows).fill(packed.c);
}

function chunk(index) {
  if (!asked.has(index)) {
    const coming = new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.nonce = nonce;
      script.src = about.chunks[index];
      const missing = () => reject(new Error(`${about.chunks[index]} cannot be read.`));
      script.onload = () => (chunks[index] ? resolve(chunks[index]) : missing());
      script.onerror = missing;
      document.head.append(script);
    });
    asked.set(index, coming);
    coming.catch(() => asked.delete(index)); // to be asked for again
  }
  return asked.get(index);
}

/** All chunks in order; `heard` is called with each, as soon as those before it are there. False stops it. */
async function everyChunk(heard) {
  for (let index = 0; index < about.chunks.length; index++) {
    for (let ahead = index; ahead < Math.min(index + AT_ONCE, about.chunks.length); ahead++) {
      chunk(ahead).catch(() => {}); // whoever waits for it is told
    }
    if (heard(await chunk(index), index) === false) return false;
  }
  return true;
}

/** [chunk, row in it] of an item, or null while its chunk is not there. */
function place(item) {
  const found = chunks[Math.floor(item / about.chunk_rows)];
  return found ? [found, item % about.chunk_rows] : null;
}

/** All of an item's columns, with its thumbnail's place. */
function entry(item) {
  const [of, at] = place(item);
  const row = { tile: of.tile[at], sprite: null };
  for (const name in of.columns) row[name] = of.columns[name][at];
  if (row.tile >= 0) row.sprite = of.sprites[Math.floor(row.tile / about.block)];
  return row;
}

// What a picture was made from, written into its PNG: `parameters` in A1111's grammar, `imagegen` as JSON, and
// XMP that says a model made it. No time stamp: two downloads of one picture are the same bytes.

const SIGNATURE = 8;
const SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia";
// In the order of the server's own files, so that a download is the file that `--metadata full` writes.
const SETTINGS = ["num_inference_steps", "guidance_scale", "top_k", "top_p", "temperature", "best_of"];
const LAST = ["post_processing", "model", "model_revision"];
const FACTS = ["prompt", "negative_prompt", "seed", "width", "height", ...SETTINGS, ...LAST];
const NAMES = {
  num_inference_steps: "Steps",
  sampler: "Sampler",
  guidance_scale: "CFG scale",
  seed: "Seed",
  size: "Size",
  model: "Model",
};

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(latin1(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

function latin1(text) {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** tEXt holds Latin-1 only; anything else goes into iTXt, which readers of A1111's files know too. */
function textChunk(keyword, text) {
  if (/^[\n\x20-\x7e\xa0-\xff]*$/.test(text)) return chunk("tEXt", latin1(`${keyword}\0${text}`));
  return internationalChunk(keyword, text);
}

function internationalChunk(keyword, text) {
  const utf8 = new TextEncoder().encode(text);
  return chunk("iTXt", new Uint8Array([...latin1(`${keyword}\0\0\0\0\0`), ...utf8]));
}

/** What is known of the picture, in the manifest's names. */
function factsOf(request, revision) {
  const [width, height] = (request.size ?? "").split("x").map(Number);
  const known = { ...request, ...(height ? { width, height } : {}), model_revision: revision };
  return Object.fromEntries(
    FACTS.filter((name) => known[name] !== undefined && known[name] !== "").map((name) => [name, known[name]]),
  );
}

/** A1111's grammar: the prompt, a line `Negative prompt: ...` where there is one, and one line of settings. */
export function parameters(facts) {
  const known = { ...facts, sampler: "imagegen", size: `${facts.width}x${facts.height}` };
  const others = [...SETTINGS, ...LAST].filter((name) => !(name in NAMES));
  const labels = { ...NAMES, ...Object.fromEntries(others.map((name) => [name, label(name)])) };
  const settings = Object.entries(labels)
    .filter(([name]) => known[name] !== undefined)
    .map(([name, shown]) => `${shown}: ${quoted(String(known[name]))}`);
  const lines = [facts.prompt];
  if (facts.negative_prompt) lines.push(`Negative prompt: ${facts.negative_prompt}`);
  return [...lines, [...settings, "Version: imagegen"].join(", ")].join("\n");
}

function label(name) {
  return name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
}

function xmp({ model, model_revision: revision }) {
  const made = [
    `Iptc4xmpExt:DigitalSourceType="${SOURCE_TYPE}"`,
    `Iptc4xmpExt:AISystemUsed="${escaped(model)}"`,
    ...(revision ? [`Iptc4xmpExt:AISystemVersionUsed="${escaped(revision)}"`] : []),
  ];
  return (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>' +
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">' +
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" ' +
    `${made.join(" ")}/></rdf:RDF></x:xmpmeta><?xpacket end="r"?>`
  );
}

function escaped(text) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
  return String(text).replace(/[&<>"]/g, (character) => entities[character]);
}

function quoted(value) {
  return /[,:\n"]/.test(value) ? JSON.stringify(value) : value;
}

/** The picture's file with what it was made from written into it, as a Blob; pixels are not touched. A signed file
    stays as it is, for any change would break its signature. */
export async function withMetadata(blob, request, revision) {
  const facts = factsOf(request, revision);
  const bytes = new Uint8Array(await blob.arrayBuffer());
  const view = new DataView(bytes.buffer);
  const keywords = ["parameters", "imagegen", "XML:com.adobe.xmp"];
  const parts = [bytes.subarray(0, SIGNATURE)];
  for (let at = SIGNATURE; at < bytes.length; ) {
    const end = at + 12 + view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const head = String.fromCharCode(...bytes.subarray(at + 8, Math.min(end - 4, at + 40)));
    if (type === "caBX") return blob;
    const replaced = ["tEXt", "iTXt", "zTXt"].includes(type) && keywords.includes(head.split("\0")[0]);
    if (!replaced) parts.push(bytes.subarray(at, end));
    if (type === "IHDR") {
      parts.push(textChunk("parameters", parameters(facts)), textChunk("imagegen", JSON.stringify(facts)));
      parts.push(internationalChunk("XML:com.adobe.xmp", xmp(facts)));
    }
    at = end;
  }
  return new Blob(parts, { type: "image/png" });
}

// The same request as a command that can be pasted: whatever the prompt holds stays inside its quotes.

// Characters that a terminal or editor acts on or hides (controls, direction marks, zero width) are written as escapes.
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;
const STANDARD = ["model", "prompt", "n", "size", "output_format"]; // arguments that the official client names itself

function json(value) {
  return JSON.stringify(value).replace(UNSEEN, (character) =>
    Array.from({ length: character.length }, (_, at) => `\\u${hex(character.charCodeAt(at), 4)}`).join(""),
  );
}

function hex(number, digits) {
  return number.toString(16).padStart(digits, "0");
}

function shellQuoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

export function curl(request, origin, needsKey) {
  const lines = [`curl ${shellQuoted(`${origin}/v1/images/generations`)}`, "-H 'Content-Type: application/json'"];
  if (needsKey) lines.push('-H "Authorization: Bearer $IMAGEGEN_API_KEY"');
  lines.push(`--data-raw ${shellQuoted(json({ ...request, response_format: "b64_json" }))}`);
  return `${lines.join(" \\\n  ")}\n`;
}

/** A Python literal. JSON's escapes are Python's, but a pair of surrogates is one \U there. */
function python(value) {
  if (typeof value !== "string") return String(value);
  return JSON.stringify(value).replace(UNSEEN, (character) => {
    const point = character.codePointAt(0);
    return point > 0xffff ? `\\U${hex(point, 8)}` : `\\u${hex(point, 4)}`;
  });
}

export function pythonCode(request, origin, needsKey) {
  const named = Object.entries(request).filter(([name]) => STANDARD.includes(name));
  const extra = Object.entries(request).filter(([name]) => !STANDARD.includes(name));
  const key = needsKey ? 'os.environ["IMAGEGEN_API_KEY"]' : '"none"';
  return [
    "import base64",
    ...(needsKey ? ["import os"] : []),
    "from pathlib import Path",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${python(`${origin}/v1`)}, api_key=${key})`,
    "answer = client.images.generate(",
    ...named.map(([name, value]) => `    ${name}=${python(value)},`),
    '    response_format="b64_json",',
    `    extra_body={${extra.map(([name, value]) => `${python(name)}: ${python(value)}`).join(", ")}},`,
    ")",
    "for image in answer.data:",
    '    Path(f"imagegen-{image.seed}.png").write_bytes(base64.b64decode(image.b64_json))',
    "",
  ].join("\n");
}

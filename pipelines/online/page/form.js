// The form: its values as a request, a request back into it, and each error beside the field that it is about.

import { ServerError } from "./client.js";

export const MAX_SEED = 2 ** 32 - 1;
const NUMBERS = ["guidance_scale", "temperature", "top_k", "top_p", "num_inference_steps", "best_of"];
const STEPS = { denoise: "denoise", sharpen: "sharpen=0.8", upscale: "upscale=512x512" }; // each as it may be written
const FIELD_OF_CODE = { empty_prompt: "prompt", prompt_too_long: "prompt", invalid_size: "size", model_not_found: "model" };
const FIELD_OF_PARAM = { width: "size", height: "size" };

const byId = (id) => document.getElementById(id);
const fieldOf = (param) => document.querySelector(`[data-param="${CSS.escape(param)}"]`);
const shown = (param) => fieldOf(param) && !fieldOf(param).hidden;

/** A number where the text is one; else the text itself, which the server refuses with its own words. */
function number(text) {
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

export function randomSeed() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

/** {request, count, seed}: `seed` is null where each picture gets a random one. */
export function read() {
  const request = {};
  if (byId("model").value) request.model = byId("model").value;
  request.prompt = byId("prompt").value;
  if (shown("negative_prompt") && byId("negative_prompt").value) request.negative_prompt = byId("negative_prompt").value;
  if (byId("size").value.trim()) request.size = byId("size").value.trim();
  for (const name of NUMBERS) {
    const text = byId(name).value.trim();
    if (text && shown(name)) request[name] = number(text);
  }
  const steps = byId("post_processing").value.trim();
  if (steps && shown("post_processing")) request.post_processing = steps;
  const count = Number(byId("n").value);
  if (!Number.isInteger(count) || count < 1 || count > 10) {
    const message = `n must be a whole number from 1 to 10, got ${byId("n").value || "nothing"}`;
    throw new ServerError(message, { param: "n" });
  }
  const seed = byId("seed").value.trim();
  return { request, count, seed: seed ? number(seed) : null };
}

/** One seed for each picture: seed, seed + 1, ... as the server itself counts for n > 1. */
export function seeds(seed, count) {
  if (seed === null) return Array.from({ length: count }, randomSeed);
  if (!Number.isInteger(seed) || seed < 0 || seed > MAX_SEED) return [seed]; // once, for the server to refuse
  return Array.from({ length: count }, (_, index) => (seed + index) % (MAX_SEED + 1));
}

export function fill(request) {
  const others = ["prompt", "negative_prompt", "size", "seed", "post_processing"];
  for (const name of [...others, ...NUMBERS]) byId(name).value = request[name] ?? "";
  if (request.model && [...byId("model").options].some((option) => option.value === request.model)) {
    byId("model").value = request.model;
    byId("model").dispatchEvent(new Event("change"));
  }
  byId("n").value = 1;
  byId("more").open ||= [...NUMBERS, "post_processing"].some((name) => request[name] !== undefined);
}

/** What a model takes, as far as `GET /v1/models` tells: sizes to choose from, defaults as placeholders. */
export function offer(model) {
  const sizes = Array.isArray(model.sizes) ? model.sizes.map(String) : [];
  const old = byId("size");
  const box = document.createElement(sizes.length ? "select" : "input");
  for (const { name, value } of old.attributes) box.setAttribute(name, value);
  if (sizes.length) box.append(new Option(`auto (${sizes[0]})`, ""), ...sizes.map((size) => new Option(size)));
  box.value = old.value;
  old.replaceWith(box);
  for (const name of NUMBERS) {
    const known = model.defaults;
    fieldOf(name).hidden = Boolean(known) && !(name in known);
    byId(name).placeholder = known?.[name] ?? "the model's own";
  }
  const steps = Array.isArray(model.post_processing) ? model.post_processing.filter((name) => name !== "colorize").map((name) => STEPS[name] ?? name) : [];
  fieldOf("post_processing").hidden = steps.length === 0;
  byId("post_processing-hint").textContent = `(in order, such as ${steps.join(", ")})`;
  fieldOf("negative_prompt").hidden = model.takes_negative_prompt === false;
}

export function clearErrors() {
  for (const box of document.querySelectorAll("#form .error")) {
    box.hidden = true;
    box.textContent = "";
  }
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/** Beside its field where it has one (opened and focused), else below the button. */
export function showError(error) {
  const param = error.status === 401 ? "api_key" : FIELD_OF_PARAM[error.param] ?? error.param ?? FIELD_OF_CODE[error.code];
  const field = param && fieldOf(param);
  if (param === "api_key") field.hidden = false;
  const box = field && !field.hidden ? byId(`${param}-error`) : byId("general-error");
  box.textContent = error.message;
  box.hidden = false;
  if (box.id === "general-error") return;
  const input = byId(param);
  if (byId("more").contains(input)) byId("more").open = true;
  input.setAttribute("aria-invalid", "true");
  input.focus();
}

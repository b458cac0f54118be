// The server's API: requests, streams of server-sent events, errors in OpenAI's form.

const RETRIES = 3;
const LONGEST_WAIT = 30; // seconds; a server that asks for more is better asked by a person

export class ServerError extends Error {
  /** `status` is 0 where no answer came; `param` names the field that the message is about, or is null. */
  constructor(message, { status = 0, param = null, code = null } = {}) {
    super(message);
    Object.assign(this, { status, param, code });
  }
}

export function key() {
  try {
    return sessionStorage.getItem("imagegen-key") ?? "";
  } catch {
    return "";
  }
}

export function keepKey(value) {
  if (value) sessionStorage.setItem("imagegen-key", value);
  else sessionStorage.removeItem("imagegen-key");
}

function headers(extra = {}) {
  return key() ? { ...extra, Authorization: `Bearer ${key()}` } : extra;
}

async function send(path, options = {}) {
  try {
    return await fetch(path, { cache: "no-store", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A key with characters that no header can carry never leaves the browser.
    if (error instanceof TypeError && /header|ByteString/i.test(error.message))
      throw new ServerError("The API key holds characters that cannot be sent; paste it again.", { status: 401 });
    throw new ServerError("The server cannot be reached. Is it running?", { code: "unreachable" });
  }
}

async function refusal(response) {
  const body = await response.json().catch(() => null);
  const told = body?.error ?? {};
  const message = typeof told.message === "string" ? told.message : `The server answered ${response.status} without a message.`;
  return new ServerError(message, { status: response.status, param: told.param ?? null, code: told.code ?? null });
}

/** The entries of `GET /v1/models`. */
export async function models() {
  const response = await send("/v1/models", { headers: headers() });
  if (!response.ok) throw await refusal(response);
  return (await response.json()).data ?? [];
}

/** "ready", "starting" (it answers but cannot generate) or "unreachable". */
export async function readiness() {
  try {
    return (await send("/ready", { signal: AbortSignal.timeout(8000) })).ok ? "ready" : "starting";
  } catch {
    return "unreachable";
  }
}

let tellsQueue = true;

/** {queued, running}, or null where the server does not tell. */
export async function queue() {
  if (!tellsQueue) return null;
  try {
    const response = await send("/v1/queue", { headers: headers(), signal: AbortSignal.timeout(8000) });
    tellsQueue = response.status !== 404;
    const told = response.ok ? await response.json() : null;
    return Number.isInteger(told?.queued) ? { queued: told.queued, running: told.running ?? 0 } : null;
  } catch {
    return null;
  }
}

/** The events of a stream, each one's `data:` read as JSON. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      text += value ?? "";
      const blocks = text.split(/\r?\n\r?\n/);
      text = done ? "" : blocks.pop();
      for (const block of blocks) {
        const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        const data = lines.map((line) => line.slice(5).trimStart()).join("\n");
        if (data && data !== "[DONE]") yield JSON.parse(data);
      }
      if (done) return;
    }
  } finally {
    reader.cancel().catch(() => {}); // leaving early frees the place on the server
  }
}

export function pngBlob(base64) {
  return new Blob([Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))], { type: "image/png" });
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/**
 * One picture. `partial(blob, index)` is called as it grows, `waiting(seconds)` while the server is full.
 * Resolves to {blob, seed, size}; throws ServerError, or AbortError once `signal` says so.
 */
export async function generate(request, { signal, partial, waiting }) {
  const body = JSON.stringify({ ...request, stream: true, partial_images: 3 });
  for (let attempt = 0; ; attempt++) {
    const options = { method: "POST", signal, body, headers: headers({ "Content-Type": "application/json" }) };
    const response = await send("/v1/images/generations", options);
    if (response.ok) return picture(response, partial);
    const wait = Number(response.headers.get("Retry-After") ?? NaN);
    const full = [429, 503].includes(response.status) && wait >= 0 && wait <= LONGEST_WAIT;
    if (!full || attempt >= RETRIES) throw await refusal(response);
    waiting(wait);
    await pause(wait, signal);
  }
}

async function picture(response, partial) {
  const broken = "The connection ended before the picture was done.";
  try {
    for await (const event of events(response.body)) {
      if (event.error) {
        const { message = "The server failed without a message.", type, param = null, code = null } = event.error;
        throw new ServerError(message, { status: type === "invalid_request_error" ? 400 : 500, param, code });
      }
      if (event.type === "image_generation.partial_image") partial(pngBlob(event.b64_json), event.partial_image_index);
      if (event.type === "image_generation.completed") {
        return { blob: pngBlob(event.b64_json), seed: event.seed, size: event.size };
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof ServerError) throw error;
    throw new ServerError(broken);
  }
  throw new ServerError(broken);
}

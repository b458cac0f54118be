// Server state and queue length in the header. Only a change of state is announced; numbers change silently.

import { queue, readiness } from "./client.js";

const EVERY = 4000; // ms
const WORDS = { ready: "Ready", busy: "Busy", starting: "Starting", unreachable: "Not reachable" };
const state = document.getElementById("state");
let drawing = false;
let came = () => {};
let timer = 0;

export function setDrawing(now) {
  drawing = now;
  if (["ready", "busy"].includes(state.dataset.state)) tell(now ? "busy" : "ready");
  look();
}

/** `onReady` is called whenever the server becomes ready, first or again. */
export function start(onReady) {
  came = onReady;
  document.addEventListener("visibilitychange", look);
  return look();
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  const [ready, length] = await Promise.all([readiness(), queue()]);
  const others = length !== null && length.queued + length.running > 0;
  const before = state.dataset.state;
  tell(ready === "ready" && (drawing || others) ? "busy" : ready);
  if (ready === "ready" && !["ready", "busy"].includes(before)) came();
  document.getElementById("queue").textContent = words(ready === "ready" ? length : null);
  clearTimeout(timer);
  timer = setTimeout(look, EVERY);
}

function words(length) {
  if (length === null) return "";
  if (length.queued + length.running === 0) return drawing ? "" : "queue empty"; // replicas tell a moment later
  return `${length.queued} waiting, ${length.running} being drawn`;
}

function tell(now) {
  if (state.dataset.state === now) return;
  state.dataset.state = now;
  state.textContent = WORDS[now];
}

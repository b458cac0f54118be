// What is shown, and in which order. Filters look at every row, so the first one loads all chunks.

const filters = { text: "", status: "", columns: new Map(), sort: "" };
const facets = new Map(about.facets.map((facet) => [facet.column, facet]));
const PATIENCE = 150; // ms after the last key
let turn = 0;

function filtering() {
  return Boolean(filters.text.trim() || filters.status || filters.columns.size || filters.sort);
}

/** `show(items)` gets the items in order, null for all; `tell(done)` the rows looked at meanwhile. */
async function applyFilters(show, tell) {
  const mine = ++turn;
  if (!filtering()) return show(null);
  const words = filters.text.normalize("NFC").toLowerCase().split(/\s+/).filter(Boolean);
  const items = [];
  const whole = await everyChunk((found, index) => {
    if (mine !== turn) return false;
    const first = index * about.chunk_rows;
    for (let at = 0; at < found.rows; at++) if (matches(found, at, words)) items.push(first + at);
    tell(first + found.rows);
  });
  if (whole && mine === turn) show(sorted(items));
}

function matches(found, at, words) {
  const code = found.columns.error_code[at];
  if (filters.status === "success" ? code !== null : filters.status === "failed" ? code === null || code === "content_filtered" : filters.status && code !== filters.status) return false;
  if (words.length) {
    found.searched ??= found.columns.prompt.map((prompt, row) => `${prompt ?? ""}\n${found.columns.id[row] ?? ""}`.normalize("NFC").toLowerCase());
    if (!words.every((word) => found.searched[at].includes(word))) return false;
  }
  for (const [column, wanted] of filters.columns) {
    if (!wanted.takes(found.columns[column][at])) return false;
  }
  return true;
}

function sorted(items) {
  if (!filters.sort) return items;
  const up = filters.sort[0] === "+";
  const column = filters.sort.slice(1);
  const keys = new Map(items.map((item) => {
    const [found, at] = place(item);
    return [item, found.columns[column][at]];
  }));
  const compare = (one, other) => {
    const [left, right] = [keys.get(one), keys.get(other)];
    if (left === right) return one - other;
    if (left === null || left === undefined) return 1; // rows without a value come last, in both orders
    if (right === null || right === undefined) return -1;
    return (left < right ? -1 : 1) * (up ? 1 : -1);
  };
  return items.sort(compare);
}

/** A filter of one column: its controls, and `takes`, which is asked of every value. */
function columnFilter(facet, changed) {
  const filter = { controls: [], takes: () => true };
  const control = (node, label) => {
    node.setAttribute("aria-label", label);
    node.addEventListener("input", () => {
      read();
      changed();
    });
    filter.controls.push(node);
    return node;
  };
  let read;
  if ("low" in facet) {
    const [low, high] = ["at least", "at most"].map((words) => {
      const input = control(document.createElement("input"), `${facet.column} ${words}`);
      input.inputMode = "decimal";
      input.placeholder = String(+(words === "at least" ? facet.low : facet.high).toPrecision(6));
      return input;
    });
    read = () => {
      const [least, most] = [low, high].map((input) => (input.value.trim() === "" ? null : Number(input.value.replace(",", "."))));
      [low, high].forEach((input, index) => input.setAttribute("aria-invalid", String(Number.isNaN([least, most][index]))));
      const bounded = least !== null || most !== null;
      filter.takes = (value) => !bounded || (value !== null && !(Number(value) < least && least !== null) && !(Number(value) > most && most !== null));
    };
  } else if (facet.choices) {
    const select = control(document.createElement("select"), `${facet.column} is`);
    select.append(new Option("any", ""), ...facet.choices.map((choice, index) => new Option(String(choice).slice(0, 60), String(index))), new Option("no value", "none"));
    read = () => {
      const wanted = select.value === "none" ? null : facet.choices[Number(select.value)];
      filter.takes = select.value === "" ? () => true : (value) => value === wanted;
    };
  } else {
    const input = control(document.createElement("input"), `${facet.column} contains`);
    input.type = "search";
    input.placeholder = "contains";
    read = () => {
      const wanted = input.value.normalize("NFC").toLowerCase();
      filter.takes = (value) => !wanted || String(value ?? "").normalize("NFC").toLowerCase().includes(wanted);
    };
  }
  return filter;
}

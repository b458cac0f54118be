// Tabs, controls and copying.

const at = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const panels = [...document.querySelectorAll('[role="tabpanel"]')];
const tabs = [...document.querySelectorAll('[role="tab"]')];

function openTab(name, focus = false) {
  const found = tabs.find((tab) => tab.hash === `#${name}`) ?? tabs[0];
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === found));
    tab.tabIndex = tab === found ? 0 : -1;
  }
  for (const panel of panels) panel.hidden = panel.id !== `panel-${found.hash.slice(1)}`;
  if (focus) found.focus();
  layOut();
}

at("tabs").hidden = false;
at("tabs").addEventListener("click", (event) => {
  const tab = event.target.closest('[role="tab"]');
  if (!tab) return;
  event.preventDefault();
  history.replaceState(null, "", tab.hash);
  openTab(tab.hash.slice(1));
});
at("tabs").addEventListener("keydown", (event) => {
  const now = tabs.indexOf(document.activeElement);
  const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: tabs.length - 1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  openTab(tabs[(next + tabs.length) % tabs.length].hash.slice(1), true);
});
addEventListener("hashchange", () => openTab(location.hash.slice(1)));

// Filters.
let waited = 0;
function changed(after = 0) {
  clearTimeout(waited);
  waited = setTimeout(refresh, after);
}

async function refresh() {
  at("reset").hidden = !filtering();
  try {
    await applyFilters(
      (items) => {
        showItems(items);
        at("empty").hidden = count > 0 || !filtering();
        at("found").textContent = items === null ? `${number(about.items)} rows` : `${number(count)} of ${number(about.items)} rows`;
        at("trouble").hidden = true;
      },
      (done) => (at("found").textContent = `${number(done)} of ${number(about.items)} rows looked at …`),
    );
  } catch (error) {
    failed(error);
  }
}

failed = (error) => {
  at("trouble").textContent = `${error.message} This page needs the folder .report beside it; imagegen report makes both anew.`;
  at("trouble").hidden = false;
};

at("filters").addEventListener("submit", (event) => event.preventDefault());
at("text").addEventListener("input", () => {
  filters.text = at("text").value;
  changed(PATIENCE);
});
at("status").append(new Option("all", ""), new Option("succeeded", "success"), new Option("failed", "failed"));
for (const code of about.codes) at("status").append(new Option(code, code));
at("status").addEventListener("change", () => {
  filters.status = at("status").value;
  changed();
});
at("column").append(new Option("choose …", ""), ...about.facets.map((facet) => new Option(facet.column.slice(0, 60), facet.column)));
at("column").addEventListener("change", () => {
  addColumn(at("column").value);
  at("column").value = "";
});
at("sort").append(new Option("row", ""));
for (const facet of about.facets) {
  if (facet.choices || facet.column === "row") continue;
  at("sort").append(new Option(`${facet.column.slice(0, 50)}, highest first`, `-${facet.column}`), new Option(`${facet.column.slice(0, 50)}, lowest first`, `+${facet.column}`));
}
at("sort").addEventListener("change", () => {
  filters.sort = at("sort").value;
  changed();
});

function addColumn(column) {
  if (!facets.has(column)) return;
  if (!filters.columns.has(column)) {
    const filter = columnFilter(facets.get(column), () => changed(PATIENCE));
    const chip = element("li", "chip");
    const drop = element("button", "quiet", "Remove");
    drop.type = "button";
    drop.setAttribute("aria-label", `Remove the filter of ${column}`);
    drop.addEventListener("click", () => {
      filters.columns.delete(column);
      chip.remove();
      at("column").focus();
      changed();
    });
    const title = element("span", "", column);
    title.dir = "auto";
    chip.append(title, ...filter.controls, drop);
    filter.chip = chip;
    filters.columns.set(column, filter);
    at("chosen").append(chip);
  }
  filters.columns.get(column).controls[0].focus();
}

at("reset").addEventListener("click", () => {
  Object.assign(filters, { text: "", status: "", sort: "" });
  for (const filter of filters.columns.values()) filter.chip.remove();
  filters.columns.clear();
  for (const id of ["text", "status", "sort"]) at(id).value = "";
  at("text").focus();
  changed();
});
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, select, textarea, dialog");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  openTab("pictures");
  at("text").focus();
});
for (const button of document.querySelectorAll("[data-show]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    at("reset").click();
    at("status").value = filters.status = button.dataset.show;
    openTab("pictures", true);
    changed();
  });
}

// Copying. The clipboard's interface is missing on pages that came over plain HTTP.
async function copy(text) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = element("textarea", "offscreen", text);
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
  }
  at("said").textContent = at("viewer-note").textContent = done ? "Copied." : "The browser did not let the text be copied.";
  return done;
}
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const done = await copy(button.dataset.copy);
    button.firstChild.textContent = done ? "Copied" : "Not copied";
    setTimeout(() => (button.firstChild.textContent = "Copy"), 2000);
  });
}

// Times in the reader's own zone.
for (const time of document.querySelectorAll("time")) {
  time.title = time.textContent;
  time.textContent = new Date(time.dateTime).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "exact" in time.dataset ? "medium" : "short",
  });
}

const theme = at("theme");
const dark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
const pressed = () => theme.setAttribute("aria-pressed", String(dark()));
theme.hidden = false;
theme.addEventListener("click", () => {
  const chosen = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = chosen;
  try {
    localStorage.setItem("imagegen-theme", chosen);
  } catch {
    // storage is forbidden: the choice holds until the page is closed
  }
  pressed();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", pressed);
pressed();

openTab(location.hash.slice(1) || "pictures");
refresh();

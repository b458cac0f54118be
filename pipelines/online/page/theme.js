// Runs before the first paint, so that a page kept dark never flashes white.
const kept = (() => {
  try {
    return localStorage.getItem("imagegen-theme");
  } catch {
    return null; // storage is forbidden: the system's choice holds
  }
})();
if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;

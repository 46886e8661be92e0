// Runs before the first paint, so that a dark page does not flash white.
(() => {
  "use strict";
  const key = "coldaisle-theme";
  const asked = () => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is switched off: the system's choice counts
    }
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    document.documentElement.dataset.bsTheme = asked() || (system.matches ? "dark" : "light");
  };
  apply();
  system.addEventListener("change", apply);
  window.coldaisleTheme = {
    toggle() {
      const next = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem(key, next);
      } catch {
        // not kept for the next page, but this one changes
      }
      document.documentElement.dataset.bsTheme = next;
      document.dispatchEvent(new CustomEvent("coldaisle:theme"));
    },
  };
})();

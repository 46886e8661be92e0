// What every page does: menu, theme, and saying when live values stopped coming.
(() => {
  "use strict";
  document.addEventListener("click", (event) => {
    const menu = event.target.closest("[data-toggle-menu]");
    if (menu) {
      const open = document.body.classList.toggle("menu-open");
      menu.setAttribute("aria-expanded", String(open));
    }
    if (event.target.closest("[data-toggle-theme]")) window.coldaisleTheme.toggle();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.body.classList.remove("menu-open");
  });
  // Filters apply as they are chosen; without this script the form's button does it.
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto-submit]");
    if (form) form.requestSubmit();
  });
  const stale = (event) => event.target.closest?.("[data-live]")?.classList.add("is-stale");
  document.addEventListener("htmx:sendError", stale);
  document.addEventListener("htmx:responseError", stale);
  document.addEventListener("htmx:afterSwap", (event) => {
    event.target.closest?.("[data-live]")?.classList.remove("is-stale");
  });
})();

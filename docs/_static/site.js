"use strict";
/* Names that the theme's and the extensions' elements lack for those who hear a page. */
document.addEventListener("DOMContentLoaded", () => {
  const each = (selector, mend) => document.querySelectorAll(selector).forEach(mend);
  each("summary[aria-label='Toggle hidden content']", (e) => e.removeAttribute("aria-label"));
  each(".search-button-field", (e) => e.setAttribute("aria-label", e.innerText.trim() || "Search")); // its text hides on a phone
  each(".citation-list[role=list]", (e) => e.removeAttribute("role"));
  each(".sphx-glr-thumbcontainer a.reference", (e) => e.setAttribute("aria-label", e.textContent.trim()));
  each(".bd-sidebar li > details > summary", (e) =>
    e.setAttribute("aria-label", `pages below ${e.closest("li").querySelector("a").textContent.trim()}`));
});

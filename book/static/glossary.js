// A term of the glossary shows its definition under the pointer and under the keyboard's focus. Esc closes it, the
// pointer may move onto it, and it stays until pointer and focus have left (WCAG 2.1, 1.4.13). The definitions are read
// from the glossary's own page, once, when the first is wanted.
(() => {
  // In an older browser, or a page opened without a server, a term is a link all the same.
  if (!HTMLElement.prototype.showPopover || location.protocol === "file:") return;
  const links = document.querySelectorAll("a.glossary-term");
  const tip = Object.assign(document.createElement("div"), { id: "glossary-tip", role: "tooltip", popover: "manual" });
  document.body.append(tip);
  let glossary, timer, owner;

  const load = () =>
    (glossary ??= fetch(links[0].href)
      .then((answer) => answer.text())
      .then((text) => new DOMParser().parseFromString(text, "text/html")));

  const wanted = (link) => link.matches(":hover, :focus") || (link === owner && tip.matches(":hover"));

  async function show(link) {
    let entry = (await load()).getElementById(link.hash.slice(1));
    while (entry && entry.localName !== "dd") entry = entry.nextElementSibling; // names of one entry share a definition
    if (!entry || !wanted(link)) return;
    owner = link;
    tip.innerHTML = entry.innerHTML;
    tip.querySelectorAll("a").forEach((inner) => inner.replaceWith(...inner.childNodes)); // out of the keyboard's reach
    if (!tip.matches(":popover-open")) tip.showPopover();
    place(link);
    await window.MathJax?.typesetPromise?.([tip]);
    place(link); // its formulas may have changed its size
  }

  function place(link) {
    const line = link.getClientRects()[0];
    const room = document.documentElement.clientWidth - tip.offsetWidth - 8;
    const below = line.bottom + tip.offsetHeight + 8 < innerHeight || line.top < tip.offsetHeight;
    tip.style.left = `${scrollX + Math.max(8, Math.min(line.left, room))}px`;
    tip.style.top = `${scrollY + (below ? line.bottom + 4 : line.top - tip.offsetHeight - 4)}px`;
  }

  const leave = () => {
    clearTimeout(timer);
    timer = setTimeout(() => owner && !wanted(owner) && tip.hidePopover(), 300);
  };

  for (const link of links) {
    link.setAttribute("aria-describedby", tip.id);
    link.addEventListener("focus", () => show(link));
    link.addEventListener("blur", leave);
    link.addEventListener("pointerenter", () => {
      clearTimeout(timer);
      timer = setTimeout(show, 150, link);
    });
    link.addEventListener("pointerleave", leave);
  }
  tip.addEventListener("pointerleave", leave);
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    clearTimeout(timer);
    tip.hidePopover();
  });
  addEventListener("keydown", load, { once: true }); // so that the first description is there when focus arrives
})();

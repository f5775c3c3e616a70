// A list of what is in each section, the section that is being read marked, and boxes that scroll reached by keyboard.
{
  for (const section of document.querySelectorAll("main section")) {
    const heads = [...section.querySelectorAll("h3[id]")];
    if (heads.length < 3) continue;
    const nav = document.createElement("nav");
    const list = document.createElement("ul");
    nav.className = "contents";
    nav.setAttribute("aria-label", `Contents: ${section.querySelector("h2").textContent}`);
    for (const head of heads) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `#${head.id}`;
      link.textContent = head.textContent;
      item.append(link);
      list.append(item);
    }
    nav.append(list);
    (section.querySelector(".lead") || section.querySelector("h2")).after(nav);
  }

  const bar = document.querySelector("nav.bar");
  const links = new Map([...bar.querySelectorAll('a[href^="#"]')].map((link) => [link.hash.slice(1), link]));
  const heads = [...document.querySelectorAll("h2[id]")].filter((head) => links.has(head.id));
  const mark = () => {
    const read = heads.filter((head) => head.getBoundingClientRect().top < innerHeight / 3).pop();
    for (const head of heads) links.get(head.id).toggleAttribute("aria-current", head === read);
  };
  let waiting = false;
  addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; mark(); });
  }, { passive: true });
  mark();

  const boxes = document.querySelectorAll(".scroll");
  const reach = (box) => {
    const scrolls = box.scrollWidth > box.clientWidth && !box.querySelector("[tabindex='0']");
    if (scrolls) box.tabIndex = 0; else box.removeAttribute("tabindex");
  };
  const watch = new ResizeObserver((entries) => entries.forEach((entry) => reach(entry.target)));
  addEventListener("load", () => boxes.forEach((box) => watch.observe(box)));
}

// Values of a figure's points: of the one nearest to the pointer, or one after the other by the arrow keys.
{
  const NEAR = 40; // pixels

  const read = (plot) => plot.dataset.points.split("\n").map((line) => {
    const [, x, y, words] = /^(\d+) (\d+) (.*)$/.exec(line);
    return { x: x / 1000, y: y / 1000, words };
  });

  const enable = (plot) => {
    const points = read(plot);
    const ring = document.createElement("i");
    const tip = document.createElement("output");
    let chosen = -1;
    ring.className = "ring";
    tip.className = "tip";
    ring.hidden = tip.hidden = true;
    plot.append(ring, tip);
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", `Figure with ${points.length} values: arrow keys read them one by one`);

    const hide = () => { chosen = -1; ring.hidden = tip.hidden = true; };
    const show = (index) => {
      if (index === chosen) return;
      chosen = index;
      const { x, y, words } = points[index];
      ring.hidden = tip.hidden = false;
      tip.textContent = words;
      const { width, height } = plot.getBoundingClientRect();
      ring.style.left = `${100 * x}%`;
      ring.style.top = `${100 * y}%`;
      const left = Math.min(Math.max(x * width - tip.offsetWidth / 2, 0), Math.max(0, width - tip.offsetWidth));
      const above = y * height - tip.offsetHeight - 12;
      tip.style.left = `${left}px`;
      tip.style.top = `${above >= 0 ? above : y * height + 12}px`;
    };
    const nearest = (event) => {
      const box = plot.getBoundingClientRect();
      let best = -1;
      let least = NEAR ** 2;
      points.forEach((point, i) => {
        const far = (point.x * box.width - event.clientX + box.left) ** 2
          + (point.y * box.height - event.clientY + box.top) ** 2;
        if (far < least) [best, least] = [i, far];
      });
      return best;
    };
    const point = (event) => {
      const index = nearest(event);
      if (index < 0) hide(); else show(index);
    };
    plot.addEventListener("pointermove", point);
    plot.addEventListener("pointerdown", point);
    plot.addEventListener("pointerleave", () => { if (document.activeElement !== plot) hide(); });
    plot.addEventListener("blur", hide);
    plot.addEventListener("keydown", (event) => {
      const last = points.length - 1;
      const next = {
        ArrowRight: Math.min(last, chosen + 1), ArrowDown: Math.min(last, chosen + 1),
        ArrowLeft: Math.max(0, chosen - 1), ArrowUp: Math.max(0, chosen - 1), Home: 0, End: last,
      }[event.key];
      if (event.key === "Escape") hide();
      if (next === undefined) return;
      event.preventDefault();
      show(next);
    });
  };
  document.querySelectorAll(".plot[data-points]").forEach(enable);
}

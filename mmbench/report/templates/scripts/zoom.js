// Pictures, enlarged by a whole factor; the arrow keys go to their neighbours in the grid, also in the open dialog.
{
  const dialog = document.createElement("dialog");
  const picture = document.createElement("img");
  const words = document.createElement("p");
  const hint = document.createElement("p");
  const close = document.createElement("button");
  dialog.className = "zoom";
  words.id = "zoom-words";
  dialog.setAttribute("aria-labelledby", words.id);
  words.setAttribute("aria-live", "polite");
  picture.className = "enlarged";
  picture.alt = "";
  hint.className = "note";
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.append(picture, words, hint, close);
  document.body.append(dialog);
  let shown = null;

  const show = (image) => {
    shown = image;
    const factor = Math.max(1, Math.floor(Math.min(
      (innerWidth * 0.9 - 32) / image.naturalWidth, (innerHeight * 0.9 - 150) / image.naturalHeight, 20)));
    picture.src = image.src;
    picture.style.width = `${factor * image.naturalWidth}px`;
    const score = image.parentElement.querySelector(".score");
    words.textContent = image.alt + (score ? ` (${score.textContent})` : "");
    hint.textContent = grid(image) ? "Arrow keys: the pictures beside it, and what other methods made of the same." : "";
    hint.hidden = !hint.textContent;
    if (!dialog.open) dialog.showModal();
  };
  const grid = (image) => image.closest("table.pictures");
  const step = (image, key) => {
    const move = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[key];
    const table = grid(image);
    if (!move || !table) return null;
    const rows = [...table.tBodies[0].rows];
    let row = rows.indexOf(image.closest("tr"));
    let column = image.closest("td").cellIndex;
    do {
      [row, column] = [row + move[0], column + move[1]];
      const found = rows[row]?.cells[column]?.querySelector("img.pixels");
      if (found?.checkVisibility()) return found;
    } while (rows[row]?.cells[column]);
    return null;
  };

  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => shown.focus());
  dialog.addEventListener("keydown", (event) => {
    const next = step(shown, event.key);
    if (!next) return;
    event.preventDefault();
    reach(next);
    show(next);
  });

  // One picture of each grid is reached by Tab, the others from it.
  const reach = (image) => {
    const table = grid(image);
    if (table) table.querySelectorAll("img.pixels[tabindex='0']").forEach((other) => { other.tabIndex = -1; });
    image.tabIndex = 0;
  };
  for (const image of document.querySelectorAll("img.pixels")) {
    const table = grid(image);
    const first = table && [...table.querySelectorAll("img.pixels")].find((other) => other.checkVisibility());
    image.tabIndex = table && first !== image ? -1 : 0;
    image.setAttribute("role", "button");
    image.setAttribute("aria-haspopup", "dialog");
    image.addEventListener("click", () => { reach(image); show(image); });
    image.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        show(image);
        return;
      }
      const next = step(image, event.key);
      if (!next) return;
      event.preventDefault();
      reach(next);
      next.focus();
    });
  }
}

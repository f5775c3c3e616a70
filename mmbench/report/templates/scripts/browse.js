// A slider over the groups of a grid of pictures, one at a time; its end shows all of them, as paper does.
for (const figure of document.querySelectorAll("figure[data-slider]")) {
  const table = figure.querySelector("table.pictures");
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const group = heads.flatMap((head, index) => Array(head.colSpan).fill(index));
  const box = document.createElement("div");
  const label = document.createElement("label");
  const slider = document.createElement("input");
  const shown = document.createElement("output");
  const show = (chosen) => {
    const hides = (index) => chosen < heads.length && index !== chosen;
    heads.forEach((head, index) => { head.hidden = hides(index); });
    for (const row of table.tBodies[0].rows) {
      [...row.cells].slice(1).forEach((cell, column) => { cell.hidden = hides(group[column]); });
    }
    shown.textContent = chosen < heads.length ? heads[chosen].textContent : "all";
    slider.setAttribute("aria-valuetext", shown.textContent);
    const images = [...table.querySelectorAll("img.pixels")]; // one of them is reached by Tab
    const first = images.find((image) => image.checkVisibility());
    for (const image of images) image.tabIndex = image === first ? 0 : -1;
  };
  box.className = "browse";
  label.textContent = figure.dataset.slider;
  Object.assign(slider, { type: "range", min: 0, max: heads.length, value: Math.floor(heads.length / 2) });
  slider.addEventListener("input", () => show(slider.valueAsNumber));
  addEventListener("beforeprint", () => show(heads.length));
  addEventListener("afterprint", () => show(slider.valueAsNumber));
  label.append(slider);
  box.append(label, shown);
  figure.prepend(box);
  show(slider.valueAsNumber);
}

// Tables: rows sorted by a column, and only those that match a filter.
{
  const FEW = 5; // rows that are seen at once without a filter

  const key = (cell) => {
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim().toLowerCase() : value === "" ? NaN : Number(value);
  };
  const compare = (a, b, sign) => {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    if (typeof a === "string") return sign * a.localeCompare(b);
    if (isNaN(a) || isNaN(b)) return isNaN(a) - isNaN(b);
    return sign * (a - b);
  };
  const sort = (table, column, header) => {
    const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", sign === 1 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
    rows.sort((a, b) => compare(a[0], b[0], sign));
    body.append(...rows.map((pair) => pair[1]));
  };

  // A test of one cell: `< 0.05`, `>= 3` and `= 2` of its number, anything else of its words.
  const condition = (wanted) => {
    const found = /^(<=|>=|<|>|=)\s*(-?[\d.]+(?:e-?\d+)?)$/i.exec(wanted.trim().replace("\u2212", "-"));
    if (!found) {
      const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
      return (cells) => {
        const text = cells.map((cell) => cell.textContent).join(" ").toLowerCase();
        return words.every((word) => text.includes(word));
      };
    }
    const limit = Number(found[2]);
    const holds = {
      "<": (x) => x < limit, "<=": (x) => x <= limit, ">": (x) => x > limit, ">=": (x) => x >= limit,
      "=": (x) => x === limit,
    }[found[1]];
    return (cells) => cells.some((cell) => cell.dataset.value && holds(Number(cell.dataset.value)));
  };

  const element = (tag, values) => Object.assign(document.createElement(tag), values);
  const addFilter = (table) => {
    const tools = table.closest(".table").querySelector(".tools");
    const names = [...table.tHead.rows[0].cells].map((header) => header.textContent);
    const about = table.closest(".table").querySelector("figcaption").textContent;
    const input = element("input", { type: "search", placeholder: "Filter rows", autocomplete: "off" });
    const column = element("select", {});
    const shown = element("output", {});
    input.setAttribute("aria-label", `Filter the rows of: ${about}`);
    column.setAttribute("aria-label", `Column to filter by in: ${about}`);
    input.title = "Words, or a comparison like < 0.05";
    column.append(new Option("in all columns", ""), ...names.map((name, i) => new Option(`in ${name}`, i)));
    const filter = () => {
      const holds = condition(input.value);
      const rows = [...table.tBodies[0].rows];
      for (const row of rows) {
        row.hidden = !holds(column.value === "" ? [...row.cells] : [row.cells[column.value]]);
      }
      const left = rows.filter((row) => !row.hidden).length;
      shown.textContent = left === rows.length ? "" : `${left} of ${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    column.addEventListener("change", filter);
    tools.prepend(input, column, shown);
  };

  for (const table of document.querySelectorAll("table.sortable")) {
    if (table.tBodies[0].rows.length >= FEW) addFilter(table);
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const inner = element("button", { type: "button" });
      inner.append(...header.childNodes);
      inner.addEventListener("click", () => sort(table, column, header));
      header.append(inner);
    });
  }
}

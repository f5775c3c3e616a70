// Light and dark: the system's choice, until the reader makes one, which this browser keeps.
{
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const kept = (value) => {
    try {
      if (value) localStorage.setItem("mmbench-theme", value);
      return localStorage.getItem("mmbench-theme");
    } catch {
      return null; // storage may be forbidden for files
    }
  };
  const current = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const label = () => {
    const other = current() === "dark" ? "light" : "dark";
    button.textContent = other === "dark" ? "Dark" : "Light";
    button.setAttribute("aria-label", `${button.textContent} colours`);
  };
  if (["light", "dark"].includes(kept())) root.dataset.theme = kept();
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = kept(current() === "dark" ? "light" : "dark") || (current() === "dark" ? "light" : "dark");
    label();
  });
  dark.addEventListener("change", label);
  label();
}

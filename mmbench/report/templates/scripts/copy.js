// Buttons that copy a command: beside every figure, and in every box of a command.
{
  const announced = document.createElement("output");
  announced.className = "hidden";
  document.body.append(announced);
  const copy = async (button, text, source) => {
    const before = button.textContent;
    let said = "Copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      said = source ? "Selected" : text; // no clipboard here: what is to be copied is shown
      if (source) getSelection().selectAllChildren(source);
    }
    button.textContent = announced.textContent = said;
    if (said !== text) setTimeout(() => { button.textContent = before; announced.textContent = ""; }, 1500);
  };
  for (const box of document.querySelectorAll(".command")) {
    const button = document.createElement("button");
    const code = box.querySelector("code");
    button.type = "button";
    button.textContent = "Copy";
    button.setAttribute("aria-label", "Copy the command");
    button.addEventListener("click", () => copy(button, code.textContent.trim(), code));
    box.append(button);
  }
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", () => copy(button, button.dataset.copy));
  }
}

// Paper shows what is closed: sections are opened for printing, and closed again afterwards.
{
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const section of closed) section.open = true;
  });
  addEventListener("afterprint", () => { for (const section of closed) section.open = false; });
}

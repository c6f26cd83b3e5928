// Starts the page's module, and says it where that cannot be.
import start from "./page.js";
start({ module_or_path: new URL("page_bg.wasm", import.meta.url) }).catch((error) => {
  const note = document.querySelector("#starting p");
  if (note) note.textContent = `Meanwhile could not start: ${error}. A current browser is needed.`;
  throw error;
});

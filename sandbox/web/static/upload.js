// Sends files in parts by the tus protocol 1.0, so that an interrupted upload goes on where it was; the plain form
// stays for browsers without scripts.
"use strict";
(() => {
  const form = document.querySelector("form[data-upload]");
  if (!form || !window.fetch) return;
  const PART = 4 * 1024 * 1024, TRIES = 8;
  const file = form.querySelector("input[type=file]"), bar = form.querySelector("progress");
  const text = form.querySelector("[data-text]"), button = form.querySelector("button[type=submit]");
  const hint = form.querySelector("[data-drop]"), words = form.dataset;
  const basic = { "Tus-Resumable": "1.0.0", "X-CSRF-Token": form.querySelector("[name=csrf]").value };
  const encoded = (value) => btoa(String.fromCharCode(...new TextEncoder().encode(value)));
  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  hint.textContent = hint.dataset.drop;

  const begun = (chosen, kind) => [...document.querySelectorAll("[data-partial]")].find(
    (row) => row.dataset.kind === kind && Number(row.dataset.size) === chosen.size);

  const place = async (chosen, kind) => {
    const found = begun(chosen, kind);
    if (found) return found.dataset.partial;
    const answer = await fetch(words.upload, { method: "POST", headers: { ...basic, "Upload-Length": String(chosen.size),
      "Upload-Metadata": `filename ${encoded(chosen.name)},kind ${encoded(kind)}` } });
    if (answer.status === 413) throw new Error(words.large);
    if (answer.status === 403) throw new Error(words.terms);
    if (!answer.ok) throw new Error(words.broke);
    return answer.headers.get("Location");
  };

  const offset = async (address) => {
    const answer = await fetch(address, { method: "HEAD", headers: basic });
    if (!answer.ok) throw new Error(words.broke);
    return Number(answer.headers.get("Upload-Offset"));
  };

  const send = async (chosen, kind) => {
    const address = await place(chosen, kind);
    let at = null, failed = 0;
    while (at === null || at < chosen.size) {
      try {
        if (at === null) at = await offset(address);
        if (at >= chosen.size) break;
        const answer = await fetch(address, { method: "PATCH", body: chosen.slice(at, at + PART), headers: { ...basic,
          "Content-Type": "application/offset+octet-stream", "Upload-Offset": String(at) } });
        if (answer.status === 404) throw new Error(words.broke);
        if (!answer.ok) { at = null; throw new TypeError(); }
        at = Number(answer.headers.get("Upload-Offset"));
        failed = 0;
        bar.value = (100 * at) / chosen.size;
        text.textContent = words.progress.replace("{percent}", String(Math.floor(bar.value)));
      } catch (error) {
        failed += 1;
        if (!(error instanceof TypeError) || failed > TRIES) throw error instanceof TypeError ? new Error(words.broke) : error;
        text.textContent = words.again;
        at = null;
        await pause(Math.min(30, 2 ** failed));
      }
    }
    text.textContent = words.whole;
  };

  const start = async (chosen) => {
    const kind = form.querySelector("[name=kind]:checked");
    if (!chosen || !chosen.size || !kind) { form.reportValidity(); return; }
    button.disabled = file.disabled = true;
    bar.hidden = false;
    try { await send(chosen, kind.value); location.reload(); }
    catch (error) { text.textContent = error.message; button.disabled = file.disabled = false; }
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); start(file.files[0]); });
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("over"); });
  form.addEventListener("dragleave", () => form.classList.remove("over"));
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    form.classList.remove("over");
    if (!button.disabled) start(event.dataTransfer.files[0]);
  });
})();

// Keeps the page of a running submission up to date; without it the page reloads itself.
"use strict";
(() => {
  const place = document.querySelector("[data-events]");
  if (!place) return;
  const text = place.querySelector("[data-text]");
  const used = place.querySelector("[data-used]");
  const bar = place.querySelector("[data-bar]");
  const stages = [...place.querySelectorAll("[data-stages] > li")];
  const again = (seconds) => setTimeout(() => location.reload(), seconds * 1000);
  if (!window.EventSource) { again(3); return; }
  const source = new EventSource(place.dataset.events);
  let state = null;
  source.onmessage = (event) => {
    const now = JSON.parse(event.data);
    if (text.textContent !== now.text) text.textContent = now.text;
    bar.value = now.percent;
    used.textContent = now.used;
    stages.forEach((item, i) => {
      item.className = i < now.index ? "past" : i === now.index ? "present" : "ahead";
      if (i === now.index) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current");
    });
    // The heading says the state: when that changes, the page is another one.
    if (now.over || (state !== null && state !== now.state)) { source.close(); location.reload(); }
    state = now.state;
  };
  source.onerror = () => {
    // A browser gives up by itself when the service answers that it has no stream free.
    if (source.readyState === EventSource.CLOSED) again(3);
  };
})();
// A page that waits for a short job of a worker asks again; without scripts it reloads itself.
(() => {
  const waiting = document.querySelector("[data-reload]");
  if (waiting) setTimeout(() => location.reload(), Number(waiting.dataset.reload) * 1000);
})();

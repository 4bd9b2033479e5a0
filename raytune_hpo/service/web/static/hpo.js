// The whole script: pages stay up to date by the study's events, sheets close, "/" goes to the filter. Without it, every
// page is whole, as it was when it was made.
"use strict";

const LIVE = ["state", "card", "history", "running", "failures", "best", "log"];

// Whatever holds focus, a selection or an open sheet stays as it is.
function isInUse(part) {
  const chosen = document.getSelection();
  const isChosen = chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  return part.contains(document.activeElement) || isChosen || part.querySelector("details[open]") !== null;
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of LIVE) {
    const now = document.getElementById(id);
    const next = fresh.getElementById(id);
    if (now && next && now.innerHTML !== next.innerHTML && !isInUse(now)) now.replaceWith(next);
  }
}

function follow(url) {
  const said = document.getElementById("connection");
  let lastAt = new Date();
  let isBehind = false;
  let isBusy = false;
  async function update() {
    isBehind = true;
    if (document.hidden || isBusy) return;
    isBusy = true;
    while (isBehind) {
      isBehind = false;
      try {
        await refresh();
      } catch {
        break; // the connection is lost, which the stream notices too
      }
      await new Promise((go) => setTimeout(go, 500));
    }
    isBusy = false;
  }
  const stream = new EventSource(url);
  stream.addEventListener("open", () => (said.textContent = "live"));
  stream.addEventListener("error", () => (said.textContent = `not connected, as of ${lastAt.toLocaleTimeString()}`));
  stream.addEventListener("snapshot", () => {
    lastAt = new Date();
    update();
  });
  stream.addEventListener("end", () => {
    stream.close();
    said.textContent = "";
    update();
  });
  document.addEventListener("visibilitychange", () => isBehind && update());
}

const events = document.body.dataset.events;
if (events) follow(events);
if (document.querySelector("[data-again]")) setTimeout(() => location.reload(), 1000);

document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key === "Escape") {
    for (const sheet of document.querySelectorAll("details.menu[open]")) {
      sheet.open = false;
      sheet.querySelector("summary").focus();
    }
  } else if (event.key === "/" && !isTyping) {
    const filter = document.querySelector("[data-filter]");
    if (filter) {
      event.preventDefault();
      filter.focus();
    }
  }
});
document.addEventListener("click", (event) => {
  for (const sheet of document.querySelectorAll("details.menu[open]")) {
    if (!sheet.contains(event.target)) sheet.open = false;
  }
});
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (button?.getAttribute("aria-busy") === "true") event.preventDefault();
    else button?.setAttribute("aria-busy", "true");
  });
}

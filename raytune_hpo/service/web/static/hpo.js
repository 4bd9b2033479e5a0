// The whole script: pages stay up to date by the study's events, times are the reader's, figures are drawn when they are seen, sheets close, "/"
// goes to the filter. Without it, every page is whole, as it was when it was made, but for the figures.
"use strict";

const LIVE = ["state", "card", "history", "running", "queue", "failures", "best", "log", "actions", "lanes", "guards", "parameters"];

// Whatever holds focus, a selection or an open sheet stays as it is.
function isInUse(part) {
  const chosen = document.getSelection();
  const isChosen = chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  return part.contains(document.activeElement) || isChosen || part.querySelector("details[open]") !== null;
}

// Times are sent in UTC. Here they become those of the reader's zone, with the date if it is not today's.
const TIME = { hour: "2-digit", minute: "2-digit" };
const DATE = { day: "numeric", month: "short" };
const written = (at, parts) => at.toLocaleString("en-GB", parts).replaceAll(",", "");
const clock = (at) => {
  const now = new Date();
  if (at.toDateString() === now.toDateString()) return written(at, { ...TIME, second: "2-digit" });
  return written(at, { ...DATE, ...TIME, year: at.getFullYear() === now.getFullYear() ? undefined : "numeric" });
};

function inOwnZone(page) {
  for (const time of page.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    time.title = written(at, { ...DATE, ...TIME, weekday: "short", year: "numeric", second: "2-digit", timeZoneName: "short" });
    if ("clock" in time.dataset) time.textContent = clock(at);
  }
  for (const label of page.querySelectorAll("text[data-at]")) {
    const at = new Date(label.dataset.at);
    const isMidnight = at.getHours() === 0 && at.getMinutes() === 0;
    label.textContent = written(at, "day" in label.dataset ? { ...DATE, ...(isMidnight ? {} : TIME) } : TIME);
  }
}

// What is typed is of the reader's zone, too, and sent with its offset from UTC.
function takeOwnZone(input) {
  input.placeholder = "what ran at, your time";
  input.labels[0].textContent = "What ran at (your time)";
  input.form.addEventListener("submit", () => {
    const typed = input.value.trim();
    if (!/^\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?$/.test(typed)) return;
    const at = new Date(typed.length > 10 ? typed.replace(" ", "T") : `${typed}T00:00`);
    if (Number.isNaN(at.getTime())) return;
    const ahead = -at.getTimezoneOffset();
    const two = (number) => String(Math.floor(number)).padStart(2, "0");
    input.value = `${typed.replace("T", " ")}${typed.length > 10 ? "" : " 00:00"}${ahead < 0 ? "-" : "+"}${two(Math.abs(ahead) / 60)}:${two(Math.abs(ahead) % 60)}`;
  });
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  inOwnZone(fresh);
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
  stream.addEventListener("error", () => (said.textContent = `not connected, as of ${clock(lastAt)}`));
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

// plotly.js is large: it is loaded when the first figure comes near the window.
let library = null;
function plotly(url) {
  library ??= new Promise((loaded, failed) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => loaded(window.Plotly);
    script.onerror = () => failed(new Error("plotly.js could not be loaded"));
    document.head.append(script);
  });
  return library;
}

// Figures are made for a white ground; the page's own colours take its place, so that their data need not know of them.
function inColours(layout) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const [text, line, muted] = ["--text", "--line", "--muted"].map(colour);
  const axes = Object.keys(layout).filter((key) => /^[xyz]axis\d*$/.test(key));
  for (const key of axes) {
    layout[key] = { ...layout[key], gridcolor: line, zerolinecolor: line, linecolor: muted, tickcolor: muted };
  }
  const own = layout.template?.layout ?? {};
  for (const key of ["xaxis", "yaxis"]) own[key] = { ...own[key], gridcolor: line, zerolinecolor: line };
  const font = { ...layout.font, color: text };
  const clear = { paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", modebar: { bgcolor: "rgba(0,0,0,0)", color: muted } };
  for (const note of layout.annotations ?? []) note.font = { ...note.font, color: text };
  return { ...layout, ...clear, font };
}

// plotly cuts titles off where a figure is narrow: they go on below each other instead, and the legend goes to the foot.
const NARROW = 620;
function wrapped(title, room) {
  const most = Math.max(12, Math.floor(room / (0.56 * (title.font?.size ?? 15))));
  if (!title.text || title.text.includes("<") || title.text.length <= most) return title;
  const lines = [""];
  for (const word of title.text.split(" ")) {
    const last = lines.at(-1);
    if (last && last.length + word.length >= most) lines.push(word);
    else lines[lines.length - 1] = last ? `${last} ${word}` : word;
  }
  return { ...title, text: lines.join("<br>"), align: "left" };
}

function fitting({ data, layout }, width) {
  if (width >= NARROW) return layout;
  const margin = { l: 80, r: 24, t: 64, b: 60, ...layout.margin };
  const room = width - margin.l - margin.r;
  const isColumn = (layout.annotations ?? []).every((note) => note.x === layout.annotations[0].x);
  const found = { ...layout, annotations: (layout.annotations ?? []).map((note) => (isColumn ? wrapped(note, room) : note)) };
  if (layout.title?.text) found.title = wrapped(layout.title, width - 16);
  for (const key of Object.keys(layout).filter((each) => /^xaxis\d*$/.test(each))) {
    const axis = layout[key];
    if (axis.title?.text) found[key] = { ...axis, title: { ...wrapped(axis.title, room), align: undefined } };
  }
  const lines = (title) => (title?.text ?? "").split("<br>").length - 1;
  margin.t += 20 * (lines(found.title) + Math.max(0, ...found.annotations.map(lines)));
  const names = new Set(data.filter((trace) => trace.name && trace.showlegend !== false).map((trace) => trace.name));
  if (names.size > 1) {
    margin.b += 20 * names.size;
    found.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", y: 0, yref: "container", yanchor: "bottom" };
  }
  return { ...found, margin };
}

async function draw(place) {
  const url = place.closest("[data-plotly]")?.dataset.plotly;
  if (!url) return;
  try {
    const [answer, Plotly] = await Promise.all([fetch(place.dataset.figure), plotly(url)]);
    const figure = await answer.json();
    if (answer.status === 202) return setTimeout(() => draw(place), 1000);
    if (!answer.ok) throw new Error(figure.detail);
    const layout = fitting({ ...figure, layout: inColours(figure.layout) }, place.clientWidth);
    const height = Math.max(place.clientHeight, 0);
    await Plotly.newPlot(place, figure.data, { ...layout, height, width: undefined, autosize: true }, { displaylogo: false, responsive: true });
  } catch (error) {
    place.classList.add("failed");
    place.textContent = error.message;
  }
}
const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      near.unobserve(entry.target);
      draw(entry.target);
    }
  },
  { rootMargin: "200px" },
);
for (const place of document.querySelectorAll("[data-figure]")) near.observe(place);
document.getElementById("errors")?.focus();

inOwnZone(document);
for (const input of document.querySelectorAll("input[data-zone]")) takeOwnZone(input);

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

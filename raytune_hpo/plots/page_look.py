"""The style sheet of pages, and the script that draws their figures, sorts and filters their tables."""

CSS = """
:root { color-scheme: light dark; --text: #22262e; --muted: #5b6370; --ground: #f5f6f8; --card: white; --line: #e3e6eb;
        --link: #0072b2; --edge: #c5cbd5; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e2e5ea; --muted: #a0a8b5; --ground: #0d1015; --card: #171b22; --line: #2a303a; --link: #5cb3ec;
          --edge: #465062; }
  /* Figures are drawn for white: turned upside down, their hues turned back, what stands out still does. */
  .figure { filter: invert(1) hue-rotate(180deg); }
}
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: var(--text);
       background: var(--ground); margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; overflow-wrap: anywhere; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px; margin: 16px 0;
          scroll-margin-top: 56px; }
section > .muted { margin: 0 0 10px; font-size: 15px; max-width: 46em; overflow-wrap: anywhere; }
.caption { margin: 0 0 4px; font-size: 15px; overflow-wrap: anywhere; }
[hidden] { display: none; }
.muted { color: var(--muted); }
.figure { overflow: hidden; }
.figure.wide { min-width: 960px; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px 36px; margin: 0; }
.tiles dt { color: var(--muted); font-size: 14px; overflow-wrap: anywhere; }
.tiles dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums; }
nav, .choice { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: center; margin: 12px 0; font-size: 15px; }
nav a { color: var(--link); text-decoration: none; }
nav a:hover { text-decoration: underline; }
.choice { position: sticky; top: 0; z-index: 5; background: var(--ground); padding: 8px 0; gap: 8px; }
.choice button { font: inherit; padding: 2px 14px; border: 1px solid var(--edge); border-radius: 14px;
                 background: var(--card); color: inherit; cursor: pointer; }
.choice button[aria-pressed="true"] { background: #0072b2; border-color: #0072b2; color: white; }
.scroll { overflow-x: auto; }
.filter { font: inherit; font-size: 15px; box-sizing: border-box; width: 100%; max-width: 26em; margin: 0 0 8px;
          padding: 4px 10px; border: 1px solid var(--edge); border-radius: 6px; background: var(--card); color: inherit; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
th { color: var(--muted); font-weight: 600; }
.sorts th { cursor: pointer; }
.sorts th[aria-sort="ascending"]::after { content: " \\2191"; }
.sorts th[aria-sort="descending"]::after { content: " \\2193"; }
td.number, th.number { text-align: right; }
tr:target td { background: color-mix(in srgb, var(--link) 18%, transparent); }
pre { background: var(--ground); padding: 12px; overflow-x: auto; font-size: 14px; margin: 0; border-radius: 6px; }
@media (max-width: 700px) { main { padding: 12px 8px 32px; } section { padding: 14px 12px; } .tiles { gap: 10px 22px; } }
@media print { nav, .choice, .filter { display: none; } section { break-inside: avoid; } .figure { filter: none; } }
"""

# plotly.js is inflated when the page is there, which takes a moment. A figure is drawn when it comes near the window: all
# at once would keep the reader waiting. While the study runs the page is read again, unless the reader is just pointing
# at something or has filtered the table; what was chosen and where it stood is kept.
SCRIPT = """
const kept = "raytune-hpo " + location.pathname;
const remembered = JSON.parse(sessionStorage.getItem(kept) || "{}");
async function inflated(text) {
  const bytes = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}
const library = (async () => {
  const code = document.createElement("script");
  code.textContent = await inflated(document.getElementById("plotly").textContent);
  document.head.append(code);
})();
library.catch(() => document.querySelectorAll(".figure").forEach(figure => {
  figure.style.height = "auto";
  figure.textContent = "Figures need a browser of 2023 or later, one that has DecompressionStream.";
}));
async function draw(section) {
  const data = section.querySelector("script[type='application/json']");
  if (!data || section.hidden) return;
  data.remove();
  await library;
  const figure = JSON.parse(data.textContent), place = section.querySelector(".figure");
  // The labels of parallel coordinates need a ground to be readable on lines: that of the card, or what becomes it.
  const isLine = figure.data.some(trace => trace.type === "parcoords");
  const card = matchMedia("(prefers-color-scheme: dark)").matches ? "#e1e5ec" : "white";
  Object.assign(figure.layout, {paper_bgcolor: isLine ? card : "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)"});
  figure.layout.modebar = {bgcolor: "rgba(0,0,0,0)"};
  const axes = (figure.layout.template || {}).layout || {};
  [axes.xaxis, axes.yaxis].filter(axis => axis).forEach(axis => { axis.gridcolor = "rgba(128,136,150,0.2)"; });
  await Plotly.newPlot(place, figure.data, figure.layout, {displaylogo: false, responsive: true});
  place.on("plotly_click", event => {
    const trial = /trial (\\d+)/.exec(event.points[0].text || "");
    if (trial && document.getElementById("trial-" + trial[1])) location.hash = "trial-" + trial[1];
  });
}
const sections = [...document.querySelectorAll("section")];
const near = new IntersectionObserver(
  entries => entries.filter(entry => entry.isIntersecting).forEach(entry => draw(entry.target)),
  {rootMargin: "600px"});
const buttons = [...document.querySelectorAll(".choice button")];
let chosen = "0";
function choose(metric) {
  chosen = buttons.some(button => button.dataset.for === metric) ? metric : "0";
  buttons.forEach(button => button.setAttribute("aria-pressed", button.dataset.for === chosen));
  sections.forEach(section => { section.hidden = (section.dataset.metric || chosen) !== chosen; });
}
choose(remembered.chosen || "0");
buttons.forEach(button => button.addEventListener("click", () => choose(button.dataset.for)));
sections.forEach(section => near.observe(section));
addEventListener("beforeprint", () => sections.forEach(draw));
function sorted(table, column) {
  const heads = [...table.tHead.rows[0].cells], head = heads[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const value = row => {
    const cell = row.cells[column], text = cell.dataset.value ?? cell.textContent;
    return text === "" ? null : text === "nan" || isNaN(text) ? text : Number(text);
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  const rows = [...table.tBodies[0].rows].map(row => [value(row), row]);
  rows.sort(([a], [b]) => a === null || b === null ? (a === null) - (b === null) : (down ? -1 : 1) * compare(a, b));
  table.tBodies[0].append(...rows.map(([, row]) => row));
}
document.querySelectorAll("table.sorts").forEach(table => [...table.tHead.rows[0].cells].forEach((head, column) => {
  head.tabIndex = 0;
  head.addEventListener("click", () => sorted(table, column));
  head.addEventListener("keydown", event => { if (event.key === "Enter") sorted(table, column); });
}));
const filters = [...document.querySelectorAll("input.filter")];
filters.forEach(field => field.addEventListener("input", () => {
  const words = field.value.toLowerCase().split(/\\s+/).filter(word => word);
  [...field.parentElement.querySelector("table").tBodies[0].rows].forEach(row => {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every(word => text.includes(word));
  });
}));
if (remembered.at !== undefined) { history.scrollRestoration = "manual"; scrollTo(0, remembered.at); }
let moved = 0;
addEventListener("pointermove", () => { moved = Date.now(); });
function again() {
  const isRead = document.hidden || Date.now() - moved < 2000 || filters.some(field => field.value);
  if (isRead) return setTimeout(again, 1000);
  sessionStorage.setItem(kept, JSON.stringify({at: scrollY, chosen: chosen}));
  location.reload();
}
if (refreshSeconds !== null) setTimeout(again, 1000 * refreshSeconds);
else sessionStorage.removeItem(kept);
"""

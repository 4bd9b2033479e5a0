"""The style sheet of pages, and the script that draws their figures."""

CSS = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; color: #22262e;
       background: #f5f6f8; margin: 0; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 16px 48px; }
h1 { font-size: 26px; margin: 8px 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
section { background: white; border: 1px solid #e3e6eb; border-radius: 8px; padding: 18px 20px; margin: 16px 0;
          scroll-margin-top: 56px; }
section > .muted { margin: 0 0 10px; font-size: 15px; max-width: 46em; }
[hidden] { display: none; }
.muted { color: #5b6370; }
.figure { overflow: hidden; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px 36px; margin: 0; }
.tiles dt { color: #5b6370; font-size: 14px; }
.tiles dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums; }
nav, .choice { display: flex; flex-wrap: wrap; gap: 4px 18px; align-items: center; margin: 12px 0; font-size: 15px; }
nav a { color: #0072b2; text-decoration: none; }
nav a:hover { text-decoration: underline; }
.choice { position: sticky; top: 0; z-index: 5; background: #f5f6f8; padding: 8px 0; gap: 8px; }
.choice button { font: inherit; padding: 2px 14px; border: 1px solid #c5cbd5; border-radius: 14px; background: white;
                 color: inherit; cursor: pointer; }
.choice button[aria-pressed="true"] { background: #0072b2; border-color: #0072b2; color: white; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid #eceef2; text-align: left; white-space: nowrap; }
th { color: #5b6370; font-weight: 600; }
td.number, th.number { text-align: right; }
pre { background: #f5f6f8; padding: 12px; overflow-x: auto; font-size: 14px; margin: 0; border-radius: 6px; }
@media print { nav, .choice { display: none; } section { break-inside: avoid; } }
"""

# A figure is drawn when it comes near the window: all at once would keep the reader waiting. While the study runs the
# page is read again, unless the reader is just pointing at something; what was chosen and where it stood is kept.
SCRIPT = """
const kept = "raytune-hpo " + location.pathname;
const remembered = JSON.parse(sessionStorage.getItem(kept) || "{}");
function draw(section) {
  const data = section.querySelector("script[type='application/json']");
  if (!data || section.hidden) return;
  const figure = JSON.parse(data.textContent);
  data.remove();
  Plotly.newPlot(section.querySelector(".figure"), figure.data, figure.layout, {displaylogo: false, responsive: true});
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
if (remembered.at !== undefined) { history.scrollRestoration = "manual"; scrollTo(0, remembered.at); }
let moved = 0;
addEventListener("pointermove", () => { moved = Date.now(); });
function again() {
  if (document.hidden || Date.now() - moved < 2000) return setTimeout(again, 1000);
  sessionStorage.setItem(kept, JSON.stringify({at: scrollY, chosen: chosen}));
  location.reload();
}
if (refreshSeconds !== null) setTimeout(again, 1000 * refreshSeconds);
else sessionStorage.removeItem(kept);
"""

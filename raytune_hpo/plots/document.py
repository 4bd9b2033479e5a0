"""The HTML document that all pages share: one file, with plotly.js once and figures that are drawn when seen."""

from __future__ import annotations

import base64
import gzip
import html
import json
import time
from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from raytune_hpo import __version__
from raytune_hpo.display.text import column
from raytune_hpo.plots import style
from raytune_hpo.plots.page_look import CSS, SCRIPT

if TYPE_CHECKING:
    from raytune_hpo.plots.sections import Section

_CELL = 80  # characters of a table
_LEFT, _NARROW = 0.2, 40  # of the width, what is in the first column; characters that a telephone shows


def document(title: str, body: str, *, note: str = "", refresh_s: float | None = None) -> str:
    """A whole page around its body.

    Args:
        note: a last sentence for its foot.
        refresh_s: seconds after which an open page reloads itself.
    """
    title = html.escape(title)
    seconds = "null" if refresh_s is None else json.dumps(refresh_s)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style>'
        f"</head><body><main><h1>{title}</h1>{body}"
        f'<p class="muted">Written by raytune_hpo {__version__}, {time.strftime("%Y-%m-%d %H:%M:%S %Z")}.{note}</p>'
        # Last, so that the text is there before plotly.js has been read and inflated.
        f'</main><script type="text/plain" id="plotly">{_plotly_js()}</script>'
        f"<script>const refreshSeconds = {seconds};{SCRIPT}</script></body></html>"
    )


@cache
def _plotly_js() -> str:
    """plotly.js, deflated, in base64: a third of its size; browsers inflate it without a library."""
    return base64.b64encode(gzip.compress(style.plotly("offline").get_plotlyjs().encode(), mtime=0)).decode()


def contents(titles: Iterable[str]) -> str:
    """Links to the sections of a page."""
    links = "".join(f'<a href="#{anchor(title)}">{html.escape(title)}</a>' for title in dict.fromkeys(titles))
    return f"<nav>{links}</nav>"


def figure_section(section: Section) -> str:
    """A figure with its heading; its data are drawn when it comes into view."""
    about = "" if section.metric is None else f' data-metric="{section.metric}"'
    caption, figure = _lifted(section.figure)
    # JSON in a script element must not end it: plotly escapes "</" and all other tags.
    text = style.plotly("io").to_json(figure, validate=False, engine="json").replace("<", "\\u003c")
    said = f'<p class="caption">{caption}</p>' if caption else ""
    wide = " wide" if _is_wide(figure) else ""
    return (
        f'<section{about} id="{anchor(section.title, section.metric)}"><h2>{html.escape(section.title)}</h2>'
        f'<p class="muted">{html.escape(section.says)}</p>{said}'
        f'<div class="scroll"><div class="figure{wide}" style="height: {figure["layout"]["height"]}px"></div></div>'
        f'<script type="application/json">{text}</script></section>'
    )


def _is_wide(figure: dict[str, Any]) -> bool:
    """Whether a figure is unreadable on a narrow screen: it has axes or panels side by side, or long titles or labels."""
    if any(trace["type"] == "parcoords" for trace in figure["data"]):
        return True
    for name, axis in figure["layout"].items():
        if name.startswith(("xaxis", "yaxis")) and (labels := axis.get("ticktext")):
            taken = sum(map(len, labels)) if name.startswith("x") else 2 * max(map(len, labels))  # half for the bars
            if taken > _NARROW:
                return True
    titles = figure["layout"].get("annotations", ())
    return any(title["x"] > _LEFT or len(title["text"]) > _NARROW for title in titles)


def _lifted(figure: Any) -> tuple[str, dict[str, Any]]:
    """The title of a figure as HTML, which wraps where plotly's titles are cut, and the figure without it."""
    data: dict[str, Any] = figure.to_plotly_json()
    layout = data["layout"]
    titles = layout.get("annotations", ())
    if layout.get("title", {}).get("text"):
        lines = layout.pop("title")["text"].split("<br>")
        caption, height = " ".join(lines), style.caption_height(len(lines))
    elif len(titles) == 1:
        caption, height = layout.pop("annotations")[0]["text"], style.TITLE
    else:
        return "", data
    layout["margin"] = {**layout["margin"], "t": layout["margin"]["t"] - height}
    layout["height"] -= height
    if "legend" in layout:  # it is placed from the top
        layout["legend"] = {**layout["legend"], "y": 1 - style.LEGEND_TOP / layout["height"]}
    return str(caption), data


def anchor(title: str, metric: int | None = None) -> str:
    """The id of a section, to which links lead."""
    name = title.lower().replace(" ", "-")
    return f"{name}-{metric}" if metric else name


class Cell(NamedTuple):
    """A cell that is sorted by another value than it shows."""

    text: str
    value: float


def page_table(
    header: Sequence[str],
    rows: Sequence[Sequence[Any]],
    right: Sequence[bool],
    *,
    anchors: str = "",
    has_filter: bool = False,
) -> str:
    """A table of a page, which scrolls if it is too wide; a click on a column's name sorts it.

    Args:
        right: which columns are aligned to the right.
        anchors: the prefix of the rows' ids, to which points of figures link; the first cell completes the id.
        has_filter: whether there is a field to filter rows by words.
    """
    ids = [f' id="{anchors}-{row[0]}"' if anchors else "" for row in rows]
    texts = zip(*(column([row[i] for row in rows], _CELL) for i in range(len(header))), strict=True)
    body = "".join(_row("td", row, right, text, id_) for row, text, id_ in zip(rows, texts, ids, strict=True))
    field = '<input type="search" class="filter" placeholder="Filter: words that a row must have" aria-label="Filter">'
    head = _row("th", header, right, column(header, _CELL))
    table = f'<table class="sorts"><thead>{head}</thead><tbody>{body}</tbody></table>'
    return f'{field if has_filter else ""}<div class="scroll">{table}</div>'


def is_empty(cell: Any) -> bool:
    """Whether a cell is empty; a plain comparison fails for arrays, which compare value by value."""
    return isinstance(cell, str) and not cell


def _row(tag: str, cells: Sequence[Any], right: Sequence[bool], texts: Sequence[str], more: str = "") -> str:
    shown = []
    for cell, is_number, text in zip(cells, right, texts, strict=True):
        attributes = ' class="number"' if is_number else ""
        if isinstance(cell, Cell):
            attributes += f' data-value="{cell.value!r}"'
        said = cell.text if isinstance(cell, Cell) else text
        shown.append(f"<{tag}{attributes}>{html.escape(said)}</{tag}>")
    return f"<tr{more}>{''.join(shown)}</tr>"

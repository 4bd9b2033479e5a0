"""The HTML document that all pages share: one file, with plotly.js once and figures that are drawn when seen."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from raytune_hpo import __version__
from raytune_hpo.display.text import short
from raytune_hpo.plots import style
from raytune_hpo.plots.page_look import CSS, SCRIPT

if TYPE_CHECKING:
    from raytune_hpo.plots.sections import Section


def document(title: str, body: str, *, note: str = "", refresh_s: float | None = None) -> str:
    """A whole page around its body.

    Args:
        note: a last sentence for its foot.
        refresh_s: seconds after which an open page reads itself again.
    """
    title = html.escape(title)
    seconds = "null" if refresh_s is None else json.dumps(refresh_s)
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{CSS}</style>'
        f"</head><body><main><h1>{title}</h1>{body}"
        f'<p class="muted">Written by raytune_hpo {__version__}, {time.strftime("%Y-%m-%d %H:%M:%S %Z")}.{note}</p>'
        # Last, so that the text is there before four megabytes of plotly.js have been read.
        f"</main><script>{style.plotly('offline').get_plotlyjs()}</script>"
        f"<script>const refreshSeconds = {seconds};{SCRIPT}</script></body></html>"
    )


def contents(titles: Iterable[str]) -> str:
    """Links to the sections of a page."""
    links = "".join(f'<a href="#{anchor(title)}">{html.escape(title)}</a>' for title in dict.fromkeys(titles))
    return f"<nav>{links}</nav>"


def figure_section(section: Section) -> str:
    """A figure with its heading; its data are drawn when it comes into view."""
    about = "" if section.metric is None else f' data-metric="{section.metric}"'
    # JSON in a script element must not end it: plotly escapes "</" and all other tags.
    text = section.figure.to_json(engine="json").replace("<", "\\u003c")
    return (
        f'<section{about} id="{anchor(section.title, section.metric)}"><h2>{html.escape(section.title)}</h2>'
        f'<p class="muted">{html.escape(section.says)}</p>'
        f'<div class="figure" style="height: {section.figure.layout.height}px"></div>'
        f'<script type="application/json">{text}</script></section>'
    )


def anchor(title: str, metric: int | None = None) -> str:
    """The id of a section, to which links lead."""
    name = title.lower().replace(" ", "-")
    return f"{name}-{metric}" if metric else name


def page_table(header: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[bool]) -> str:
    """A table of a page, which scrolls where it is wider.

    Args:
        right: which columns are aligned to the right.
    """
    body = "".join(_row("td", row, right) for row in rows)
    return f'<div class="scroll"><table><thead>{_row("th", header, right)}</thead><tbody>{body}</tbody></table></div>'


def _row(tag: str, cells: Sequence[Any], right: Sequence[bool]) -> str:
    tags = [f'{tag} class="number"' if is_number else tag for is_number in right]
    shown = ["" if isinstance(cell, str) and not cell else html.escape(short(cell, 80)) for cell in cells]
    return f"<tr>{''.join(f'<{t}>{cell}</{tag}>' for t, cell in zip(tags, shown, strict=True))}</tr>"

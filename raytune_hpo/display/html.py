"""HTML tables for notebooks; all text from the user is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from raytune_hpo.display.text import column

_CELL = 'style="padding: 2px 10px; text-align: left; white-space: nowrap"'


def notebook_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of escaped values with inline styles, since notebooks strip style sheets."""
    lines = zip(*(column([row[place] for row in rows]) for place in range(len(header))), strict=True)
    body = "".join(f"<tr>{''.join(f'<td {_CELL}>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
    top = "".join(f"<th {_CELL}>{html.escape(name)}</th>" for name in header)
    return f'<div style="overflow-x: auto"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'

"""HTML tables for notebooks; all text from the user is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from raytune_hpo.display.text import short

_CELL = 'style="padding: 2px 10px; text-align: left; white-space: nowrap"'


def notebook_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table of escaped values with inline styles, since notebooks strip style sheets."""
    body = "".join(f"<tr>{''.join(f'<td {_CELL}>{html.escape(short(v))}</td>' for v in row)}</tr>" for row in rows)
    top = "".join(f"<th {_CELL}>{html.escape(name)}</th>" for name in header)
    return f'<div style="overflow-x: auto"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'

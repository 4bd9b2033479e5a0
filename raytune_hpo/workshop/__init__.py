"""What the labs share: sizes for readers and for the hurried, and figures that a notebook shows and a script writes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, TypeVar

from raytune_hpo.plots import style

QUICK = "RAYTUNE_HPO_QUICK"
OUT = Path("out")
# Okabe and Ito's other two, and ink, for figures of many curves.
_COLOURS = [style.BLUE, style.ORANGE, style.GREEN, style.RED, "#CC79A7", "#56B4E9", "#22262e", style.GREY]
_Size = TypeVar("_Size")


def size(full: _Size, *, quick: _Size) -> _Size:
    """How much of something a lab does: ``quick`` with --quick or RAYTUNE_HPO_QUICK=1, else ``full``."""
    hurried = "--quick" in sys.argv or os.environ.get(QUICK, "0") not in ("", "0")
    return quick if hurried else full


def figure(title: str, *, x: str, y: str, log_x: bool = False, log_y: bool = False, height: int = 420) -> Any:
    """An empty plotly figure with one panel; ``x`` and ``y`` name the axes. Add to it with ``add_scatter`` and the like.

    Raises:
        HpoError: plotly is not installed.
    """
    drawn = style.panels([title], height=height)
    drawn.update_layout(colorway=_COLOURS)
    drawn.update_xaxes(title=x, type="log" if log_x else None)
    drawn.update_yaxes(title={"text": y, "standoff": 14}, type="log" if log_y else None)
    return drawn


def show(drawn: Any, name: str) -> None:
    """Display a figure in a notebook; elsewhere write it to out/NAME.html, a page that opens anywhere, and say so."""
    if "ipykernel" in sys.modules:  # only where a kernel runs this
        drawn.show()
        return
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.html"
    drawn.write_html(path, auto_play=False, config={"displaylogo": False, "responsive": True})
    sys.stdout.write(f"picture: {path.resolve()}\n")

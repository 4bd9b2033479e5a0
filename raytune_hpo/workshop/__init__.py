"""Shared parts of the labs: quick and full sizes, and figures that a notebook shows and a script writes to a file.

network         the small neural network that the labs tune
copying         copies labs and notebooks out of the package
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, TypeVar

from raytune_hpo.plots import style

QUICK = "RAYTUNE_HPO_QUICK"
OUT = Path("out")
# The colours of all plots, two more of Okabe and Ito's palette, and near-black, for figures with many curves.
_COLOURS = [style.BLUE, style.ORANGE, style.GREEN, style.RED, "#CC79A7", "#56B4E9", "#22262e", style.GREY]
_Size = TypeVar("_Size")


def size(full: _Size, *, quick: _Size) -> _Size:
    """The size of something in a lab: ``quick`` with --quick or RAYTUNE_HPO_QUICK=1, otherwise ``full``."""
    hurried = "--quick" in sys.argv or os.environ.get(QUICK, "0") not in ("", "0")
    return quick if hurried else full


def figure(title: str, *, x: str, y: str, log_x: bool = False, log_y: bool = False, height: int = 420) -> Any:
    """An empty plotly figure with one panel, to be filled by ``add_scatter`` and the like.

    Args:
        x, y: titles of the axes.

    Raises:
        HpoError: plotly is not installed.
    """
    drawn = style.panels([title], height=height)
    drawn.update_layout(colorway=_COLOURS)
    drawn.update_xaxes(title=x, type="log" if log_x else None)
    drawn.update_yaxes(title={"text": y, "standoff": 14}, type="log" if log_y else None)
    return drawn


def show(drawn: Any, name: str) -> None:
    """Show a figure in a notebook; elsewhere write it to out/NAME.html, a page that opens anywhere, and say where."""
    if "ipykernel" in sys.modules:  # a notebook's kernel runs this
        drawn.show()
        return
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.html"
    drawn.write_html(path, auto_play=False, config={"displaylogo": False, "responsive": True})
    sys.stdout.write(f"picture: {path.resolve()}\n")

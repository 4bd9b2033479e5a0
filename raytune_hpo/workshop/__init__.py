"""Shared parts of the labs: quick and full sizes, and figures that a notebook shows and a script writes to a file.

gaps            placeholders in exercises for code that the reader has to write; comparison of answers
network         the small neural network that the labs tune
copying         copies labs and notebooks out of the package
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from raytune_hpo.plots import style
from raytune_hpo.workshop.gaps import YourTurn, is_close, your_turn

__all__ = ["OUT", "QUICK", "YourTurn", "figure", "is_close", "show", "size", "your_turn"]

QUICK = "RAYTUNE_HPO_QUICK"
OUT = Path("out")
# The colours of all plots, two more of Okabe and Ito's palette, and near-black, for figures with many curves.
_COLOURS = [style.BLUE, style.ORANGE, style.GREEN, style.RED, "#CC79A7", "#56B4E9", "#22262e", style.GREY]
_FEW_DECADES = 2.5  # with more, there is no room for labels between them
_Size = TypeVar("_Size")


def size(full: _Size, *, quick: _Size) -> _Size:
    """The size of something in a lab: ``quick`` with --quick or RAYTUNE_HPO_QUICK=1, otherwise ``full``."""
    hurried = "--quick" in sys.argv or os.environ.get(QUICK, "0") not in ("", "0")
    return quick if hurried else full


def figure(title: str, *, x: str, y: str, log_x: bool = False, log_y: bool = False, height: int = 420) -> Any:
    """An empty plotly figure with one panel, to be filled by ``add_scatter`` and similar methods.

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
    """Show a figure in a notebook; elsewhere write it to out/NAME.html and say where.

    The pages in ``out`` share one copy of plotly.js in the same folder; they open without a network.
    """
    _label_decades(drawn)
    if "ipykernel" in sys.modules:  # a notebook's kernel runs this
        drawn.show()
        return
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.html"
    settings = {"displaylogo": False, "responsive": True}
    drawn.write_html(path, auto_play=False, include_plotlyjs="directory", config=settings)
    sys.stdout.write(f"picture: {path.resolve()}\n")


def _label_decades(drawn: Any) -> None:
    """Label logarithmic axes with 0.01, 0.1, 1, all in one size; with 0.02 and 0.05, too, if there are few decades."""
    for letter, axis in (("x", drawn.layout.xaxis), ("y", drawn.layout.yaxis)):
        if axis.type != "log" or axis.tickvals is not None or axis.dtick is not None:
            continue
        drawn_at = [np.asarray(trace[letter], float) for trace in drawn.data if trace[letter] is not None]
        positive = np.concatenate([np.empty(0), *(at[np.isfinite(at) & (at > 0)] for at in drawn_at)])
        if axis.range is not None or positive.size:
            low, high = axis.range or np.log10([positive.min(), positive.max()])
            axis.update(dtick="D2" if high - low < _FEW_DECADES else 1, tickformat="~g")

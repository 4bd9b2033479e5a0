"""Figures of a study: pure functions of Results. plotly is imported when the first one is drawn."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raytune_hpo.results import Results


class Plots:
    """What ``results.plot`` offers; each returns a plotly figure, which a notebook shows by itself.

    Raises:
        HpoError: plotly is not installed; ``pip install "raytune_hpo[plots]"``.
    """

    def __init__(self, results: Results) -> None:
        self._results = results

    def history(self) -> Any:
        """Every trial's value by its number, and the best so far; one panel per metric."""
        from raytune_hpo.plots.history import history

        return history(self._results)

    def curves(self, metric: str | None = None) -> Any:
        """What trials reported step by step, by default in the first metric; the pruned ones end in a mark."""
        from raytune_hpo.plots.curves import curves

        return curves(self._results, metric)

    def pareto(self) -> Any:
        """Two metrics against each other, and the front; one panel per pair of metrics."""
        from raytune_hpo.plots.pareto import pareto

        return pareto(self._results)

    def page(self, path: str | PathLike[str]) -> None:
        """Write all of it as one HTML page that opens anywhere, offline too."""
        from raytune_hpo.plots.page import page

        page(self._results, path)

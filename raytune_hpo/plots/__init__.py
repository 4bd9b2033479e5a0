"""Figures of a study: pure functions of Results. plotly is imported when the first figure is drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from raytune_hpo.display.foreign_words import PLOTS, no_attribute
from raytune_hpo.options import positive

if TYPE_CHECKING:
    from raytune_hpo.results import Results


class Plots:
    """The figures of ``results.plot``; each method returns a plotly figure, which a notebook shows by itself.

    A ``metric`` is the first goal by default, and may be any metric that trials reported. ``parameters`` are by default
    the most important ones. If there are very many trials, the best and an even selection of the others are drawn, and the
    figure says so; computed values always use all trials.

    Raises:
        HpoError: plotly is not installed; ``pip install "raytune_hpo[plots]"``.
        SpecError: there is no such metric, parameter or method; the message names the nearest.
    """

    def __init__(self, results: Results) -> None:
        self._results = results

    def __getattr__(self, name: str) -> Any:
        raise no_attribute(
            "results.plot", name, PLOTS, [figure for figure in vars(Plots) if not figure.startswith("_")]
        )

    def history(self) -> Any:
        """Every trial's value by its number, and the best so far; one panel per metric.

        If a portfolio suggested the trials, the completed ones have the colours of its arms.
        """
        from raytune_hpo.plots.history import history_plot

        return history_plot(self._results)

    def arms(self) -> Any:
        """How many trials each arm of a portfolio suggested, and which of them were the best so far."""
        from raytune_hpo.plots.arms import arms_plot

        return arms_plot(self._results)

    def best_so_far(self, against: str = "trials") -> Any:
        """The best value against the number of trials, or against ``"time"``; one panel per metric."""
        from raytune_hpo.plots.best_so_far import best_so_far_plot

        return best_so_far_plot(self._results, against)

    def curves(self, metric: str | None = None) -> Any:
        """Learning curves: the values reported step by step; those of pruned trials end in a mark."""
        from raytune_hpo.plots.curves import curves_plot

        return curves_plot(self._results, metric)

    def parallel_coordinates(self, metric: str | None = None, *, parameters: Sequence[str] | None = None) -> Any:
        """Parallel coordinates: every trial is a line through its parameters to its value; better ones stand out."""
        from raytune_hpo.plots.parallel_coordinates import parallel_coordinates_plot
        from raytune_hpo.plots.view import view

        return parallel_coordinates_plot(view(self._results, metric), parameters)

    def slice(self, metric: str | None = None, *, parameters: Sequence[str] | None = None) -> Any:
        """The metric against each parameter, one panel each; later trials stand out."""
        from raytune_hpo.plots.slice import slice_plot
        from raytune_hpo.plots.view import view

        return slice_plot(view(self._results, metric), parameters)

    def contour(self, metric: str | None = None, *, parameters: Sequence[str] | None = None) -> Any:
        """The expected value over each pair of parameters, by default of the three most important."""
        from raytune_hpo.plots.contour import contour_plot
        from raytune_hpo.plots.view import view

        return contour_plot(view(self._results, metric), parameters)

    def rank(self, metric: str | None = None, *, parameters: Sequence[str] | None = None) -> Any:
        """The trials in the plane of each pair of parameters, by default of the four most important, coloured by rank."""
        from raytune_hpo.plots.rank import rank_plot
        from raytune_hpo.plots.view import view

        return rank_plot(view(self._results, metric), parameters)

    def importances(self, metric: str | None = None, *, method: str = "ped_anova", pairs: int = 0) -> Any:
        """How much each parameter matters, by ``"ped_anova"`` or ``"fanova"``; see ``results.importances``.

        Args:
            pairs: how many pairs of parameters are shown as well: those with the largest interactions.
        """
        from raytune_hpo.plots.importances import importances_plot
        from raytune_hpo.plots.view import view

        return importances_plot(view(self._results, metric), method, pairs)

    def lineage(self, number: int | None = None) -> Any:
        """The segments of a population by member and step, and the schedule of each parameter below.

        A segment that copied another member's begins at that one. The lineage of a trial, by default the best, stands out.
        """
        from raytune_hpo.plots.lineage import lineage_plot

        return lineage_plot(self._results, number)

    def timeline(self) -> Any:
        """Which worker ran which trial when, and how well all of them were used."""
        from raytune_hpo.plots.timeline import timeline_plot

        return timeline_plot(self._results)

    def duration(self) -> Any:
        """The durations of trials, as a histogram and by trial number."""
        from raytune_hpo.plots.duration import duration_plot

        return duration_plot(self._results)

    def distribution(self, metric: str | None = None) -> Any:
        """The share of feasible trials that are at least this good, overall and in each half of the study."""
        from raytune_hpo.plots.distribution import distribution_plot
        from raytune_hpo.plots.view import view

        return distribution_plot(view(self._results, metric))

    def pareto(self) -> Any:
        """Two metrics against each other, and the front; one panel per pair of metrics."""
        from raytune_hpo.plots.pareto import pareto_plot

        return pareto_plot(self._results)

    def pareto_3d(self, metrics: Sequence[str] | None = None) -> Any:
        """Three metrics against each other, by default the first three, and the front: a rotatable figure."""
        from raytune_hpo.plots.pareto_3d import pareto_3d_plot

        return pareto_3d_plot(self._results, metrics)

    def hypervolume(self, reference: Mapping[str, float] | Sequence[float] | None = None) -> Any:
        """The hypervolume of the front after each trial; ``reference`` as for ``results.hypervolume``."""
        from raytune_hpo.plots.hypervolume import hypervolume_plot

        return hypervolume_plot(self._results, reference)

    def metrics(self) -> Any:
        """Parallel coordinates of metrics: every completed trial is a line; those of the front stand out."""
        from raytune_hpo.plots.metric_coordinates import metric_coordinates_plot

        return metric_coordinates_plot(self._results)

    def page(self, path: str | PathLike[str], *, refresh_s: float | None = None) -> None:
        """Write all figures that are informative for this study as one self-contained HTML page, which works offline.

        Args:
            refresh_s: seconds after which an open page reloads itself, for a study that still runs.
        """
        from raytune_hpo.plots.page import write_page

        write_page(self._results, path, refresh_s=None if refresh_s is None else positive("refresh_s", refresh_s))

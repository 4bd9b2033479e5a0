"""The figure of importances: how much each parameter matters."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import numpy as np

from raytune_hpo.analysis.importance import MIN_TRIALS, Importance, importances, interactions
from raytune_hpo.options import whole
from raytune_hpo.plots import style
from raytune_hpo.plots.view import View
from raytune_hpo.rng import derive

_MAX_BARS = 12  # of a panel
_MAX_PANELS = 8
_BAR = 34  # pixels
_TOGETHER = "pairs together, beyond each alone (fANOVA)"
_ASKED = {
    "ped_anova": "what tells the best tenth of the trials from the others (PED-ANOVA)",
    "fanova": "the share of the variance that a parameter explains alone (fANOVA)",
}


def importances_plot(view: View, method: str = "ped_anova", pairs: int = 0) -> Any:
    """One panel for the parameters of all trials, and one for those of each branch, judged among its trials only.

    Args:
        pairs: how many pairs of parameters are shown as well: those with the largest interactions.

    Raises:
        SpecError: there is no such method, or ``pairs`` is no number of pairs.
    """
    whole("pairs", pairs, least=0)
    rng = derive(view.results.spec.seed, "importances")
    found = importances(view.tried, view.losses, rng, method=method, ranks=view.ranks)
    if not found:
        return style.nothing(f"importances need {MIN_TRIALS} trials that have a value of {view.goal.metric}")
    groups: dict[str, list[Importance]] = {}  # by their trials: all, then those of each branch
    for importance in sorted(found, key=lambda importance: importance.when != ""):
        trials = f"{importance.num_trials:,} trials"
        where = f"among the {trials} where {importance.when}" if importance.when else f"among all {trials}"
        groups.setdefault(where, []).append(importance)
    if pairs and (joint := [i for i in interactions(view.tried, view.losses, rng)[:pairs] if i.share > 0]):
        groups[_TOGETHER] = joint
    bars = [[*group[:_MAX_BARS]] for group in groups.values()][:_MAX_PANELS]
    figure = style.panels_of_heights(list(groups)[:_MAX_PANELS], [_BAR * len(group) + 12 for group in bars])
    for row, group in enumerate(bars, start=1):
        figure.add_trace(_bars(group), row=row, col=1)
        pairs_of = [[i.name] if i.pair is None else [i.name, i.pair] for i in group]
        names = [html.escape(" and ".join(style.short_name(name, 40) for name in pair)) for pair in pairs_of]
        places = list(range(len(group)))
        figure.update_yaxes(
            tickvals=places, ticktext=names, range=[len(group) - 0.45, -0.55], showgrid=False, ticks="", row=row, col=1
        )
    top = max(importance.share for group in bars for importance in group)
    figure.update_xaxes(range=[0, min(1.12, 1.15 * top) or 1.0], tickformat=".0%", nticks=6)
    shown = {importance.name for group in bars for importance in group if importance.pair is None}
    more = style.note_on_parameters(len(shown), len(view.tried.parameters))
    style.caption(figure, f"{view.goal.metric}: {_ASKED[method]}{more}")
    return figure


def _bars(group: Sequence[Importance]) -> Any:
    first = group[0]
    colour = style.PURPLE if first.pair is not None else style.GREEN if first.when else style.BLUE
    shares = np.array([importance.share for importance in group])
    return style.plotly().Bar(
        x=shares,
        y=np.arange(len(group)),
        orientation="h",
        width=0.62,
        marker={"color": colour},
        text=[f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" for share in shares.tolist()],
        textposition="outside",
        cliponaxis=False,
        showlegend=False,
        customdata=[html.escape(importance.name) for importance in group],
        hovertemplate="%{customdata}: %{x:.2%}<extra></extra>",
    )

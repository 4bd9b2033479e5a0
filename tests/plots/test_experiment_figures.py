"""Figures and the page of experiments."""

import re

import numpy as np
import pandas as pd
import pytest

from raytune_hpo.experiments import Comparison, Experiment, Plan, Until, figures
from raytune_hpo.experiments.search import TYPES, SearchOutcome, typed

pytest.importorskip("plotly")
NASTY = "<script>alert(1)</script>"


def steps(values, arms=None, pace=600.0):
    """Trials that took ten minutes each."""
    num = len(values)
    total = pace * np.arange(1, num + 1)
    columns = {"step": range(1, num + 1), "number": range(num), "value": values, "best": np.maximum.accumulate(values)}
    columns |= {"status": "completed", "arm": arms, "epochs": 1, "duplicate": False, "trial_s": pace}
    columns |= {"optimizer_s": 0.1, "trial_s_total": total, "optimizer_s_total": 0.1, "total_s": total}
    return typed(pd.DataFrame(columns)[list(TYPES)])


def experiment(name="one", task="digits", goal=0.9, tables=None, time_s=7200.0, **settings):
    tables = [steps([0.5, 0.95]), steps([0.2, 0.6, 0.92]), steps([0.1, 0.1])] if tables is None else tables
    return Experiment(
        name=name,
        task=task,
        metric="accuracy",
        mode="max",
        plan=Plan(sampler="random", until=Until(goal=goal, time_s=time_s), **settings),
        outcomes={i: SearchOutcome(table) for i, table in enumerate(tables)},
    )


def lines(figure):
    return {trace.name: trace for trace in figure.data if trace.mode == "lines"}


def test_the_share_that_reached_the_goal_grows_when_a_repeat_does():
    line = lines(figures.share_with_time([experiment()]))["one"]
    share = dict(zip(np.round(line.x * 60), np.round(line.y, 3), strict=True))  # by minutes
    assert line.line.shape == "hv" and line.y[0] == 0 and line.y[-1] == pytest.approx(2 / 3)
    assert {0.0, 0.333, 0.667} == set(share.values())
    assert min(m for m, v in share.items() if v > 0.5) == pytest.approx(30, abs=1)


def test_the_best_so_far_is_the_median_with_a_band_around_it():
    figure = figures.best_with_time([experiment()])
    line = lines(figure)["one"]
    assert line.y[-1] == pytest.approx(0.92) and np.isnan(line.y[0])
    band = next(trace for trace in figure.data if trace.fill == "toself")
    assert min(band.y) < 0.2 and max(band.y) > 0.92
    assert "goal 0.9" in figure.to_json()


def test_each_task_has_its_panel_and_each_experiment_its_colour_in_all_figures():
    all_ = [experiment("a", goal=None), experiment("b"), experiment("c", task="words")]
    best, reached = lines(figures.best_with_time(all_)), lines(figures.share_with_time(all_))
    assert best["b"].xaxis != best["c"].xaxis and best["a"].xaxis == best["b"].xaxis
    assert set(reached) == {"b", "c"}
    assert all(best[name].line.color == reached[name].line.color for name in reached)
    many = lines(figures.best_with_time([experiment(str(i)) for i in range(9)]))
    assert len({(trace.line.color, trace.line.dash) for trace in many.values()}) == 9


def test_turns_of_arms_are_shares_of_what_ended_at_a_time():
    tables = [steps([0.1, 0.2, 0.3, 0.4], ["random", "gp", "rf", "gp"]), steps([0.1, 0.2], ["random", "rf"])]
    figure = figures.turns_of_arms([experiment(tables=tables)])
    bars = {trace.name: trace for trace in figure.data}
    assert list(bars) == ["gp", "rf", "random"]
    total = np.sum([bar.y for bar in bars.values()], axis=0)
    assert set(np.round(total, 6)) <= {0.0, 1.0} and bars["gp"].y.max() == 1.0


def test_where_there_is_nothing_to_draw_figures_say_so():
    empty = experiment(tables=[])
    for figure, said in (
        (figures.best_with_time([empty]), "no repeat has ended"),
        (figures.share_with_time([experiment(goal=None)]), "no experiment has a goal"),
        (figures.turns_of_arms([experiment()]), "no sampler of these has arms"),
    ):
        assert said in figure.layout.annotations[0].text
    figures.best_with_time([experiment(tables=[steps([]), steps([0.4])])])


def test_the_page_holds_all_of_it_and_nothing_of_a_name_gets_out(tmp_path):
    shown = [experiment("a"), experiment(NASTY, goal=None), experiment("late", tables=[], scheduler="deca")]
    Comparison(shown, [3600]).page(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert NASTY not in text and "&lt;script&gt;alert" in text
    assert re.findall(r"<h2>([^<]*)</h2>", text) == ["Results", "Reaching the goal", "Best so far"]
    assert "67% (21-94)" in text and "scheduler deca" in text and "3 experiments" in text
    experiment(tables=[]).page(tmp_path / "none.html")
    assert "Results" in (tmp_path / "none.html").read_text()

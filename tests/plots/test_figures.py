"""Figures of every kind of study can be drawn, say what they should, and are safe to open."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from dataclasses import replace
from operator import methodcaller

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal
from raytune_hpo.plots import Plots, style
from raytune_hpo.results import Results
from tests.faces.studies import NASTY, done, failed, pruned, results_of, running

pytest.importorskip("plotly")

NASTY_KEY = NASTY.replace("/", "")
BRANCHES = {
    "model": hpo.choice(
        [
            {"kind": "svm", "C": hpo.loguniform(1e-3, 1e3), "kernel": hpo.choice(["rbf", "poly"])},
            {"kind": "tree", "depth": hpo.randint(1, 11), "width": hpo.ordinal([16, 64, 256])},
        ]
    ),
    "batch": hpo.qrandint(16, 256, 16),
    "noise": hpo.randn(0, 1),
    "fixed": 7,
}


def branched(num, *, steps=3):
    """Trials of all kinds in a space of all kinds."""
    configs = hpo.Space(BRANCHES).sample(num, np.random.default_rng(0))
    kinds = [
        lambda i, c: done(0.1 + 1 / (1 + i % 13), c, steps=steps),
        lambda i, c: done(0.9, c, steps=2, status=Status.PRUNED),
        lambda i, c: done(None, c, status=Status.FAILED, error="ValueError: boom"),
        lambda i, c: running(c),
    ]
    share = [0, 0, 0, 0, 1, 0, 0, 1, 2, 0]
    made = [kinds[share[i % 10]](i, c) for i, c in enumerate(configs)]
    return results_of(*made[:-1], kinds[3](num, configs[-1]), space=BRANCHES)


STUDIES = {
    "empty": results_of(),
    "one trial": results_of(done(0.5)),
    "only failures": results_of(failed(), failed()),
    "only running": results_of(running()),
    "everything": results_of(done(0.5, steps=4), pruned(0.9), failed(), running(), done(0.3, steps=4)),
    "zeros": results_of(done(0.0), done(0.0)),
    "decades": results_of(*[done(10.0**-i, steps=2) for i in range(8)]),
    "negative": results_of(done(-5.0), done(3.0)),
    "several metrics": results_of(
        done({"loss": 1.0, "size": 2.0}), done({"loss": 2.0, "size": 1.0}, steps=3), failed(), metric=["loss", "size"]
    ),
    "huge values": results_of(
        *[done(value, {"x": 0.07 * i, "y": i % 5}) for i, value in enumerate([1e308, -1e300, 0.0, -1e308] * 5)],
        space={"x": hpo.uniform(0, 2), "y": hpo.randint(0, 5)},
    ),
    "nasty": results_of(
        *[done({"loss": 0.5 + i, NASTY: 1.0}, {NASTY_KEY: [NASTY, "b"][i % 2], "y": 0.1 * i}) for i in range(10)],
        done(None, {NASTY_KEY: NASTY, "y": 0.5}, status=Status.FAILED, error=NASTY),
        name=NASTY,
        space={NASTY_KEY: hpo.choice([NASTY, "b"]), "y": hpo.uniform(0, 1)},
    ),
    "branches": branched(60),
    "few of branches": branched(4),
    "constants": results_of(done(0.5, {"x": 1}), done(0.3, {"x": 1}), space={"x": 1}),
    "one value": results_of(
        *[done(0.1 * i, {"x": 1, "y": "a"}) for i in range(9)],
        space={"x": hpo.randint(1, 2), "y": hpo.choice(["a", "b"])},
    ),
    "arms": results_of(
        done(0.6), *[done(1 / i, arm=["gp-ei", "rf-pi", NASTY][i % 3], steps=2) for i in range(1, 30)], pruned(3.0)
    ),
    "three metrics": results_of(
        *[done({"loss": 1.0 + i, "size": 9.0 - i, NASTY: i % 3}, steps=2) for i in range(9)],
        failed(),
        metric=["loss", "size", NASTY],
    ),
    "one of three metrics": results_of(done({"a": 1.0, "b": 2.0, "c": 3.0}), metric=["a", "b", "c"]),
    "no result of three metrics": results_of(failed(), running(), metric=["a", "b", "c"]),
    "values near the smallest float": results_of(
        *[done(5e-324 * (i % 3), {"x": 0.07 * i, "y": i % 5}) for i in range(20)],
        space={"x": hpo.uniform(0, 2), "y": hpo.randint(0, 5)},
    ),
    "decades of huge values": results_of(
        *[done(10.0 ** (295 + i % 10), {"x": 0.07 * i, "y": i % 5}) for i in range(20)],
        space={"x": hpo.uniform(0, 2), "y": hpo.randint(0, 5)},
    ),
    "nan extras": results_of(done({"loss": 0.5, "extra": math.nan}, steps=2)),
}


FIGURES = {
    **{name: methodcaller(name) for name in vars(Plots) if not name.startswith("_") and name != "page"},
    "best against time": methodcaller("best_so_far", against="time"),
    "fanova": methodcaller("importances", method="fanova", pairs=3),
}
NEEDS_GOALS = {"pareto": 2, "pareto_3d": 3}  # how many metrics a study needs for a figure; of others it is refused


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", STUDIES)
@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_can_be_drawn_of_every_study(figure, kind):
    results = STUDIES[kind]
    if len(results.goals) < NEEDS_GOALS.get(figure, 1):
        with pytest.raises(SpecError, match="metrics"):
            FIGURES[figure](results.plot)
        return
    found = FIGURES[figure](results.plot)
    text = found.to_json()
    assert found.layout.height > 100
    assert "<script" not in text.replace("&lt;script", "")
    assert found.data or found.layout.annotations[0].text


def named(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_the_history_marks_what_pruned_and_failed_and_ends_with_the_best():
    figure = STUDIES["everything"].plot.history()
    (best,) = named(figure, "best so far")
    assert (list(best.x), list(best.y)) == ([0, 4, 4], [0.5, 0.3, 0.3])
    assert list(named(figure, "pruned")[0].y) == [0.9]
    assert list(named(figure, "failed")[0].x) == [2]


def test_arms_have_marks_of_their_own_in_the_history_and_others_keep_theirs():
    figure = STUDIES["arms"].plot.history()
    (gp,), (rf,) = named(figure, "gp-ei"), named(figure, "rf-pi")
    assert list(gp.x) == list(range(3, 30, 3)) and list(rf.x) == list(range(1, 30, 3))
    assert gp.marker.color != rf.marker.color and gp.marker.symbol != rf.marker.symbol
    (alone,) = named(figure, "completed")
    assert list(alone.x) == [0] and alone.marker.color not in (gp.marker.color, rf.marker.color)
    assert "by gp-ei" in gp.text[0]
    plain = STUDIES["everything"].plot.history()
    assert "by" not in named(plain, "completed")[0].text[0]


def test_turns_of_arms_rise_and_stars_stand_where_one_was_best():
    figure = STUDIES["arms"].plot.arms()
    (rf,) = named(figure, "rf-pi")
    assert list(rf.y) == [0, *range(1, 11), 10] and list(rf.x)[-1] == 30
    (stars,) = named(figure, "best so far")
    assert list(stars.x) == [2, *range(3, 30)], "trial 1 was no better than trial 0"
    assert list(stars.y[:3]) == [1, 1, 2]
    assert "no sampler with arms" in STUDIES["everything"].plot.arms().layout.annotations[0].text


def test_the_best_of_a_maximised_metric_rises():
    results = results_of(*[done({"acc": v}) for v in (0.3, 0.1, 0.7, 0.6)], metric="acc", mode="max")
    (best,) = named(results.plot.history(), "best so far")
    assert list(best.y) == [0.3, 0.7, 0.7]
    assert list(best.x) == [0, 2, 3]


def test_values_over_decades_get_a_log_axis_and_others_do_not():
    assert STUDIES["decades"].plot.history().layout.yaxis.type == "log"
    assert STUDIES["everything"].plot.history().layout.yaxis.type is None
    assert STUDIES["negative"].plot.history().layout.yaxis.type is None


def test_far_outliers_do_not_squeeze_the_rest():
    figure = results_of(*[done(float(i - 10)) for i in range(20)], done(1e9)).plot.history()
    assert figure.layout.yaxis.range[1] < 100
    assert "a far worse one lies outside" in figure.layout.annotations[0].text
    upwards = results_of(*[done({"a": float(i)}) for i in range(-9, 9)], done({"a": -1e9}), metric="a", mode="max")
    low, high = upwards.plot.history().layout.yaxis.range
    assert -100 < low < high < 10


def test_of_many_curves_the_best_and_an_even_choice_are_drawn():
    results = results_of(*[done(1 + i % 997, steps=2) for i in range(1, 1000)])
    figure = results.plot.curves()
    assert "300 of 999" in figure.layout.annotations[0].text
    assert list(named(figure, "best")[0].y[:2]) == [1.0, 1.0]
    assert sum(map(math.isnan, named(figure, "completed")[0].y)) == 299


def test_any_reported_metric_can_be_drawn_and_others_are_named():
    results = results_of(done({"loss": 0.5, "acc": 0.9}, steps=3))
    assert "acc by step" in results.plot.curves("acc").layout.annotations[0].text
    with pytest.raises(SpecError, match="did you mean 'acc'"):
        results.plot.curves("acv")


def test_a_front_needs_several_metrics():
    figure = STUDIES["several metrics"].plot.pareto()
    assert sorted(named(figure, "front")[0].x) == [1.0, 2.0]
    with pytest.raises(SpecError, match="several metrics"):
        STUDIES["everything"].plot.pareto()


def competing(**settings):
    """A study of three metrics, one of whose trials is infeasible and one failed."""
    study = hpo.Study(
        {"x": hpo.uniform(0, 1)}, metric=["a", "b", "c"], sampler="random", seed=0, storage="memory",
        thresholds={"a": 2.5}, outcome_constraints=["mb <= 1"], **settings,
    )  # fmt: skip
    for a, b, c, mb in [(1, 3, 2, 0), (2, 2, 2, 0), (3, 1, 2, 0), (3, 3, 3, 0), (0, 0, 0, 9)]:
        study.tell(study.ask(), {"a": a, "b": b, "c": c, "mb": mb})
    study.fail(study.ask(), "broken")
    return study.results()


def test_a_front_shows_thresholds_and_what_breaks_a_constraint():
    figure = competing().plot.pareto()
    (infeasible,) = [trace for trace in named(figure, "breaks a constraint") if trace.xaxis in (None, "x")]
    assert list(infeasible.x) == [0.0]
    assert {tuple(trace.x) for trace in named(figure, "threshold")} >= {(2.5, 2.5)}
    assert "1 failed trial" in str(figure.to_dict()["layout"])


def test_options_that_read_the_same_are_told_apart():
    options = [1, "1", True, "True", "a"]
    study = hpo.Study({"x": hpo.choice(options)}, sampler="random", seed=0, storage="memory")
    for i in range(20):
        study.tell(study.ask(), float(i))
    (parameter,) = study.results().tried.parameters
    assert parameter.labels == ("1", "'1'", "True", "'True'", "a")


def test_a_threshold_outside_the_axes_is_mentioned():
    study = hpo.Study({"x": hpo.uniform(0, 1)}, metric=["a", "b"], storage="memory", thresholds={"a": -50, "b": 2})
    for i in range(4):
        study.tell(study.ask(), {"a": i, "b": 4 - i})
    layout = str(study.results().plot.pareto().to_dict()["layout"])
    assert "the threshold of a lies outside" in layout and "threshold of b" not in layout


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_front_lies_inside_its_axes_and_what_does_not_is_counted(mode):
    sign = -1.0 if mode == "max" else 1.0
    near = [{"a": sign * (10 + i % 7), "b": sign * (10 + i // 7)} for i in range(70)]
    front = [{"a": 0.0, "b": sign * 5e4}, {"a": sign * 5e4, "b": -sign}]
    far = [{"a": sign * 9e6, "b": sign * 30}, {"a": sign * 9e6, "b": sign * 9e6}, {"a": sign * 30, "b": sign * 9e6}]
    trials = [done(metrics) for metrics in [*near, *front, *far]]
    figure = results_of(*trials, metric=["a", "b"], mode=mode).plot.pareto()
    (best,) = named(figure, "front")
    (low, high), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    assert {0.0, sign * 5e4} <= set(best.x)
    assert all(low <= x <= high and bottom <= y <= top for x, y in zip(best.x, best.y, strict=True))
    assert abs(high - low) < 1e6 and "(3 far worse ones lie outside" in titles(figure)[0]
    assert "outside" not in titles(results_of(*trials[:72], metric=["a", "b"], mode=mode).plot.pareto())[0]


@pytest.mark.parametrize("figure", ["history", "slice", "curves", "distribution", "best_so_far"])
def test_a_figure_says_how_many_values_lie_outside(figure):
    results = results_of(done(1e9, steps=2), *[done(float(10 - i), steps=2) for i in range(20)])
    layout = str(getattr(results.plot, figure)().to_dict()["layout"]).replace("<br>", " ")
    assert ("(2 far worse ones lie outside" if figure == "curves" else "(a far worse one lies outside") in layout


def test_the_best_feasible_trial_is_inside_although_most_are_infeasible():
    study = hpo.Study(
        {"x": hpo.uniform(0, 1)}, sampler="random", seed=0, storage="memory", outcome_constraints=["mb <= 1"]
    )
    for i, trial in enumerate(study.ask_batch(41)):
        study.tell(trial, {"loss": float(i % 5), "mb": 9.0} if i < 40 else {"loss": 500.0, "mb": 0.0})
    low, high = study.results().plot.history().layout.yaxis.range
    assert low <= 500.0 <= high


def test_three_metrics_have_a_front_in_space():
    results = competing()
    figure = results.plot.pareto_3d(["c", "a", "b"])
    assert sorted(named(figure, "front")[0].y) == [1.0, 2.0, 3.0]
    with pytest.raises(SpecError, match="needs three metrics"):
        results.plot.pareto_3d(["a", "b"])
    with pytest.raises(SpecError, match="'mb'"):
        results.plot.pareto_3d(["a", "b", "mb"])


def test_the_attained_hypervolume_is_flat_where_nothing_was_added():
    (line,) = competing().plot.hypervolume({"a": 4, "b": 4, "c": 4}).data
    assert list(line.x) == [0, 1, 2, 5]
    assert list(line.y) == [6.0, 10.0, 12.0, 12.0]


def test_lines_run_through_goals_and_bounded_metrics():
    (lines,) = competing().plot.metrics().data
    assert {axis.label for axis in lines.dimensions} == {"a &lt;= 2.5", "b (min)", "c (min)", "mb &lt;= 1"}
    assert sorted(lines.line.color) == [0.0, 0.5, 1.0, 1.0, 1.0]


def test_without_plotly_the_error_names_the_extra():
    code = (
        "import sys; sys.modules['plotly'] = None\n"
        "from raytune_hpo.plots.style import plotly\n"
        "from raytune_hpo.errors import HpoError\n"
        "try: plotly()\n"
        "except HpoError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "raytune_hpo[plots]" in said


def test_axes_are_titled_with_the_metric_escaped():
    from raytune_hpo.plots.style import value_axis

    assert value_axis(np.array([]), Goal("<b>"))["title"]["text"] == "&lt;b&gt;"
    assert issubclass(SpecError, HpoError)


def titles(figure):
    return [annotation.text for annotation in figure.layout.annotations]


def test_the_best_so_far_goes_on_to_the_last_trial():
    figure = STUDIES["everything"].plot.best_so_far()
    assert (list(figure.data[0].x), list(figure.data[0].y)) == ([0, 4, 4], [0.5, 0.3, 0.3])
    with pytest.raises(SpecError, match="against='money'"):
        STUDIES["everything"].plot.best_so_far(against="money")


def test_a_slice_shows_each_parameter_where_it_is_active_and_failures_at_its_foot():
    results = STUDIES["branches"]
    figure = results.plot.slice(parameters=["model/svm/C", "model"])
    in_svm = [t for t in results if t.config["model"]["kind"] == "svm"]
    first = [trace for trace in figure.data if trace.xaxis == "x"]
    by_name = {trace.name: trace for trace in first}
    assert len(by_name["completed"].x) == sum(t.status is Status.COMPLETED for t in in_svm)
    assert len(by_name["failed"].x) == sum(t.status is Status.FAILED for t in in_svm)
    assert by_name["failed"].yaxis == "y100"
    assert figure.layout.xaxis.type == "log"
    assert list(figure.layout.xaxis2.ticktext) == ["svm", "tree"]


def test_parallel_coordinates_have_a_place_for_what_is_not_active():
    (lines,) = STUDIES["branches"].plot.parallel_coordinates(parameters=["model", "model/tree/depth"]).data
    model, depth, loss = lines.dimensions
    assert list(model.ticktext) == ["svm", "tree"]
    assert depth.ticktext[0] == "not active"
    bottom = depth.tickvals[0]
    assert [d == bottom for d in depth["values"]] == [m == 0 for m in model["values"]]
    assert loss.label == "loss (min)"


def test_a_contour_is_drawn_of_what_was_tried_together():
    results = STUDIES["branches"]
    assert "trials)" in titles(results.plot.contour())[0]
    apart = results.plot.contour(parameters=["model/svm/C", "model/tree/depth"])
    assert titles(apart) == ["model/tree/depth (too few trials have both)"]
    with pytest.raises(SpecError, match="did you mean 'batch'"):
        results.plot.contour(parameters=["batsh", "noise"])


def test_a_contour_is_what_a_forest_expects():
    configs = [{"x": i / 15, "y": j / 15} for i in range(16) for j in range(16)]
    space = {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}
    results = results_of(*[done(4 * c["x"] + c["y"], c) for c in configs], space=space)
    (field,) = [trace for trace in results.plot.contour(parameters=["x", "y"]).data if trace.type == "contour"]
    expected = 4 * np.asarray(field.x)[None, :] + np.asarray(field.y)[:, None]
    assert np.abs(np.asarray(field.z) - expected).mean() < 0.25


def test_ranks_are_of_all_trials_and_pairs_are_those_tried_together():
    figure = STUDIES["branches"].plot.rank()
    assert len(figure.data) == 6
    assert all(len(trace.x) for trace in figure.data)
    assert len(STUDIES["branches"].plot.rank(parameters=["batch", "noise", "model"]).data) == 3


def test_importances_say_whose_trials_they_speak_of():
    figure = STUDIES["branches"].plot.importances()
    assert any("where model = svm" in title for title in titles(figure))
    assert any("among all" in title for title in titles(figure))
    both = STUDIES["branches"].plot.importances(method="fanova", pairs=2)
    assert any("beyond each alone" in title for title in titles(both))
    with pytest.raises(SpecError, match="no method 'shap'"):
        STUDIES["branches"].plot.importances(method="shap")


def test_the_timeline_says_how_busy_the_workers_were():
    assert "1 worker" in titles(STUDIES["one trial"].plot.timeline())[0]
    figure = STUDIES["one trial"].plot.timeline()
    (bars,) = named(figure, "completed")
    assert (bars.base[0], bars.x[0]) == (0, 1000 * 2 / 1000)
    assert figure.layout.xaxis2.rangemode == "tozero"  # of the time since the first trial was handed out


def test_a_front_of_several_metrics_has_a_panel_for_each_pair():
    trials = [done({"a": float(i), "b": -float(i), "c": 1.0}) for i in range(5)]
    results = results_of(*trials, metric=["a", "b", "c"], mode=["min", "min", "max"])
    assert len(titles(results.plot.pareto())) == 3
    assert results_of(metric=["a", "b"]).plot.pareto().data == ()


@pytest.fixture(scope="module")
def large():
    """100,000 trials; a thousand different ones."""
    thousand = branched(1000)
    numbered = [replace(trial, number=i) for i, trial in enumerate(thousand.trials * 100)]
    return Results(thousand.spec, numbered)


@pytest.mark.parametrize("figure", ["history", "best against time", "slice", "rank", "timeline", "duration"])
def test_100_000_trials_are_drawn_by_some_that_stand_for_them(large, figure):
    found = FIGURES[figure](large.plot)
    assert 0 < sum(len(trace.x) for trace in found.data) < 12_000
    assert len(found.to_json()) < 2_000_000


def test_of_100_000_lines_and_curves_few_are_drawn(large):
    (lines,) = large.plot.parallel_coordinates().data
    assert len(lines.line.color) == 400
    assert "300 of" in titles(large.plot.curves())[0]


def test_what_was_left_out_is_said(large):
    """Of ten trials seven complete, two are pruned and one fails; of a thousand one still runs."""
    assert "4,000 of 89,900 trials" in titles(large.plot.history())[0]
    assert "4,000 of 99,900" in titles(large.plot.duration())[1]
    slices, others = large.plot.slice().layout, STUDIES["branches"].plot.slice().layout
    first, second = slices.title.text.split("<br>")  # one line would lie under plotly's buttons
    assert first.endswith("(571 of 89,900 trials: the") and second == "best, and others from all over the study)"
    assert slices.height == others.height + 20 and "<br>" not in others.title.text
    assert not any(" of " in title for title in titles(STUDIES["branches"].plot.history()))


@pytest.mark.parametrize(
    ("low", "high", "dtick"),
    [(1e-5, 1e-1, 1), (1e-12, 1.0, 3), (0.004, 0.09, "D2"), (0.5, 200, 1), (0.011, 0.012, None), (0.2, 0.9, "D2")],
)
def test_log_axes_have_whole_labels_and_few_of_them(low, high, dtick):
    axis = style.log_ticks(low, high)
    assert axis.get("dtick") == dtick and axis["tickformat"] == "~g"


def test_small_numbers_do_not_run_into_each_other_in_narrow_panels():
    configs = [{"a": 10.0 ** -(i % 6), "b": 0.1 * i, "c": 0.1 * i} for i in range(12)]
    space = {"a": hpo.loguniform(1e-5, 1), "b": hpo.uniform(0, 2), "c": hpo.uniform(0, 2)}
    results = results_of(*[done(float(i), config) for i, config in enumerate(configs)], space=space)
    assert results.plot.slice(parameters=["a", "b", "c"]).layout.xaxis.dtick == 2
    assert results.plot.slice(parameters=["a"]).layout.xaxis.dtick == 1
    ranks = results.plot.rank(parameters=["a", "b", "c"])  # whose panels are narrower
    assert ranks.layout.xaxis.title.text == "a" and ranks.layout.xaxis.dtick == 2


def test_names_below_narrow_panels_are_shorter():
    names = [letter * 40 for letter in "abc"]
    configs = [dict(zip(names, (0.1 * i, 0.2 * i, 0.3 * i), strict=True)) for i in range(12)]
    space = {name: hpo.uniform(0, 5) for name in names}
    results = results_of(*[done(float(i), config) for i, config in enumerate(configs)], space=space)
    assert results.plot.rank(parameters=names).layout.xaxis.title.text == "..." + 21 * "a"
    assert results.plot.rank(parameters=names[:2]).layout.xaxis.title.text == "..." + 33 * "a"


@pytest.mark.parametrize("figure", ["slice", "parallel_coordinates", "contour", "rank"])
def test_what_is_no_list_of_parameters_is_named(figure):
    draw = methodcaller(figure, parameters="batch")
    with pytest.raises(SpecError, match=r"parameters is a list of names, got 'batch'; write parameters=\['batch'\]"):
        draw(STUDIES["branches"].plot)
    for wrong in ([], 3, ["batch", 3]):
        with pytest.raises(SpecError, match="parameters is a list of one name or more"):
            methodcaller(figure, parameters=wrong)(STUDIES["branches"].plot)
    with pytest.raises(SpecError, match=r"a metric is one name, got \['batch'\]; .* given as parameters=\[...\]"):
        methodcaller(figure, ["batch"])(STUDIES["branches"].plot)


def test_parameters_that_are_named_twice_are_drawn_once():
    plot = STUDIES["branches"].plot
    assert titles(plot.slice(parameters=["batch", "noise", "batch"])) == ["batch", "noise"]
    with pytest.raises(SpecError, match="two parameters or more"):
        plot.rank(parameters=["batch", "batch"])


def test_figures_of_other_tuners_are_found_by_their_names_there():
    plot = STUDIES["branches"].plot
    with pytest.raises(AttributeError, match=r"no attribute 'plot_optimization_history'; here it is history\(\)"):
        plot.plot_optimization_history()
    with pytest.raises(AttributeError, match="did you mean 'timeline'"):
        plot.timelines()


def test_without_reports_there_are_no_axes_of_curves():
    figure = results_of(done(0.5)).plot.curves()
    assert titles(figure) == ["no trial has reported on its way"] and figure.layout.xaxis.visible is False


def test_the_best_so_far_has_the_scale_of_the_history():
    results = results_of(done(500.0), *[done(1.0 + i / 10) for i in range(5)], done(0.9))
    assert results.plot.history().layout.yaxis.type == results.plot.best_so_far().layout.yaxis.type == "log"


def test_labels_below_a_panel_lie_flat_and_fit_it():
    options = [f"a_very_long_option_number_{i}" for i in range(18)]
    space = {"option": hpo.choice(options)}
    results = results_of(*[done(float(i), {"option": options[i]}) for i in range(18)], space=space)
    axis = results.plot.slice().layout.xaxis
    assert axis.tickangle == 0 and sum(map(len, axis.ticktext)) <= 90
    assert len(set(axis.ticktext)) == len(axis.ticktext) == 18
    assert options[3] in results.plot.slice().data[0].text[3]


def bounded(bound="mb <= 5"):
    """A study whose lowest losses break a constraint: ten of twenty trials, all of them, or none."""
    study = hpo.Study(
        {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}, sampler="random", seed=0, storage="memory",
        outcome_constraints=[bound],
    )  # fmt: skip
    for i in range(20):
        study.tell(study.ask(), {"loss": float(i), "mb": 10.0 - i if i < 10 else 0.0})
    return study.results()


def test_what_breaks_a_constraint_is_told_from_what_completed():
    results = bounded()
    history = results.plot.history()
    (broken,), (completed,) = named(history, "breaks a constraint"), named(history, "completed")
    assert list(broken.y) == [0.0, 1.0, 2.0, 3.0, 4.0] and min(completed.y) == results.best_value == 5.0
    assert "breaks mb" in broken.text[0]
    assert len(named(results.plot.slice(), "breaks a constraint")) == 2
    assert named(results.plot.contour(), "breaks a constraint")
    distribution = results.plot.distribution()
    assert min(distribution.data[0].x) == 5.0 and distribution.data[0].name == "all trials (15)"
    assert "share of feasible trials" in distribution.layout.annotations[0].text


def test_what_breaks_a_constraint_ranks_behind_all_others():
    results = bounded()  # the lowest five losses break it
    (panel,) = [trace for trace in results.plot.rank().data if trace.name != "breaks a constraint"]
    best = int(np.argmin(panel.marker.color))
    assert len(panel.x) == 15 and panel.marker.color[best] == 0 and "trial 5<" in panel.text[best]
    assert [len(trace.x) for trace in named(results.plot.rank(), "breaks a constraint")] == [5]
    figure = results.plot.parallel_coordinates()
    (lines,) = figure.data
    losses = list(lines.dimensions[-1]["values"])
    assert losses[:5] == [4.0, 3.0, 2.0, 1.0, 0.0] and losses[-1] == 5.0  # drawn first, and last
    places = [(colour - lines.line.cmin) / (lines.line.cmax - lines.line.cmin) for colour in lines.line.color]
    red = [colour for _, colour in lines.line.colorscale[:2]]
    end = lines.line.colorscale[1][0]
    assert red == ["#e7b59a"] * 2 and places[4] < end < places[5]
    assert "what breaks a constraint is red" in figure.layout.annotations[0].text
    nothing = bounded("mb <= -1").plot.parallel_coordinates().data[0].line.colorscale
    assert [colour for _, colour in nothing] == ["#e7b59a"] * 2
    without = bounded("mb <= 99").plot
    assert "red" not in without.parallel_coordinates().layout.annotations[0].text
    assert not named(without.rank(), "breaks a constraint")


@pytest.mark.parametrize("figure", ["best_so_far", "distribution"])
def test_a_figure_of_nothing_feasible_says_so(figure):
    said = getattr(bounded("mb <= -1").plot, figure)().layout.annotations[0].text
    assert "0 of 20 completed trials are feasible" in said.replace("<br>", " ")


def test_a_metric_of_many_decades_has_decades_in_every_figure():
    space = {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}
    found = [done({"loss": 10.0 ** (i - 13)}, {"x": i / 20, "y": (7 * i % 20) / 20}) for i in range(20)]
    results = results_of(*found, space=space)
    axis = results.plot.parallel_coordinates().data[0].dimensions[-1]
    assert axis.range == pytest.approx((-13, 6)) and list(axis.ticktext[:2]) == ["1e-13", "1e-10"]
    contour = results.plot.contour()
    assert all(float(trace.z.max()) < 7 for trace in contour.data if trace.type == "contour")
    assert (
        "1e-05" in contour.layout.coloraxis.colorbar.ticktext or "0.0001" in contour.layout.coloraxis.colorbar.ticktext
    )
    several = results_of(*[done({"a": 10.0**-i, "b": float(i)}) for i in range(8)], metric=["a", "b"])
    ends = {axis.label: sorted(axis.range) for axis in several.plot.metrics().data[0].dimensions}
    assert ends["a (min)"] == pytest.approx([-7, 0]) and ends["b (min)"] == [0, 7]


def test_options_with_the_same_beginning_have_different_labels_as_plain_text():
    options = [f"a rather long option number {i} with <many> words that go on" for i in range(14)]
    found = [done(float(i), {"option": options[i], "x": i / 14}) for i in range(14)]
    results = results_of(*found, space={"option": hpo.choice(options), "x": hpo.uniform(0, 1)})
    axis, _, metric = results.plot.parallel_coordinates().data[0].dimensions
    assert len(set(axis.ticktext)) == 14 and "13" in axis.ticktext[-1]
    assert metric.label == "loss (min)"
    labels = results.plot.slice(parameters=["option"]).layout.xaxis.ticktext
    assert len(set(labels)) == 14
    short = results_of(
        *[done(float(i), {"o": o}) for i, o in enumerate(["<a>", "<b>"] * 3)], space={"o": hpo.choice(["<a>", "<b>"])}
    )
    assert list(short.plot.parallel_coordinates().data[0].dimensions[0].ticktext) == ["<a>", "<b>"]


def test_the_last_name_of_parallel_coordinates_has_room():
    layout = results_of(*[done({"l": float(i)}) for i in range(4)], metric="l").plot.parallel_coordinates().layout
    long = results_of(*[done({"l" * 20: float(i)}) for i in range(4)], metric="l" * 20)
    assert layout.margin.t >= 60 + 4 * len("l (min)")
    assert long.plot.parallel_coordinates().layout.margin.r > 7 * 24


def test_short_trials_on_a_timeline_have_no_outline_that_covers_them():
    results = results_of(*[done(0.5, duration_s=seconds) for seconds in (1e-3, 50.0)])
    (bars,) = named(results.plot.timeline(), "completed")
    assert list(bars.marker.line.width) == [0.0, 0.5]


def test_figures_of_one_trial_speak_of_one():
    results = results_of(done(0.5))
    assert "1 worker, 100% of its time" in results.plot.timeline().layout.annotations[0].text
    assert results.plot.duration().layout.annotations[0].text == "the trial took 2.0s"


def test_a_contour_keeps_small_differences_of_large_values():
    found = [done({"loss": 1e12 + i}, {"x": i / 20, "y": (7 * i % 20) / 20}) for i in range(20)]
    figure = results_of(*found, space={"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}).plot.contour()
    assert np.ptp(figure.data[0].z) > 3


def test_a_contour_keeps_values_that_short_floats_cannot_hold():
    configs = [{"x": i / 20, "y": (7 * i % 20) / 20} for i in range(20)]
    space = {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}
    field = results_of(*[done(1e-300 * (1 + i), c) for i, c in enumerate(configs)], space=space).plot.contour().data[0]
    assert np.ptp(field.z) > 3e-300
    field = (
        results_of(*[done(10.0 ** (295 + i % 10), c) for i, c in enumerate(configs)], space=space)
        .plot.contour()
        .data[0]
    )
    assert np.isfinite(np.asarray(field.customdata, dtype=float)).all()


def test_a_hypervolume_that_is_no_float_says_so():
    points = [{"a": 1e200 * i, "b": 1e200 * (9 - i)} for i in range(10)]
    results = results_of(*[done(point) for point in points], metric=["a", "b"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert results.hypervolume() == np.inf
        assert "too large for a float" in results.plot.hypervolume().layout.annotations[0].text

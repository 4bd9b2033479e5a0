"""Figures of every kind of study can be drawn, say what they should, and are safe to open."""

from __future__ import annotations

import math
import re
import subprocess
import sys

import pytest

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.goals import Goal
from raytune_hpo.results import Results
from tests.faces.studies import NASTY, done, failed, pruned, results_of, running

pytest.importorskip("plotly")

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
    "huge values": results_of(done(1e300), done(-1e300), done(0.0)),
    "nasty": results_of(done(0.5, {NASTY: NASTY}), failed(NASTY), name=NASTY),
    "nan extras": results_of(done({"loss": 0.5, "extra": math.nan}, steps=2)),
}


@pytest.mark.parametrize("kind", STUDIES)
def test_every_study_has_a_history_curves_and_a_page(kind, tmp_path):
    results = STUDIES[kind]
    assert results.plot.history().to_dict()["layout"]
    assert results.plot.curves().to_dict()["layout"]
    results.plot.page(tmp_path / "page.html")
    assert "</html>" in (tmp_path / "page.html").read_text()


def named(figure, name):
    return [trace for trace in figure.data if trace.name == name]


def test_the_history_marks_what_pruned_and_failed_and_ends_with_the_best():
    figure = STUDIES["everything"].plot.history()
    (best,) = named(figure, "best so far")
    assert (list(best.x), list(best.y)) == ([0, 4, 4], [0.5, 0.3, 0.3])
    assert list(named(figure, "pruned")[0].y) == [0.9]
    assert list(named(figure, "failed")[0].x) == [2]


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
    assert "1 far worse" in figure.layout.annotations[0].text
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


def test_the_page_is_one_file_and_runs_nothing_of_the_users(tmp_path):
    path = tmp_path / "page.html"
    STUDIES["nasty"].plot.page(path)
    text = path.read_text()
    assert NASTY not in text
    assert "<script>alert" not in text
    assert len(re.findall(r"plotly\.js v\d", text)) == 1
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)


def test_the_page_of_a_large_study_says_what_it_leaves_out(tmp_path):
    path = tmp_path / "page.html"
    spec = results_of().spec
    one = results_of(done(0.5, {f"p{i}": i for i in range(40)}))[0]
    Results(spec, [one] * 3000).plot.page(path)
    text = path.read_text()
    assert "the first 500 of 3000 trials, the first 12 of 40 parameters" in text
    assert text.count("<tr>") == 501


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
    import numpy as np

    from raytune_hpo.plots.style import value_axis

    assert value_axis(np.array([]), Goal("<b>"))["title"]["text"] == "&lt;b&gt;"
    assert issubclass(SpecError, HpoError)

"""Small pictures: what they show is where it should be, and they stay small."""

from __future__ import annotations

import math
import re
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from raytune_hpo.display import svg as pictures
from raytune_hpo.display.colours import BRIGHT_ORANGE
from raytune_hpo.display.svg import Dot, Scale, Span, scale_of
from raytune_hpo.results import Results, summary
from tests.faces.studies import NASTY, done, failed, pruned, results_of, running

SIZE = (400, 200)


def drawn(svg):
    """The picture's elements, which are well-formed."""
    return list(ElementTree.fromstring(svg).iter())


def labels(svg):
    return [element.text for element in drawn(svg) if element.tag == "text"]


def num_dots(svg):
    return svg.count("h0")


def test_a_history_has_its_dots_and_its_staircase_inside_the_picture():
    dots = [Dot(x, 1 / (x + 1), x % 2 == 0) for x in range(10)]
    svg = pictures.draw_history(dots, [(0, 1.0), (4, 0.2)], lower_is_better=True, end=9, size=SIZE, title="loss")
    assert num_dots(svg) == 10
    for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", svg):
        assert 0 <= float(x) <= SIZE[0] and 0 <= float(y) <= SIZE[1]
    assert svg.count(BRIGHT_ORANGE) == 1


def test_nothing_to_draw_is_no_picture():
    assert pictures.draw_history([], [], lower_is_better=True, end=0, size=SIZE, title="") == ""
    assert pictures.draw_scatter([], ("a", "b"), lower_is_better=(True, True), size=SIZE, title="") == ""
    assert pictures.draw_intervals([], width=400, row_height=20, title="") == ""


@pytest.mark.parametrize("value", [0.0, 5.0, -3.0, 1e-320, 9e299, 123456789.123])
def test_one_value_is_a_picture_too(value):
    svg = pictures.draw_history([Dot(0, value)], [(0, value)], lower_is_better=False, end=0, size=SIZE, title="loss")
    assert num_dots(svg) == 1 and "nan" not in svg and "inf" not in svg


@pytest.mark.parametrize("values", [[1e-310, 1e299], [-9e299, 9e299], [math.inf, 1.0, math.nan], [10**400, 3]])
def test_values_beyond_all_measure_break_no_picture(values):
    dots = [Dot(x, value) for x, value in enumerate(values)]
    corners = list(enumerate(values))
    svg = pictures.draw_history(dots, corners, lower_is_better=True, end=2, size=SIZE, title="loss")
    assert num_dots(svg) == sum(abs(value) < 1e300 for value in values)
    assert "nan" not in svg and "inf" not in svg
    assert "nan" not in pictures.draw_scatter(dots, ("a", "b"), lower_is_better=(True, False), size=SIZE, title="front")


def test_axes_are_logarithmic_where_values_span_decades():
    axis = scale_of([1e-5, 1e-3, 10.0], lower_is_better=True)
    assert axis.is_log and round(math.log10(axis.ticks()[0])) >= -5
    assert axis.at(1e-5) < axis.at(1e-3) < axis.at(10.0) <= 1
    assert not scale_of([-1.0, 1000.0], lower_is_better=True).is_log


@pytest.mark.parametrize(("lower_is_better", "far"), [(True, 1e6), (False, -1e6)])
def test_a_value_far_from_the_others_stands_at_the_edge(lower_is_better, far):
    values = [n / 100 - 0.5 for n in range(100)]
    axis = scale_of([*values, far], lower_is_better=lower_is_better)
    assert axis.high - axis.low < 5
    assert axis.at(far) in (0.0, 1.0)
    assert axis.at(values[0]) != axis.at(values[1])


@pytest.mark.parametrize("low", [-7.3, 0.0, 0.25, 1e-9, 5e8])
@pytest.mark.parametrize("span", [1e-3, 0.7, 1.0, 9.99, 12345.0])
def test_ticks_are_a_few_round_numbers_inside(low, span):
    axis = Scale(low, low + span)
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 8
    assert all(axis.low - 1e-6 * span <= tick <= axis.high + 1e-6 * span for tick in ticks)
    steps = {round((b - a) / span, 3) for a, b in zip(ticks, ticks[1:], strict=False)}
    assert len(steps) == 1


def test_the_front_is_bold_and_its_edge_keeps_to_the_worse_side():
    dots = [Dot(1, 4), Dot(2, 1), Dot(3, 3, is_bold=False)]
    svg = pictures.draw_scatter(dots, ("loss", NASTY), lower_is_better=(True, True), size=SIZE, title="front")
    (edge,) = re.findall(r'd="(M[\d.]+ [\d.]+[HV][^"]+)" stroke="' + BRIGHT_ORANGE, svg)
    assert re.fullmatch(r"M[\d.]+ [\d.]+H[\d.]+V[\d.]+", edge)
    assert num_dots(svg) == 3 and labels(svg)[-2:] == ["loss", NASTY[:27] + "..."]


def test_intervals_stand_one_below_the_other():
    spans = [Span("trial 1", 0.5, (0.4, 0.6), 0.1), Span("trial 2", 0.7, None, 0.2)]
    svg = pictures.draw_intervals(spans, width=400, row_height=20, title="means")
    heights = [float(element.get("cy")) for element in drawn(svg) if element.tag == "circle"]
    assert len(heights) == 2 and heights[0] < heights[1]
    assert svg.count('stroke-width="2" stroke-opacity') == 1


def test_results_have_a_picture_of_their_history():
    results = results_of(done(0.5), failed(), pruned(0.9), done(0.3), running(), done(math.inf))
    html = results._repr_html_()
    assert html.count("<svg") == 1
    assert num_dots(html) == 3  # a value that is not finite cannot be drawn
    assert "loss (min) by trial" in html


def test_results_of_several_metrics_have_a_picture_of_their_front():
    points = [done({"loss": a, "size": b}) for a, b in [(1, 9), (2, 1), (3, 9), (0, 2)]]
    html = results_of(*points, failed(), metric=["loss", "size"], mode=["min", "max"])._repr_html_()
    assert num_dots(html) == 4 and "size (max) against loss (min)" in html


@pytest.mark.parametrize("trials", [[], [failed()], [running()], [done(0.5)]])
def test_every_study_can_be_shown(trials):
    html = results_of(*trials)._repr_html_()
    assert html.count("<svg") == (1 if trials and "0.5" in html and "best loss" in html else 0)


def test_a_hundred_thousand_trials_are_shown_in_seconds_and_a_few_kilobytes():
    one = [done(1 / (n + 1), {"x": n / 1000})(n, results_of().goals) for n in range(1000)]
    results = Results(results_of().spec, one * 100)
    begin = time.process_time()
    html = results._repr_html_()
    assert time.process_time() - begin < 10
    assert len(html) < 60_000
    assert num_dots(html) <= summary.MAX_DOTS


def test_ticks_of_trials_are_whole_and_labels_tell_values_apart():
    assert Scale(0.0, 1.0, is_count=True).ticks() == [0.0, 1.0]
    svg = pictures.draw_history(
        [Dot(i, 1e14 + i) for i in range(4)], [], lower_is_better=True, end=3, size=SIZE, title=""
    )
    texts = labels(svg)
    assert len(set(texts)) == len(texts) and "100000000000002" in texts
    left = [float(e.get("x")) for e in drawn(svg) if e.get("text-anchor") == "end"]
    assert min(left) > 5 * len("100000000000002")


def test_trials_that_break_a_constraint_are_crosses_and_never_the_best():
    made = done(0.5)
    results = results_of(lambda number, goals: replace(made(number, goals), violations={"mb": 1.0}))
    svg = summary.picture(results)
    assert "l5 5" in svg and not num_dots(svg)
    assert "loss (min) by trial; red crosses break a constraint" in svg and "best so far" not in svg
    assert "breaks" in str(results) and "mb" in str(results)


@pytest.mark.parametrize("lower_is_better", [(True, True), (True, False), (False, True), (False, False)])
def test_the_edge_of_a_front_of_further_metrics_goes_one_way(lower_is_better):
    """It leads through those points that no other one dominates in these two metrics: of a zigzag only two."""
    x_sign, y_sign = (1 if is_low else -1 for is_low in lower_is_better)
    zigzag = [(1.0, 4.0), (2.0, 6.0), (3.0, 1.0), (4.0, 5.0)]
    dots = [Dot(x_sign * x, y_sign * y) for x, y in zigzag]
    svg = pictures.draw_scatter(dots, ("a", "b"), lower_is_better=lower_is_better, size=SIZE, title="front")
    (edge,) = re.findall(r'd="(M[\d.]+ [\d.]+[HV][^"]+)" stroke="' + BRIGHT_ORANGE, svg)
    assert re.fullmatch(r"M[\d.]+ [\d.]+(H[\d.]+V[\d.]+|V[\d.]+H[\d.]+)", edge)

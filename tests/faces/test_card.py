"""The card: what it shows, what it leaves out, and that nobody's text becomes markup."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import pytest

import raytune_hpo as hpo
from raytune_hpo.progress.card import card
from raytune_hpo.spec import Limits
from tests.faces.snapshots import HISTORY, RUNNING, STATUS, snapshot
from tests.faces.studies import NASTY

_EMPTY_TAGS = ("br", "path")


class Page(HTMLParser):
    """Its tags, which must be closed in order, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag not in _EMPTY_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def test_it_shows_what_one_wants_to_know():
    page = Page(card(snapshot(), 0.5))
    for wanted in (
        "mnist",
        "37/100",
        "0.0123457",
        "best loss (trial 29)",
        "30/min",
        "2m 6s left",
        "5 pruned",
        "2 failed",
    ):
        assert wanted in page.text
    for wanted in ("lr=0.2, depth=5", "12s", "step 3: 0.25", "lr=0.1, depth=3", "and 3 more", "loss (min)"):
        assert wanted in page.text
    assert page.tags.count("svg") == 1 and page.tags.count("table") == 1


def test_it_needs_no_script_and_no_style_sheet():
    tags = set(Page(card(snapshot(), 0.5)).tags)
    assert tags <= set("div b span br svg title path text table thead tbody tr th td".split())


def test_what_came_from_a_user_is_escaped():
    status = replace(STATUS, name=NASTY, best={NASTY: 1.0}, stopped=NASTY)
    trial = replace(RUNNING, config=NASTY)
    histories = (replace(HISTORY, metric=NASTY),)
    page = Page(card(snapshot(status, running=(trial,), best_config=NASTY, histories=histories), None, note=NASTY))
    assert "script" not in page.tags
    assert page.text.count("alert(1)") == 8  # the picture says it twice: beside it, and to those who cannot see it


@pytest.mark.parametrize("rate", [None, 2.0])
def test_a_study_that_has_just_begun_shows_no_empty_parts(rate):
    status = replace(STATUS, counts={"running": 1}, best={}, best_number=None, limits=Limits())
    page = Page(card(snapshot(status, running=(), best_config="", histories=()), rate))
    assert not {"svg", "table"} & set(page.tags)
    assert "best" not in page.text and "progressbar" not in card(snapshot(status), rate)


def test_a_study_that_has_ended_says_by_what():
    text = Page(card(snapshot(replace(STATUS, stopped="num_trials"), running=()), None)).text
    assert "1m 15s · ended by num_trials" in text
    assert "running ·" not in text


def test_the_bar_is_as_long_as_the_study_is_far_and_shows_how_trials_ended():
    html = card(snapshot(), None)
    assert 'aria-valuenow="37"' in html
    assert "width: 30.00%" in html and "width: 5.00%" in html and "width: 2.00%" in html
    by_time = replace(STATUS, counts={"running": 2}, limits=Limits(time_budget_s=100.0))
    assert 'aria-valuenow="75"' in card(snapshot(by_time), None)


def test_several_metrics_have_a_picture_each():
    status = replace(STATUS, best={"loss": 0.5, "size": 12.0})
    histories = (HISTORY, replace(HISTORY, metric="size", mode="max"))
    page = Page(card(snapshot(status, histories=histories), None))
    assert page.tags.count("svg") == 2
    assert "best size" in page.text and "trial 29" not in page.text


def test_a_trial_that_is_tried_again_says_so():
    text = Page(card(snapshot(running=(replace(RUNNING, attempt=2, step=None, value=None),)), None)).text
    assert "37 (attempt 2)" in text and "last report" not in text


def test_a_real_study_of_thousands_of_trials_has_a_small_card():
    settings = {"sampler": "random", "runtime": "local", "storage": "memory", "progress": False, "max_concurrent": 1}
    tuner = hpo.Tuner(lambda config: config["x"] ** 2, {"x": hpo.uniform(-1, 1)}, num_trials=2_000, **settings)
    with tuner.start() as run:
        assert run.wait(60)
        begin = time.process_time()
        html = run._repr_html_()
        assert time.process_time() - begin < 0.1
    assert len(html) < 20_000
    assert Page(html).tags.count("svg") == 1
    assert "2000/2000" in html


def test_what_breaks_a_constraint_is_a_red_cross_and_counted():
    points = tuple(point._replace(is_feasible=point.place > 3) for point in HISTORY.points)
    status = replace(STATUS, num_infeasible=3)
    shown = card(snapshot(status, histories=(replace(HISTORY, points=points),)), None)
    assert shown.count("m-2.5-2.5l5 5m-5 0l5-5") == 3
    text = Page(shown).text
    assert "loss (min); red crosses break a constraint" in text and "27 feasible of 30 completed" in " ".join(
        text.split()
    )
    assert "red crosses" not in card(snapshot(), None)


def test_running_trials_scroll_in_a_narrow_notebook_and_three_pictures_fit_beside_each_other():
    assert '<div style="overflow-x: auto"><table' in card(snapshot(), None)
    wide = card(snapshot(histories=(HISTORY,) * 3), None)
    widths = [int(width) for width in re.findall(r'<svg [^>]*width="(\d+)"', wide)]
    gap = int(re.search(r"gap: 4px (\d+)px; margin-top", wide)[1])
    room = int(re.search(r"max-width: (\d+)px; box-sizing", wide)[1]) - 2 * 16 - 2
    assert len(widths) == 3 and sum(widths) + 2 * gap <= room

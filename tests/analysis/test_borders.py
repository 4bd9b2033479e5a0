"""Where the best trials lie at the end of a range, the results say so."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import raytune_hpo as hpo
from raytune_hpo.analysis.borders import borders


def results_of(objective: Any, space: Any, num_trials: int = 40, **settings: Any) -> hpo.Results:
    settings = {"metric": "loss", "sampler": "random", "seed": 0, **settings}
    return hpo.tune(
        objective,
        space,
        num_trials=num_trials,
        runtime="local",
        storage="memory",
        progress=False,
        max_concurrent=1,
        **settings,
    )


@pytest.mark.parametrize(
    ("domain", "sign", "said"),
    [
        (hpo.uniform(0, 1), 1, "x (lower end, 0)"),
        (hpo.uniform(0, 1), -1, "x (upper end, 1)"),
        (hpo.loguniform(1e-5, 1e-1), 1, "x (lower end, 1e-05)"),
        (hpo.loguniform(1e-5, 1e-1), -1, "x (upper end, 0.1)"),
        (hpo.randint(2, 10), -1, "x (upper end, 9)"),
        (hpo.quniform(0, 5, 0.5), 1, "x (lower end, 0)"),
    ],
)
def test_the_border_is_named(domain: Any, sign: int, said: str) -> None:
    results = results_of(lambda c: sign * c["x"], {"x": domain, "y": hpo.uniform(0, 1)}, num_trials=150)
    assert f"best at the border of {said}: widen it" in str(results)


def test_the_page_names_it_too(tmp_path: Any) -> None:
    results = results_of(lambda c: c["x"] + c["y"], {"x": hpo.uniform(0, 1), "y": hpo.uniform(1, 2)}, 60, sampler="tpe")
    results.plot.page(tmp_path / "page.html")
    said = "best at the border of x (lower end, 0), y (lower end, 1): widen them"
    assert said in str(results) and said in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    "space",
    [
        {"x": hpo.uniform(-1, 1)},  # the best lies inside
        {"x": hpo.randn(0, 1)},  # there is no end
        {"x": hpo.choice([0, 1, 2, 3, 4, 5])},  # nor an order
        {"x": hpo.randint(0, 3)},  # of three values one is often the first
        {"x": hpo.ordinal([0, 1, 2, 3, 4, 5, 6])},
        {"x": hpo.choice([{"a": hpo.uniform(0, 1)}, 2])},
    ],
)
def test_nothing_is_said_without_a_reason(space: Any) -> None:
    results = results_of(lambda c: abs(c["x"] if not isinstance(c["x"], dict) else c["x"]["a"] - 0.5), space)
    assert "border" not in str(results)


def test_few_trials_say_nothing_about_a_range() -> None:
    assert "border" not in str(results_of(lambda c: 0.0, {"x": hpo.uniform(0, 1)}, num_trials=9))


def test_a_parameter_of_a_branch_is_named_as_elsewhere() -> None:
    space = {"model": hpo.choice([{"kind": "svm", "C": hpo.loguniform(1e-3, 1e3)}, {"kind": "tree", "depth": 3}])}
    results = results_of(lambda c: -c["model"].get("C", 0.0), space, num_trials=400)
    assert "best at the border of model/svm/C (upper end, 1000)" in str(results)


def test_infeasible_trials_say_nothing_about_a_range() -> None:
    """They rank behind the feasible ones, of which there may be fewer than three."""
    space, bound = {"x": hpo.uniform(0, 1)}, ["size <= 0.001"]
    results = results_of(lambda c: {"loss": c["x"], "size": c["x"]}, space, 60, outcome_constraints=bound)
    assert 0 < len(results.feasible) < 3 and "border" not in str(results)
    unbounded = results_of(lambda c: {"loss": c["x"], "size": c["x"]}, space, 60)
    assert "border" in str(unbounded)


def test_the_ends_of_a_front_are_no_borders() -> None:
    results = results_of(
        lambda c: {"loss": c["x"], "size": 1 - c["x"]},
        {"x": hpo.uniform(0, 1)},
        metric=["loss", "size"],
        mode=["min", "min"],
    )
    assert "border" not in str(results)


def test_a_domain_whose_class_is_missing_has_no_ends() -> None:
    results = results_of(lambda c: c["x"], {"x": hpo.uniform(0, 1)}, num_trials=20)
    gone = {"version": 1, "name": "config", "root": {"dict": [["x", {"gone:Powers": {}}]]}, "constraints": []}
    spec = dataclasses.replace(results.spec, space=hpo.Space.from_json(gone))
    assert borders(spec.space, results.trials) == []

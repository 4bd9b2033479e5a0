"""raytune_hpo as an optimizer of Bayesmark, where Bayesmark is installed."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("bayesmark", reason="needs pip install bayesmark 'numpy<2' 'scikit-learn<1.5'")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "benchmarks"))
    import bayesmark_runs

    return bayesmark_runs


CONFIG = {
    "depth": {"type": "int", "space": "linear", "range": (1, 15)},
    "rate": {"type": "real", "space": "log", "range": (1e-4, 1.0)},
    "share": {"type": "real", "space": "logit", "range": (0.01, 0.99)},
    "centred": {"type": "bool"},
    "kind": {"type": "cat", "values": ["a", "b"]},
}


@pytest.mark.parametrize("sampler", ["auto", "tpe", "random"])
def test_suggestions_lie_where_bayesmark_wants_them(runs: ModuleType, sampler: str) -> None:
    from bayesmark.space import JointSpace

    optimizer = runs.RaytuneHpo(CONFIG, sampler=sampler, seed=1)
    for _ in range(6):
        points = optimizer.suggest(3)
        JointSpace(CONFIG).validate(points)
        optimizer.observe(points, [points[0]["rate"], math.inf, points[2]["share"]])
    statuses = [str(trial.status) for trial in optimizer._study.results()]
    assert statuses == ["completed", "failed", "completed"] * 6


def test_the_same_seed_is_the_same_search(runs: ModuleType) -> None:
    first, again = (runs.run("DT", "wine", "tpe", 3, 5) for _ in range(2))
    assert first["best"] == again["best"] and first["median"] == again["median"]


def test_scores_are_bayesmarks(runs: ModuleType) -> None:
    def run(optimizer: str, best: float, median: float) -> dict[str, object]:
        return {"problem": "p", "optimizer": optimizer, "best": best, "median": median}

    scored = runs.scores([run("auto", 1.0, 2.0), run("auto", 2.0, 2.0), run(runs.THEIRS, 3.0, 5.0)])
    assert scored == {"p": {"auto": pytest.approx(87.5), runs.THEIRS: pytest.approx(50.0)}}

"""The benchmark of early stopping: curves as a folder of tasks has them, goals, and times that are known beforehand."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import early_stopping  # noqa: E402
import further_curves  # noqa: E402
from curves import Curves, names  # noqa: E402
from tasks.scoring import Scores  # noqa: E402

STEPS = 9
SHARED = """
class Task:
    best, median, worst, targets, fidelity = 0.0, 0.5, 9.0, [0.05, 0.01, 0.001], (1, 9)
    space = [{"name": "x", "type": "float", "low": 0.0, "high": 1.0, "log": False}]
    def __init__(self, tags):
        self.tags = tags
    def sample(self, rng):
        return {"x": float(rng.random())}
    def objective(self, config, fidelity=9):
        return {"loss": config["x"] + 1 / fidelity, "time": 2.0 * fidelity}
    def curve(self, config):
        return [config["x"] + 1 / step if config["x"] < 0.9 else float("nan") for step in range(1, 10)]
    def curve_time(self, config):
        return [2.0 * step for step in range(1, 10)]
def load(name):
    return Task(["curve", name])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tasks.py").write_text(SHARED)
    index = {
        "recorded": {"tags": ["curve"], "median": 0.5},
        "surrogate": {"tags": ["curve", "surrogate"], "median": 0.5},
        "trained": {"tags": ["curve", "train"], "median": 0.5},
        "flat": {"tags": ["single"], "median": 0.5},
    }
    (tmp_path / "index.json").write_text(json.dumps(index))
    return tmp_path


# ------------------------------------------------------------------------------------------------ curves


def test_tasks_are_those_with_curves_to_be_looked_up(folder: Path) -> None:
    assert names(folder) == ["recorded", "surrogate"]


def test_a_curve_is_in_mean_full_runs_and_diverged_is_as_bad_as_can_be(folder: Path) -> None:
    curves = Curves(folder, "recorded")
    losses, ends = curves.of({"x": 0.5})
    assert len(losses) == STEPS and losses[0] == 1.5
    assert ends[-1] == pytest.approx(1.0) and ends[0] == pytest.approx(1 / STEPS)
    assert curves.of({"x": 0.95}).losses == [9.0] * STEPS


def test_a_surrogate_is_asked_at_some_steps_and_lines_lie_between(folder: Path) -> None:
    curves = Curves(folder, "surrogate")
    losses, ends = curves.of({"x": 0.0})
    assert losses[0] == pytest.approx(1.0) and losses[-1] == pytest.approx(1 / STEPS)
    assert all(loss >= 1 / step - 1e-12 for step, loss in enumerate(losses, start=1))  # a chord of a convex curve
    assert losses == sorted(losses, reverse=True) and ends == sorted(ends)


def test_goals_are_the_best_of_random_and_parts_of_the_way_to_the_best_known(folder: Path) -> None:
    assert Curves(folder, "recorded").goals == pytest.approx(
        {"best 1 %": 0.01, "best 0.1 %": 0.001, "within 1 %": 0.005, "within 0.1 %": 0.0005}
    )


# ------------------------------------------------------------------------------------------------ times


def test_only_what_ran_to_its_end_counts(folder: Path) -> None:
    curves = Curves(folder, "recorded")
    full = early_stopping.CONTENDERS["random"].play(curves, num_workers=2, horizon=3.0, seed=1)
    assert [at for at, _ in full] == pytest.approx([1, 1, 2, 2, 3, 3][: len(full)]) and len(full) >= 4
    stopped = early_stopping.CONTENDERS["asha"].play(curves, num_workers=2, horizon=3.0, seed=1)
    assert all(at >= 1 - 1e-9 and loss >= 1 / STEPS for at, loss in stopped)  # none of those that ended sooner
    assert min(loss for _, loss in stopped) <= min(loss for _, loss in full)  # it has looked at more configurations
    assert early_stopping.CONTENDERS["asha"].play(curves, num_workers=2, horizon=3.0, seed=1) == stopped


def test_a_goal_is_reached_by_the_first_that_has_it_or_never() -> None:
    ends = [(3.0, 0.2), (1.0, 0.9), (2.0, 0.2)]
    assert early_stopping.arrival(ends, 0.2) == 2.0
    assert early_stopping.arrival(ends, 0.1) == math.inf == early_stopping.arrival([], 1.0)


def test_runs_that_never_come_there_count_with_the_whole_time() -> None:
    found = {
        "random": {"a": [[(4.0, 0.1)], []], "b": [[(2.0, 0.1)], [(4.0, 0.1)]]},
        "quick": {"a": [[(1.0, 0.1)], [(2.0, 0.1)]], "b": [[(1.0, 0.1)], [(2.0, 0.1)]]},
    }
    goals = {"a": {"good": 0.1}, "b": {"good": 0.1}}
    random, quick = early_stopping.figures(found, goals, "good", num_workers=4, horizon=8.0)
    assert random.name == "4 workers, good: random" and random.measured == pytest.approx((6 + 3) / 2)
    assert random.detail["reached"] == 0.75 and random.detail["median"] == 4.0
    assert quick.measured == pytest.approx(1.5) and quick.detail["sooner"]["value"] == pytest.approx(3.0)
    assert quick.detail["sooner"]["low"] > 1.0


def test_a_ratio_is_over_the_tasks_that_both_have() -> None:
    runs = {"slow": {"a": [8.0], "b": [2.0]}, "quick": {"a": [2.0]}}
    scores = early_stopping.scores(runs, float, ["a", "b"])
    assert isinstance(scores, Scores) and scores.ratio("quick", "slow").value == pytest.approx(4.0)


# ------------------------------------------------------------------------------------------------ the script


def measured(folder: Path, *options: str) -> dict[str, Any]:
    """The figures that the script writes, by name."""
    out = folder / "figures.json"
    command = [
        sys.executable,
        str(BENCHMARKS / "early_stopping.py"),
        "--out",
        str(out),
        "--tasks",
        str(folder),
        *options,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=dict(os.environ), check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "measured" in done.stdout
    return {figure["name"]: figure for figure in json.loads(out.read_text())["figures"]}


@pytest.mark.slow
def test_every_contender_runs(folder: Path) -> None:
    figures = measured(folder, "--quick", "--workers", "4")
    labels = {name.partition(": ")[2] for name in figures}
    assert labels == set(early_stopping.CONTENDERS)
    assert len(figures) == 4 * len(labels)
    assert all(0 < figure["measured"] <= figure["detail"]["horizon"] for figure in figures.values())


def test_runs_that_are_kept_are_read(folder: Path) -> None:
    words = [
        "--only",
        "random",
        "--names",
        "recorded",
        "--workers",
        "4",
        "--seeds",
        "2",
        "--cache",
        str(folder / "kept"),
    ]
    first = measured(folder, *words)
    kept = sorted((folder / "kept").iterdir())
    assert len(kept) == 2
    for path in kept:
        path.write_text("[[0.25, 0.0]]")
    again = measured(folder, *words)
    name = "4 workers, within 0.1 %: random"
    assert first[name]["measured"] > again[name]["measured"] == 0.25


def test_who_is_not_known_is_told_who_is(folder: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "early_stopping.py"), "--tasks", str(folder), "--only", "nobody"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "no contender 'nobody'; there are random, auto" in done.stderr


def test_further_curves_are_those_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, made = tmp_path / "source", tmp_path / "made"
    source.mkdir()
    (source / "tasks.py").write_text(SHARED)
    (source / "fidelity.py").write_text("")
    monkeypatch.setattr(sys, "argv", ["further_curves.py", str(made), "--tasks", str(source)])
    further_curves.main()
    index = json.loads((made / "fidelity.json").read_text())
    assert len(index) == 12
    assert index["lcbench_167161"] == {"task": "lcbench_167161", "levels": STEPS, "unit": 18.0}
    assert index["svm_1494_trainsize"] == {"task": "svm_1494", "levels": 27, "trainsize": True, "unit": 18.0}
    assert (made / "tasks.py").read_text() == (source / "tasks.py").read_text()

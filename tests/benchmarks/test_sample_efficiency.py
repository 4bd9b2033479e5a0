"""The benchmarks of samplers: spaces as described, the virtual clock, scores against figures known beforehand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_hpo.facts import Status
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.random import Random
from raytune_hpo.samplers.sobol import Sobol
from raytune_hpo.space import Choice, Float, Int, Ordinal, Space
from raytune_hpo.trial import Trial

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from tasks import live  # noqa: E402
from tasks.jobs import Contender, Job, run, source_digest  # noqa: E402
from tasks.playing import play  # noqa: E402
from tasks.scoring import Scores  # noqa: E402
from tasks.task import Outcome, Task  # noqa: E402

from raytune_hpo.experiments.parameter_lists import flatten, space_from_list  # noqa: E402

DESCRIBED = [
    {"name": "learner", "type": "categorical", "choices": ["tree", "net", "none"]},
    {"name": "rate", "type": "float", "low": 1e-4, "high": 1.0, "log": True, "condition": {"learner": ["tree", "net"]}},
    {"name": "kind", "type": "categorical", "choices": ["a", "b"], "condition": {"learner": ["tree"]}},
    {"name": "deep", "type": "int", "low": 1, "high": 9, "condition": {"kind": ["b"], "learner": ["tree"]}},
    {"name": "batch", "type": "categorical", "choices": [16, 32, 64], "ordered": True},
]


# ------------------------------------------------------------------------------------------------ spaces


def is_as_described(config: Mapping[str, Any]) -> bool:
    """Whether exactly the active parameters are there, each in its range."""
    active: list[str] = []
    for p in DESCRIBED:
        if all(config.get(parent) in values for parent, values in p.get("condition", {}).items()):
            active.append(p["name"])
            value = config[p["name"]]
            assert value in p["choices"] if "choices" in p else p["low"] <= value <= p["high"]
    return list(config) == active or set(config) == set(active)


@pytest.mark.parametrize("form", ["flat", "nested"])
def test_a_described_space_yields_what_was_described(form: str) -> None:
    configs = [flatten(config) for config in space_from_list(DESCRIBED, form).sample(300, np.random.default_rng(0))]
    assert all(map(is_as_described, configs))
    assert {config["learner"] for config in configs} == {"tree", "net", "none"}
    assert any("deep" in config for config in configs)


def test_the_flat_form_shares_what_the_nested_one_repeats() -> None:
    columns = space_from_list(DESCRIBED).columns
    assert [column.name for column in columns] == ["learner", "rate", "kind", "deep", "batch"]
    assert isinstance(columns[-1].domain, Ordinal)
    assert sum("rate" in column.name for column in space_from_list(DESCRIBED, "nested").columns) == 2


def test_parents_on_two_paths_have_no_nested_form() -> None:
    apart = [
        {"name": "a", "type": "categorical", "choices": [0, 1]},
        {"name": "b", "type": "categorical", "choices": [0, 1]},
        {"name": "x", "type": "float", "low": 0.0, "high": 1.0, "condition": {"a": [1], "b": [1]}},
    ]
    with pytest.raises(ValueError, match="flat form"):
        space_from_list(apart, "nested")
    configs = space_from_list(apart).sample(50, np.random.default_rng(0))
    assert all(("x" in config) == (config["a"] == config["b"] == 1) for config in configs)


# ------------------------------------------------------------------------------------------------ the virtual clock


def line(*, time: float | None = 1.0) -> Task:
    def evaluate(config: Mapping[str, Any]) -> Outcome:
        return Outcome(float("nan") if config["x"] < 0.1 else config["x"], time)

    return Task(name="line", tags=(), space=Space({"x": Float(0, 1)}), best=0.1, median=0.55, evaluate=evaluate)


class Watched(Random):
    """Random search that remembers how much was pending, and what it was told."""

    traits = Traits(reads_pending=True)

    def __init__(self) -> None:
        self.pending: list[int] = []
        self.told: list[Trial] = []

    def bind(self, space: Space, goals: Any, seed: int) -> Watched:
        self._drawn = Random().bind(space, goals, seed)._drawn
        return self

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion:
        self.pending.append(len(pending))
        return super().ask(number, pending, rng)

    def tell(self, trial: Trial) -> None:
        self.told.append(trial)


def test_one_at_a_time_the_trials_come_in_order_and_failed_ones_are_told_as_failed() -> None:
    sampler = Watched()
    played = play(sampler, line(), seed=3, num_trials=50)
    expected = [
        config["x"] for config in (Random().bind(line().space, (), 3).ask(n, (), None).config for n in range(50))
    ]
    assert played.losses == pytest.approx([x if x >= 0.1 else np.nan for x in expected], nan_ok=True)
    assert played.finished_at.tolist() == list(range(1, 51))
    assert set(sampler.pending) == {0}
    failed = [trial.status is Status.FAILED for trial in sampler.told]
    assert failed == np.isnan(played.losses).tolist() and any(failed)


def test_eight_at_a_time_take_an_eighth_of_the_time() -> None:
    sampler = Watched()
    played = play(sampler, line(), seed=3, num_trials=80, num_workers=8)
    assert played.finished_at[-1] == 10
    assert max(sampler.pending) == 7 and len(sampler.told) == 80


def test_durations_that_nobody_knows_are_drawn_the_same_each_time() -> None:
    runs = [play(Random(), line(time=None), seed=s, num_trials=20, num_workers=4) for s in (1, 1, 2)]
    assert runs[0].finished_at.tolist() == runs[1].finished_at.tolist() != runs[2].finished_at.tolist()
    assert np.all(np.diff(runs[0].finished_at) >= 0) and len(set(runs[0].finished_at)) == 20


def test_duplicates_are_counted() -> None:
    few = Task(
        name="few",
        tags=(),
        space=Space({"n": Int(0, 3), "c": Choice(["a"])}),
        best=0.0,
        median=1.5,
        evaluate=lambda config: Outcome(float(config["n"])),
    )
    assert play(Random(), few, seed=0, num_trials=30).num_duplicates == 26
    assert play(Contender.read("grid").make(), few, seed=0, num_trials=30).losses.shape == (4,)


def test_regrets_start_at_one_and_end_at_the_best_known() -> None:
    regrets = line().regrets(np.array([np.nan, 0.9, 0.55, 0.325, 0.4, 0.05]))
    assert regrets == pytest.approx([1, 1, 1, 0.5, 0.5, 0])


# ------------------------------------------------------------------------------------------------ runs that are kept


def job(label: str, *, seed: int = 0) -> Job:
    contender = Contender.read(label)
    return Job(contender=contender, task="live_svm_digits", folder=None, form="flat", seed=seed, num_trials=2)


def test_a_run_that_is_kept_is_read(tmp_path: Path) -> None:
    wanted = [job("random")]
    ((_, first),) = run(wanted, tmp_path, local=True)
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace("[", "[0.125, ", 1))
    ((_, again),) = run(wanted, tmp_path, local=True)
    assert again.losses.tolist() == [0.125, *first.losses.tolist()]


def test_what_changes_a_run_changes_its_place(tmp_path: Path) -> None:
    jobs = [job("random"), job("random", seed=1), job("sobol"), job("sobol:scramble=false")]
    assert len({one.path(tmp_path) for one in jobs}) == len(jobs)
    assert job("sobol").path(tmp_path) == job("sobol:scramble=true").path(tmp_path)
    assert source_digest(Sobol) != source_digest(Random)


# ------------------------------------------------------------------------------------------------ scores


def constant(*values: float) -> list[np.ndarray]:
    return [np.full(3, value) for value in values]


SCORED = {
    "ours": {"one": constant(0.1, 0.3), "two": constant(0.4, 0.4)},
    "same": {"one": constant(0.1, 0.3), "two": constant(0.4, 0.4)},
    "worse": {"one": constant(0.5, 0.5), "two": constant(0.6, 0.6)},
    "part": {"one": constant(0.2)},
    "short": {"one": [np.zeros(2)]},
}


def test_scores_are_means_over_runs_and_then_tasks() -> None:
    scores = Scores(SCORED, 3, ["one", "two"])
    assert "short" not in scores.names
    assert scores.regret("ours").value == pytest.approx(0.3)
    assert scores.difference("ours", "worse").value == pytest.approx(-0.25)
    assert scores.difference("ours", "part").value == pytest.approx(0.0)  # on the task that both have
    assert scores.on_each_task("ours") == pytest.approx({"one": 0.2, "two": 0.4})
    assert scores.rivals("ours", ["worse", "part", "short"]) == ["part", "worse"]


def test_intervals_hold_the_estimate_and_exclude_zero_where_one_is_always_better() -> None:
    scores = Scores(SCORED, 3, ["one", "two"])
    for estimate in (scores.regret("ours"), scores.difference("ours", "worse"), scores.rank("ours", others=["same"])):
        assert estimate.low <= estimate.value <= estimate.high
    assert scores.difference("ours", "worse").high < 0
    assert scores.difference("ours", "same").low < 0 < scores.difference("ours", "same").high


def test_equals_share_a_rank() -> None:
    scores = Scores(SCORED, 3, ["one", "two"])
    assert scores.rank("ours", others=["same", "worse"]).value == pytest.approx(1.5)
    assert scores.rank("worse", others=["same", "ours"]).value == pytest.approx(3.0)


# ------------------------------------------------------------------------------------------------ whole scripts


def measured(tmp_path: Path, script: str, *options: str) -> tuple[dict[str, Any], str]:
    """The figures that a script writes, by name, and what it prints."""
    out = tmp_path / "figures.json"
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), *options, "--out", str(out)]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "RAYTUNE_HPO_BENCH": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    data = json.loads(out.read_text())
    assert data["versions"]["python"] and data["command"].startswith(f"python benchmarks/{script}.py")
    assert all(figure["what"] for figure in data["figures"])
    return {figure["name"]: figure for figure in data["figures"]}, done.stdout


SHARED = """
class Task:
    name, tags, best, median = "bowl", ["smooth", "single"], 0.0, 0.5
    space = [{"name": "x", "type": "float", "low": 0.0, "high": 1.0, "log": False}]
    def objective(self, config):
        return {"loss": abs(config["x"] - 0.5), "time": 1.0}
def load(name):
    return Task()
"""


def a_folder_of_tasks(tmp_path: Path) -> None:
    peers = {"task": "bowl", "num_trials": 25, "runs": {}}
    for peer, loss in (("poor", 0.45), ("hopeless", 0.9)):
        runs = [{"seed": s, "losses": [None, *[loss] * 24], "suggest_s_median": 0.25} for s in range(3)]
        peers["runs"][peer] = runs
    (tmp_path / "tasks.py").write_text(SHARED)
    index = {"bowl": {"tags": ["smooth", "single"], "median": 0.5}, "unscaled": {"tags": ["smooth"], "median": None}}
    (tmp_path / "index.json").write_text(json.dumps(index))
    (tmp_path / "peers").mkdir()
    (tmp_path / "peers" / "bowl.json").write_text(json.dumps(peers))


@pytest.mark.slow
def test_ours_against_recorded_peers(tmp_path: Path) -> None:
    a_folder_of_tasks(tmp_path)
    page = tmp_path / "page.html"
    options = ["sobol", "--local", "--trials", "25", "--seeds", "3", "--page", str(page)]
    figures, printed = measured(tmp_path, "sample_efficiency", *options)
    assert figures["recorded [poor] regret 25"]["measured"] == pytest.approx(0.9)
    assert figures["recorded [hopeless] suggestion"]["measured"] == 0.25
    difference = figures["recorded sobol difference 25"]
    assert difference["reached"] and difference["measured"] < -0.8 and "[poor]" in difference["what"]
    assert figures["recorded sobol rank 25"]["measured"] == 1
    assert "smooth" in printed and "bowl" in page.read_text()


@pytest.mark.slow
def test_eight_workers_against_one(tmp_path: Path) -> None:
    a_folder_of_tasks(tmp_path)
    options = ["random", "--local", "--trials", "40", "--seeds", "2", "--workers", "8"]
    figures, printed = measured(tmp_path, "sample_efficiency", *options)
    # Random search loses nothing, and is done in an eighth of the time.
    assert figures["recorded random 8 workers"]["measured"] == pytest.approx(1.0)
    assert "12%" in printed


def test_live_tasks_need_no_folder() -> None:
    for name in live.names():
        task = live.load(name)
        assert task.best < task.median
        config = task.space.sample(1, derive(0, "test"))[0]
        assert np.isnan(loss := task.evaluate(config).loss) or loss >= task.best - 0.2 * (task.median - task.best)


@pytest.mark.slow
def test_functions(tmp_path: Path) -> None:
    figures, printed = measured(tmp_path, "functions", "random", "--quick", "--no-peers")
    assert set(figures) == {f"random {name} {n}" for name in ("branin", "camel") for n in (4, 8)}
    assert 0 < figures["random branin 8"]["measured"] <= figures["random branin 4"]["measured"]
    assert "camel" in printed


@pytest.mark.slow
def test_suggestion_time(tmp_path: Path) -> None:
    figures, _ = measured(tmp_path, "suggestion_time", "--quick", "--only", "hyperopt")
    assert {"hyperopt 20", "hyperopt 40", "hyperopt 20 p99", "optuna_tpe 40"} <= set(figures)
    assert all(figure["measured"] > 0 and figure["unit"] == "ms" for figure in figures.values())

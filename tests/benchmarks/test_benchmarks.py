"""Every benchmark runs at a tiny size, prints a table, and writes figures that say where they come from."""

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
PATIENCE_S = 900  # some take two minutes where nothing else runs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_S + 60)]


def measured(tmp_path: Path, script: str, *options: str) -> dict[str, Any]:
    """What a benchmark writes: its figures by name. It finds no tasks but those of a folder that the test names."""
    out, none = tmp_path / "figures.json", tmp_path / "no_tasks"
    none.mkdir(exist_ok=True)
    (none / "tasks.py").write_text("")
    (none / "index.json").write_text("{}")
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick", "--out", str(out), *options]
    # Off Ray's beaten path, so that nobody else's cluster is found.
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    environment.setdefault("RAYTUNE_HPO_BENCH", str(none))
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    data = json.loads(out.read_text())
    assert data["versions"]["python"] and data["machine"]["cores"] and data["command"].startswith("python benchmarks/")
    assert "measured" in done.stdout
    for figure in data["figures"]:
        assert figure["what"] and isinstance(figure["measured"], (int, float)) and figure["at"]
    return {figure["name"]: figure for figure in data["figures"]}


def test_growth(tmp_path: Path) -> None:
    figures = measured(tmp_path, "growth")
    assert set(figures) == {"random", "sobol", "grid", "core", "asha", "median", "journal", "progress"}
    assert all(len(figure["detail"]["trials"]) > 1 for figure in figures.values())


def test_simulated(tmp_path: Path) -> None:
    figures = measured(tmp_path, "simulated")
    assert figures["simulated_2000"]["measured"] < 60


def test_race(tmp_path: Path) -> None:
    figures = measured(tmp_path, "race")
    assert {"even losses: good", "normal losses: evaluations"} <= set(figures)
    assert figures["even losses: good"]["measured"] == 100
    assert figures["even losses: evaluations"]["measured"] < 50


def test_lookup_tables(tmp_path: Path) -> None:
    figures = measured(tmp_path, "lookup_tables")
    assert {"random 24h", "deca-recorded mean", "six-workers thinking"} <= set(figures)
    assert figures["deca-recorded 12h"]["measured"] >= figures["random 12h"]["measured"]
    assert figures["deca-recorded 12h"]["asked"] == "91 %"


def test_populations(tmp_path: Path) -> None:
    figures = measured(tmp_path, "populations")
    assert figures["toy, alone"]["measured"] < 0.39 < 1.18 < figures["toy, pbt"]["measured"]
    assert figures["drift: pb2, interval 5, mean"]["measured"] > figures["drift: pbt, interval 5, mean"]["measured"]
    assert {"static: pbt, interval 9, mean", "static: asha, as many steps as 4 members, mean"} < set(figures)


def test_conditions(tmp_path: Path) -> None:
    figures = measured(tmp_path, "conditions")
    assert {
        "noise 0.03 auto 8",
        "failures by accident auto 8",
        "failures in a half",
        "levy100 ahead",
        "200 parameters",
        "4 workers",
        "good prior",
        "upside down",
    } <= set(figures)
    assert figures["family"]["measured"] < 1


NOISY = """
def names(): return ["slope"]
class Slope:
    space = [{"name": "x", "type": "float", "low": 0, "high": 1}]
    def objective(self, config): return {"loss": config["x"]}
    def true(self, config): return config["x"]
    def regret(self, true): return 2 * true
def load(name, seed): return Slope()
"""


def test_noisy_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the folder of tasks."""
    runs = [{"seed": 0, "recommended": {"6": 0.6, "8": 0.2}}, {"seed": 1, "recommended": {"6": 0.1}}]
    (tmp_path / "peers_noisy").mkdir()
    (tmp_path / "peers_noisy" / "slope.json").write_text(json.dumps({"runs": {"smac": runs}}))
    (tmp_path / "tasks.py").write_text("")
    (tmp_path / "noisy.py").write_text(NOISY)
    monkeypatch.setenv("RAYTUNE_HPO_BENCH", str(tmp_path))
    figures = measured(tmp_path, "conditions", "--only", "noisy_tasks")
    assert figures["tasks [smac] 6"]["measured"] == pytest.approx((1.0 + 0.2) / 2)  # not more than 1
    assert figures["tasks [smac] 8"]["measured"] == pytest.approx(0.4)
    assert 0 <= figures["tasks tpe 8"]["measured"] <= figures["tasks tpe 6"]["measured"] <= 1
    assert figures["tasks tpe 8"]["detail"]["runs"] == 2
    assert figures["tasks auto ahead"]["unit"] == "%"


def test_digests(tmp_path: Path) -> None:
    assert 0.5 < measured(tmp_path, "digests")["digests"]["measured"] < 2


STAND_IN = """
TIMES = (1, 2)
def names(): return ["bowl"]
def load(name): return name
def play(peer, name, seed, workers, horizon):
    return {"seed": seed, "workers": workers, "horizon": horizon, "regret": 0.25, "reached": 0.2}
def measure(task, run): return [run["regret"]] * sum(at <= run["horizon"] for at in TIMES), [run["reached"], None]
"""


def test_fidelity(tmp_path: Path) -> None:
    """With a stand-in for the folder of tasks, which is no part of the project."""
    recorded = {"runs": {"st_asha": [{"seed": 0, "workers": 4, "horizon": 16.0, "regret": 0.5, "reached": None}]}}
    (tmp_path / "peers_fidelity").mkdir()
    (tmp_path / "peers_fidelity" / "bowl.json").write_text(json.dumps(recorded))
    (tmp_path / "tasks.py").write_text("")
    (tmp_path / "fidelity.py").write_text(STAND_IN)
    more = {"runs": {"st_bohb": [{"seed": s, "workers": 4, "horizon": 16.0, "regret": r, "reached": 0.4 * r}
                                 for s, r in ((0, 0.5), (1, 0.6), (1, 0.1))]}}  # fmt: skip
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "bowl.json").write_text(json.dumps(more))
    options = ("--only", "auto+auto", "--tasks", str(tmp_path), "--peers", str(tmp_path / "more"))
    figures = measured(tmp_path, "fidelity", *options)
    assert figures["auto+auto, all, time 1"]["measured"] == 0.25
    assert figures["st_asha (recorded), fresh, time 1"]["measured"] == 0.5
    assert figures["st_asha (recorded), fresh, within 1 %"]["measured"] == 1.0  # never: all the time that there was
    assert figures["st_bohb (recorded), fresh, time 1"]["measured"] == pytest.approx(0.55)  # a seed counts once
    assert figures["st_bohb (recorded), fresh, time 1"]["detail"]["interval"] == pytest.approx([0.5, 0.6])
    assert figures["best of ours"]["measured"] == pytest.approx(0.2 / math.sqrt(0.2 * 0.24))
    assert figures["best of ours"]["detail"]["interval"] is None  # of a single seed, at this size
    assert figures["behind"]["measured"] == -0.25
    assert figures["behind"]["detail"]["time 1"]["peer"] == "st_asha"
    assert "random (recorded), all, time 1" not in figures


def test_competing_objectives(tmp_path: Path) -> None:
    figures = measured(tmp_path, "competing_objectives")
    assert figures["zdt1, auto, 25 trials"]["measured"] < figures["zdt1, nsga2, 25 trials"]["measured"]
    assert figures["a suggestion of gp for three goals after 20 trials"]["unit"] == "s"


def test_memory_without_ray(tmp_path: Path) -> None:
    figures = measured(tmp_path, "memory", "--only", "start", "table", "journal")
    assert set(figures) == {"import", "help", "table", "disk", "append"}


def test_a_run_of_some_measures_leaves_the_figures_of_the_others(tmp_path: Path) -> None:
    measured(tmp_path, "memory", "--only", "table")
    assert set(measured(tmp_path, "memory", "--only", "journal")) == {"table", "disk", "append"}


def test_local_throughput(tmp_path: Path) -> None:
    assert set(measured(tmp_path, "throughput", "--only", "local")) == {"local", "local_sqlite"}


@pytest.mark.ray
def test_throughput(tmp_path: Path) -> None:
    figures = measured(tmp_path, "throughput", "--only", "noop", "single", "short", "start", "sleepers")
    ratios = {"noop, Ray Tune as it comes", "noop, Ray Tune at its fastest"}
    assert set(figures) == {"noop", *ratios, "single", "short", "short_spin", "start", "start_auto", "sleepers"}


@pytest.mark.ray
def test_reports(tmp_path: Path) -> None:
    figures = measured(tmp_path, "reports")
    assert set(figures) == {"buffered", "judged", "latency", "latency_burning", "slow_sampler", "staleness"}
    assert figures["staleness"]["measured"] <= 2


@pytest.mark.ray
def test_memory(tmp_path: Path) -> None:
    figures = measured(tmp_path, "memory", "--only", "processes", "return")
    assert {"optimizer", "driver", "files", "in_all", "resume_random_100", "attach_auto_100"} <= set(figures)


@pytest.mark.ray
def test_endurance(tmp_path: Path) -> None:
    figures = measured(tmp_path, "endurance")
    assert figures["trials"]["measured"] > 0 and figures["acknowledged"]["measured"] > 0
    wrong = ("not_once", "not_completed", "lost", "processes", "files", "ports")
    assert {name: figures[name]["measured"] for name in wrong} == dict.fromkeys(wrong, 0)


@pytest.mark.ray
def test_newcomer(tmp_path: Path) -> None:
    figures = measured(tmp_path, "newcomer")
    steps = {"clone", "environment", "first_result", "labs", "to_first_result", "notebook_environment", "notebook"}
    assert set(figures) == {*steps, "cluster", "job", "read"}
    assert all(figures[name]["measured"] > 0 for name in ("clone", "first_result", "notebook", "job", "read"))
    assert figures["first_result"]["measured"] <= figures["labs"]["measured"]


@pytest.mark.ray
def test_sklearn_search(tmp_path: Path) -> None:
    figures = measured(tmp_path, "sklearn_search", "--only", "linear")
    searches = {name.removeprefix("linear ") for name in figures if not name.endswith(" seconds")}
    assert {"RandomizedSearchCV", "HalvingRandomSearchCV", "ours, auto"} < searches
    same = ("linear RandomizedSearchCV", "linear ours, random")  # candidates, and therefore scores
    assert figures[same[0]]["measured"] == figures[same[1]]["measured"]
    fits = figures["linear ours, auto, asha over steps"]["detail"]["fits"]
    assert 0 < fits <= figures["linear ours, auto"]["detail"]["fits"]


@pytest.mark.ray
def test_notebooks(tmp_path: Path) -> None:
    """One lab without Ray, and one with."""
    figures = measured(tmp_path, "notebooks", "--only", "curve_fitting", "ray_lab_00_tasks_and_actors")
    assert {name: figure["detail"]["uses_ray"] for name, figure in figures.items()} == {
        "curve_fitting": False,
        "ray_lab_00_tasks_and_actors": True,
    }
    assert all(figure["asked"] == "<= 240" and figure["measured"] > 0 for figure in figures.values())


def test_service(tmp_path: Path) -> None:
    """Nothing is lost or doubled at any size, and a newcomer comes to the end of a first study in two minutes."""
    figures = measured(tmp_path, "service")
    for name in ("writes", "workers", "killed", "postgres"):
        assert figures[f"{name}_lost"]["measured"] == figures[f"{name}_doubled"]["measured"] == 0, name
        assert figures[f"{name}_lost"]["detail"]["finished"] > 0, name
    assert figures["killed_twice"]["measured"] == figures["asleep"]["measured"] == 0
    assert figures["lost_workers_missing"]["measured"] == 0
    assert figures["figure_history_kb"]["measured"] > 10 and figures["page_study_kb"]["measured"] > 1
    assert {"start", "memory_at_rest", "reads_study", "streams", "viewers", "cold_readable", "memory"} <= set(figures)
    assert "newcomer" not in figures or 0 < figures["newcomer"]["measured"] < 120


def test_live(tmp_path: Path) -> None:
    figures = measured(tmp_path, "live")
    assert figures["live: guard broken"]["measured"] == figures["live: replay"]["measured"] == 0
    assert figures["static best: cost"]["measured"] < figures["live: worst cost"]["measured"] < 1
    assert set(figures["live: way"]["detail"]["by class"]) >= {"rps=7", "rps=8", "rps=9"}


def test_compat(tmp_path: Path) -> None:
    figures = measured(tmp_path, "compat")
    assert set(figures) == {"optuna", "optuna_reporting", "hyperopt", "ray_tune"}
    assert all({"layer"} < set(figure["detail"]["ms_a_trial"]) for figure in figures.values())


def test_programs(tmp_path: Path) -> None:
    figures = measured(tmp_path, "programs", "--only", "sort", "gzip")
    assert {"sort: settings", "gzip, random: time", "gzip, scan: runs", "ours: share"} <= set(figures)
    assert figures["gzip: settings"]["measured"] == 8
    assert figures["ours: share"]["detail"]["times_ours"] == 1


def test_launcher(tmp_path: Path) -> None:
    figures = measured(tmp_path, "launcher")
    assert set(figures) == {"cpu", "bias", "memory"}
    assert figures["cpu"]["measured"] > 0 and figures["memory"]["measured"] < 3

"""Suggestions that take their time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np
import pytest
from cluster_support import SPACE, assert_each_once, facts_of, slow

import raytune_hpo as hpo
from raytune_hpo.facts import Started
from raytune_hpo.protocols import Suggestion, Traits

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("cluster")]


def make_sampler(pause_s: float, crash: Callable[[int], None] = lambda number: None, *, is_fresh: bool = True):
    """A sampler whose suggestions take a while, and say how many results they rest on."""

    class Ponderous:
        traits = Traits(reads_pending=True)

        def __init__(self) -> None:
            self.told = 0

        def bind(self, space, goals, seed):
            return Ponderous() if is_fresh else self

        def ask(self, number, pending, rng):
            time.sleep(pause_s)
            crash(number)
            meta = {"told": self.told, "pending": len(pending), "process": os.getpid()}
            return Suggestion({"x": float(rng.random())}, meta=meta)

        def tell(self, trial):
            self.told += 1

    return Ponderous()


def metas(storage: str, name: str) -> list[dict]:
    return [fact.meta for fact in facts_of(storage, name, Started)]


def test_with_one_worker_every_suggestion_knows_every_result(name: str, storage: str) -> None:
    hpo.tune(
        slow, SPACE, sampler=make_sampler(0.05), num_trials=6, max_concurrent=1, name=name, storage=storage,
        progress=False,
    )  # fmt: skip
    assert [meta["told"] for meta in metas(storage, name)] == [0, 1, 2, 3, 4, 5]
    assert {meta["pending"] for meta in metas(storage, name)} == {0}
    assert len({meta["process"] for meta in metas(storage, name)}) == 1, "a short study needs no further process"


@pytest.mark.slow
@pytest.mark.parametrize("is_fresh", [True, False], ids=["bound afresh", "bound to itself"])
def test_what_takes_long_moves_to_another_process_which_knows_everything(
    name: str, storage: str, tmp_path, is_fresh: bool
) -> None:
    home, moved = tmp_path / "home", tmp_path / "moved"

    def wait_for_another(number: int) -> None:
        if number == 0:
            home.write_text(str(os.getpid()))
        if home.read_text() != str(os.getpid()):
            moved.touch()
        elif number == 6:
            while not moved.exists():
                time.sleep(0.05)

    sampler = make_sampler(0.3, wait_for_another, is_fresh=is_fresh)
    hpo.tune(
        slow, SPACE, sampler=sampler, num_trials=12, max_concurrent=1, name=name, storage=storage, progress=False
    )  # fmt: skip
    processes = [meta["process"] for meta in metas(storage, name)]
    assert processes[:4] == processes[:1] * 4
    assert len(set(processes)) == 2 and processes.index(processes[-1]) > 6
    assert [meta["told"] for meta in metas(storage, name)] == list(range(12))


@pytest.mark.slow
def test_with_several_workers_a_suggestion_misses_few_results_and_knows_what_is_pending(
    name: str, storage: str
) -> None:
    hpo.tune(slow, SPACE, sampler=make_sampler(0.05), num_trials=20, name=name, storage=storage, progress=False)
    assert all(meta["told"] >= number - 4 for number, meta in enumerate(metas(storage, name)))
    assert max(meta["pending"] for meta in metas(storage, name)) >= 1
    assert_each_once(storage, name, 20)


@pytest.mark.slow
def test_reports_are_answered_while_a_suggestion_is_being_computed(name: str, storage: str) -> None:
    def reports(config):
        begin = time.monotonic()
        for step in range(10):
            hpo.report(loss=config["x"], step=step)
        return {"loss": config["x"], "reporting_s": time.monotonic() - begin}

    results = hpo.tune(
        reports, SPACE, sampler=make_sampler(4.0), scheduler="median", num_trials=3, name=name, storage=storage,
        progress=False,
    )  # fmt: skip
    assert max(trial.metrics["reporting_s"] for trial in results) < 3.5


@pytest.mark.slow
def test_a_thinker_that_dies_is_replaced_and_told_everything_again(name: str, storage: str, tmp_path) -> None:
    flag = str(tmp_path / "died")

    def crash_once(number: int) -> None:
        if number == 3 and not os.path.exists(flag):
            open(flag, "w").close()
            os._exit(7)

    sampler = make_sampler(0.01, crash_once)
    hpo.tune(
        slow, SPACE, sampler=sampler, num_trials=6, max_concurrent=1, name=name, storage=storage, progress=False
    )  # fmt: skip
    assert [meta["told"] for meta in metas(storage, name)] == [0, 1, 2, 3, 4, 5]
    assert_each_once(storage, name, 6)


@pytest.mark.slow
def test_a_sampler_that_raises_ends_the_study_with_its_traceback(name: str, storage: str) -> None:
    def fail(number: int) -> None:
        if number == 2:
            raise ArithmeticError("no idea")

    with pytest.raises(hpo.errors.HpoError, match="no idea"):
        hpo.tune(slow, SPACE, sampler=make_sampler(0.0, fail), num_trials=6, name=name, storage=storage, progress=False)


@pytest.mark.slow
def test_options_without_names_are_the_same_ones_in_every_process(name: str, storage: str) -> None:
    steep, flat = (lambda x: 2 * x), (lambda x: x)
    space = {
        "x": hpo.uniform(0, 1),
        "f": hpo.choice([steep, flat]),
        "pick": hpo.sample_from(lambda c: np.random.choice([1, 2, 3, 4])),
        "drawn": hpo.sample_from(lambda c: [hpo.choice([1, 2])] * 3),
    }

    def objective(config):
        return {"loss": config["f"](config["x"]), "pick": config["pick"], "sum": sum(config["drawn"])}

    settings = {"metric": "loss", "name": name, "storage": storage, "sampler": "gp", "progress": False}
    hpo.tune(objective, space, num_trials=3, points_to_evaluate=[{"x": np.float32(0.5), "f": flat}], **settings)
    results = hpo.tune(objective, space, num_trials=6, **settings)
    assert results[0].config["f"] is flat and results[0].metrics["loss"] == 0.5
    for trial in results:
        assert trial.metrics["loss"] == trial.config["f"](trial.config["x"])
        assert trial.metrics["pick"] == trial.config["pick"] and trial.metrics["sum"] == sum(trial.config["drawn"])
    assert [trial.config["pick"] for trial in hpo.load(name, storage)] == [trial.config["pick"] for trial in results]

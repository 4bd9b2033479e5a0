"""Studies on a virtual clock."""

from __future__ import annotations

import itertools
import time

import pytest

import raytune_hpo as hpo
from raytune_hpo.api.tuner import start_simulation
from raytune_hpo.checkpoints.store import BriefStore
from raytune_hpo.confirming.running import as_searched
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import HpoError
from raytune_hpo.facts import Requeued
from raytune_hpo.journal import open_storage


def curve(config):
    for step in range(1, 10):
        hpo.report(loss=config["x"] + 1 / step, cost_s=step * config["pace"], step=step)


SPACE = {"x": hpo.uniform(0, 1), "pace": hpo.choice([1.0, 2.0, 5.0])}


def simulate(objective=curve, space=None, **settings):
    settings = {"num_trials": 60, "num_workers": 8, "sampler": "random", "seed": 3, **settings}
    return hpo.simulate(objective, space or SPACE, **settings)


def test_results_in_memory_are_their_users():
    place = open_storage("memory")
    results = simulate(space={**SPACE, "inner": {"y": hpo.uniform(0, 1)}}, num_trials=3, name="s", storage=place)
    (before, *_), trial = hpo.load("s", storage=place), results[0]
    for held in (trial.config["inner"], trial.config, trial.metrics, trial.reports[0].metrics):
        held.clear()
    after = hpo.load("s", storage=place)[0]
    assert after == before != trial and after.config["inner"] and after.reports[0].metrics


def test_results_of_a_simulation_that_goes_on_are_their_users():
    with start_simulation(curve, SPACE, num_trials=20, sampler="random", seed=3) as run:
        run.wait(timeout_s=0)
        for trial in run.results():
            trial.config.clear()
            for report in trial.reports:
                report.metrics.clear()
        run.wait()
        assert all(len(trial.config) == 2 and trial.reports[0].metrics for trial in run.results())


def test_time_passes_as_the_objective_says():
    results = simulate(num_workers=1, num_trials=5)
    end = 0.0
    for trial in results:
        assert trial.started_at == pytest.approx(end)
        assert trial.duration_s == pytest.approx(9 * trial.config["pace"])
        end += trial.duration_s


def test_workers_overlap_and_none_does_two_things_at_once():
    results = simulate()
    by_worker = {}
    for trial in results:
        by_worker.setdefault(trial.worker, []).append((trial.started_at, trial.finished_at))
    assert len(by_worker) == 8
    for spans in by_worker.values():
        spans.sort()
        assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:], strict=False))


def test_the_same_seed_gives_the_same_simulation_with_many_workers():
    runs = [simulate(scheduler="asha", sampler="hyperopt", num_trials=40) for _ in range(2)]
    assert [(t.config, t.status, t.finished_at) for t in runs[0]] == [
        (t.config, t.status, t.finished_at) for t in runs[1]
    ]


def test_early_stopping_saves_virtual_time():
    full, asha = simulate(num_trials=200), simulate(num_trials=200, scheduler="asha")
    assert max(t.finished_at for t in asha) < 0.6 * max(t.finished_at for t in full)
    assert asha.best_value <= full.best_value * 1.5


def test_ten_thousand_trials_on_a_thousand_workers_take_seconds():
    begin = time.process_time()
    results = simulate(num_trials=10_000, num_workers=1000, scheduler="asha")
    assert len(results) == 10_000
    assert time.process_time() - begin < 15


def test_an_objective_that_does_not_say_how_long_it_takes_fails_clearly():
    results = simulate(lambda config: config["x"], num_trials=3)
    assert all(t.status == "failed" and "'cost_s'" in t.error for t in results)


def test_virtual_time_limits_hold():
    results = simulate(num_trials=1000, time_budget_s=100, num_workers=4)
    assert max(t.finished_at or 0 for t in results) <= 100
    late = simulate(num_trials=30, trial_timeout_s=20)
    failed = [t for t in late if t.status == "failed"]
    assert failed and all(t.duration_s == 20 and t.config["pace"] == 5.0 for t in failed)


def test_the_time_limit_of_a_trial_is_that_of_one_attempt():
    def objective(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 10):
            hpo.report(loss=config["x"], step=step, cost_s=float(step), save=lambda folder: None)

    results = hpo.simulate(
        objective, {"x": hpo.uniform(0, 1)}, num_workers=3, num_trials=27, sampler="random", seed=1, trial_timeout_s=7,
        scheduler={"name": "asha", "max_steps": 9, "promote": True},
    )  # fmt: skip
    assert results.num_by_status["failed"] == 0
    assert any(trial.duration_s == 9 and trial.attempt == 3 for trial in results)  # 1 s, 2 s and 6 s


def test_a_simulation_continues(tmp_path):
    settings = {"name": "sim", "storage": f"sqlite:///{tmp_path}/s.db", "num_workers": 1}
    half = simulate(num_trials=10, **settings)
    whole = simulate(num_trials=20, **settings)
    assert [t.config for t in whole][:10] == [t.config for t in half]
    assert [t.config for t in whole] == [t.config for t in simulate(num_trials=20, num_workers=1)]
    assert whole[10].started_at >= half[9].finished_at


# ------------------------------------------------------------------------------------------------ checkpoints


def going_on(config):
    saved = hpo.checkpoint()
    begun = 0 if saved is None else int((saved.path / "step").read_text())
    for step in range(begun + 1, 10):
        hpo.report(
            loss=config["x"] + 1 / step,
            cost_s=step * config["pace"],
            step=step,
            save=lambda folder, step=step: (folder / "step").write_text(str(step)),
        )


def losing(every):
    """A way to save after which every so many-th checkpoint is gone."""
    count, save = itertools.count(1), BriefStore.save

    def saved(self, *args):
        record = save(self, *args)
        if next(count) % every == 0:
            self.delete(record)
        return record

    return saved


@pytest.mark.parametrize("every", [1, 2, 5])
def test_a_checkpoint_that_is_lost_costs_steps_and_no_trial(every, monkeypatch, tmp_path):
    settings = {"scheduler": {"name": "asha", "promote": True, "max_steps": 9}, "num_trials": 20, "num_workers": 4}
    whole = simulate(going_on, **settings)
    monkeypatch.setattr(BriefStore, "save", losing(every))
    results = simulate(going_on, storage=tmp_path / "s.db", name="s", **settings)
    facts = list(open_storage(str(tmp_path / "s.db")).read("s"))
    assert results.num_by_status["failed"] == 0 and results.num_by_status["completed"] > 0
    requeued = [fact.reason for fact in facts if isinstance(fact, Requeued)]
    assert requeued and all("cannot be read" in reason for reason in requeued)
    assert not [trial for trial in results if trial.status in ("running", "waiting")]
    for trial in results:  # made again from the beginning, and as good as if nothing had been lost
        steps = [report.step for report in trial.reports]
        assert steps == list(range(1, len(steps) + 1))
    assert results.best_value >= whole.best_value
    assert audit(facts).is_clean


def test_saving_and_loading_belong_to_the_time_of_a_trial():
    def trained(config):
        saved = hpo.checkpoint()
        for step in range(1 if saved is None else saved.step + 1, 10):
            hpo.report(loss=config["x"], step=step, cost_s=float(step), save=lambda folder: None)

    settings = {"num_trials": 1, "scheduler": {"name": "asha", "promote": True, "max_steps": 9}, "sampler": "random"}

    def simulated(**costs):
        return hpo.simulate(trained, {"x": hpo.uniform(0, 1)}, **settings, **costs)[0]

    assert simulated().duration_s == 9.0
    assert simulated(checkpoint_cost_s=(2, 0)).duration_s == 9 + 3 * 2  # after the pauses at 1 and at 3, and at its end
    assert simulated(checkpoint_cost_s=(0, 3)).duration_s == 9 + 2 * 3
    assert simulated(checkpoint_cost_s=(2, 3)).finished_at == 9 + 3 * 2 + 2 * 3


def test_what_is_run_again_after_a_simulation_is_simulated_too():
    def searched(cost):
        return simulate(lambda config: {"loss": config["x"], cost: 5.0}, num_trials=3, cost=cost)

    assert as_searched(searched("cost_s"), None)["runtime"] == "simulated"
    assert as_searched(searched("cost_s"), "local")["runtime"] == "local"
    assert as_searched(searched("elapsed"), None)["runtime"] == "local"  # the metric's name is not recorded


def test_a_study_that_only_time_ends_does_not_run_for_ever_where_no_time_passes():
    settings = {"sampler": "random", "seed": 1, "num_workers": 2, "progress": False}
    with pytest.raises(
        HpoError, match="virtual time stands still.*as metric 'cost_s', or give num_trials; trial 0 failed"
    ):
        hpo.simulate(lambda config: config["x"], {"x": hpo.uniform(0, 1)}, time_budget_s=9, **settings)
    for end in ({"num_trials": 1_200}, {"num_steps": 1_200}):
        hpo.simulate(timeless, {"x": hpo.uniform(0, 1)}, time_budget_s=9, **end, **settings)
    grid = {"x": hpo.grid_search(range(1_200))}
    assert len(hpo.simulate(timeless, grid, time_budget_s=9, **{**settings, "sampler": "grid"})) == 1_200


def timeless(config):
    hpo.report(loss=config["x"], cost_s=0.0)

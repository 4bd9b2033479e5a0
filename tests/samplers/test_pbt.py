"""Population based training: who copies whom, what is explored, and what becomes of segments that are lost."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.audit import audit
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.core.messages import AskTrials, EndTrial, LoseWorker, OfferCheckpoint, ReportMetrics
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Finished, Released, Saved, Started, Status, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.protocols import Signal
from raytune_hpo.samplers import PBT
from raytune_hpo.samplers.cube import Cube
from raytune_hpo.samplers.members import Member, Segment, donors
from raytune_hpo.samplers.perturbation import Perturbation
from raytune_hpo.space import Choice, Float, Int, Normal, Ordinal, Space
from tests.support import Feed

PLANE = {"h0": hpo.uniform(0, 1), "h1": hpo.uniform(0, 1)}
STARTS = [{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 1.0}]


def toy(config):
    """Jaderberg et al. 2017, figure 2: Q = 1.2 - w0^2 - w1^2 is judged, 1.2 - h0 w0^2 - h1 w1^2 is trained."""
    w, done = [0.9, 0.9], 0
    if (saved := hpo.checkpoint()) is not None:
        w, done = json.loads((saved.path / "w").read_text()), saved.step
    for step in range(done + 1, 10_000):
        w = [x * (1 - 0.02 * h) for x, h in zip(w, (config["h0"], config["h1"]), strict=True)]
        q = 1.2 - w[0] ** 2 - w[1] ** 2
        hpo.report(q=q, step=step, cost_s=float(step), save=lambda f, w=w: (f / "w").write_text(json.dumps(w)))


def simulated(objective=toy, space=PLANE, *, workers=2, mode="max", metric="q", name="study", **settings):
    return hpo.simulate(
        objective, space, metric=metric, mode=mode, num_workers=workers, name=name, **{"seed": 1, **settings}
    )


def pbt(**options):
    return {"name": "pbt", "max_steps": 60, "population": 6, "interval": 5, **options}


# ------------------------------------------------------------------------------------------------ what it reaches


def test_a_pair_that_copies_reaches_what_neither_could_alone():
    """Alone, each wears down one weight: Q = 1.2 - 0.81 at best."""
    sampler = pbt(population=2, interval=4, max_steps=200)
    for seed in range(3):
        results = simulated(sampler=sampler, points_to_evaluate=STARTS, seed=seed)
        assert results.best_value > 1.18
        assert len(results) == 2 * 50


@pytest.mark.parametrize("workers", [1, 4, 6, 9])
def test_every_member_trains_through_every_generation(workers):
    results = simulated(sampler=pbt(), workers=workers)
    assert Counter((t.slot, t.meta["generation"]) for t in results) == Counter(
        (slot, generation) for slot in range(6) for generation in range(12)
    )
    assert {(t.from_step, t.until) for t in results if t.meta["generation"] == 3} == {(15, 20)}


@pytest.mark.parametrize("name", ["pbt", "pb2"])
def test_every_segment_goes_on_with_the_weights_of_its_lineage_and_with_its_own_settings(name):
    """A member that took the settings of one member and the weights of another would not show it in its score."""

    def remembers(config):
        path, done = [], 0
        if (saved := hpo.checkpoint()) is not None:
            path, done = json.loads((saved.path / "path").read_text()), saved.step
        for step in range(done + 1, 61):
            path = [*path, config["h0"]]
            hpo.report(
                q=config["h0"] + 0.1 * config["h1"], trained=float(np.dot(path, range(1, step + 1))), step=step,
                cost_s=float(step), save=lambda f, path=path: (f / "path").write_text(json.dumps(path)),
            )  # fmt: skip

    results = simulated(remembers, sampler=pbt(name=name), workers=4)
    assert any(trial.parent is not None and results[trial.parent].slot != trial.slot for trial in results)
    for trial in results:
        chain = results.lineage(trial.number)
        path = [t.config["h0"] for t in chain for _ in range(5)]
        assert trial.metrics["trained"] == pytest.approx(np.dot(path, range(1, trial.last_step + 1)))


def test_at_most_two_checkpoints_of_each_member_are_kept(tmp_path):
    def uneven(config):
        (w, seconds), done = (1.0, 0.0), 0
        if (saved := hpo.checkpoint()) is not None:
            (w, seconds), done = json.loads((saved.path / "w").read_text()), saved.step
        for step in range(done + 1, 61):
            w, seconds = w * (1 - 0.01 * config["h0"]), seconds + 0.2 + config["h1"]
            state = json.dumps([w, seconds])
            hpo.report(q=-w, step=step, cost_s=seconds, save=lambda f, text=state: (f / "w").write_text(text))

    url = f"sqlite:///{tmp_path}/studies.db"
    results = simulated(uneven, sampler=pbt(), workers=4, storage=url)
    kept, most = set(), 0
    for fact in open_storage(url).read("study"):
        if isinstance(fact, Saved):
            kept.add((fact.number, fact.step))
        elif isinstance(fact, Released):
            kept.remove((fact.number, fact.step))
        most = max(most, len(kept))
    assert most <= 2 * 6 + 1  # the best one is kept whatever it is
    assert len(kept) == 1 and results.best_trial.checkpoint is not None


def test_scores_of_several_metrics_are_ranked_by_front():
    def two(config):
        for step in range((hpo.until() or 1) - 1, (hpo.until() or 1) + 1):
            if step:
                hpo.report({"a": config["h0"], "b": 1 - config["h0"] + config["h1"], "cost_s": float(step)}, step=step)

    results = simulated(two, sampler=pbt(population=10), metric=["a", "b"], mode="min")
    last = [t.config["h1"] for t in results if t.meta["generation"] == 11]
    first = [t.config["h1"] for t in results if t.meta["generation"] == 0]
    assert np.mean(last) < 0.5 * np.mean(first)


def test_members_are_compared_at_the_same_age_and_copy_no_older_weights_than_are_kept():
    def member(*losses):
        newest = None
        for generation, loss in enumerate(losses):
            newest = Segment(10 * len(members) + generation, generation, {}, (loss,), 5 * generation + 5, newest)
        members.append(Member(newest))

    members = []
    member(0.9, 0.2, 0.6, 0.5, 0.3, 0.1)  # far ahead: now it is the best, at the age of the others it was the worst
    member(0.9, 0.8, 0.7, 0.4)
    member(0.9, 0.7, 0.6, 0.3)
    member(0.9, 1.0)
    member(0.8, 0.9)
    member(0.7)
    copied = [[segment.number for segment in donors(members, member, 0.2)] for member in members]
    # Half of the six have come to generation 3. Who has not is compared at its own: 3 with the first one as it was at 1.
    assert copied == [[23], [], [], [4], [], []]
    assert [segment.number for segment in donors(members, members[3], 0.5)] == [4, 22]


# ------------------------------------------------------------------------------------------------ what is explored

SPACE = Space(
    {
        "lr": Float(1e-5, 1e-1, log=True),
        "momentum": Float(0.5, 0.99),
        "drop": Float(0, 0.5, step=0.1),
        "layers": Int(1, 8),
        "width": Int(8, 4096, log=True),
        "batch": Ordinal([16, 32, 64]),
        "act": Choice(["relu", "tanh", "gelu"]),
        "model": Choice([{"kind": "svm", "C": Float(1e-3, 1e3, log=True)}, {"kind": "tree", "depth": Int(1, 9)}]),
    }
)


def perturbed(space, config, n, *, redraw=0.0, factors=(0.8, 1.2)):
    cube, rng = Cube(space), np.random.default_rng(0)
    rows = Perturbation(cube, factors, redraw).rows(np.repeat(space.encode([config]), n, axis=0), rng)
    return space.decode(rows)


@pytest.mark.slow
def test_a_million_perturbations_stay_in_the_space():
    cube, rng = Cube(SPACE), np.random.default_rng(0)
    perturbation = Perturbation(cube, (0.8, 1.2), 0.25)
    rows = cube.draw(20_000, rng)
    for _ in range(50):  # each from the one before, so that all get to the ends
        rows = perturbation.rows(rows, rng)
        assert np.array_equal(cube.proper(rows), rows, equal_nan=True)
        for config in SPACE.decode(rows[:20]):
            SPACE.check(config)


def test_numbers_are_multiplied_on_their_own_scale():
    config = SPACE.sample(1, np.random.default_rng(3))[0] | {"lr": 1e-3, "momentum": 0.6, "width": 100}
    found = perturbed(SPACE, config, 200)
    assert {round(c["lr"], 8) for c in found} == {8e-4, 1.2e-3}
    assert {round(c["momentum"], 8) for c in found} == {0.5, 0.72}  # 0.48 lies below the space
    assert {c["width"] for c in found} == {80, 120}
    assert {c["act"] for c in found} == {config["act"]}  # without a redraw


def test_values_in_steps_move_by_at_least_one():
    config = SPACE.sample(1, np.random.default_rng(3))[0]
    for layers, near in ((1, {2}), (2, {1, 3}), (8, {6, 7})):
        assert {c["layers"] for c in perturbed(SPACE, config | {"layers": layers}, 100)} == near
    for batch, near in ((16, {32}), (32, {16, 64}), (64, {32})):
        assert {c["batch"] for c in perturbed(SPACE, config | {"batch": batch}, 100)} == near
    assert {round(c["drop"], 2) for c in perturbed(SPACE, config | {"drop": 0.0}, 100)} == {0.1}


def test_a_domain_without_bounds_is_multiplied_too():
    found = perturbed(Space({"shift": Normal(0, 1)}), {"shift": -0.5}, 50)
    assert {round(c["shift"], 8) for c in found} == {-0.4, -0.6}


def test_categories_are_drawn_anew_and_never_multiplied():
    config = SPACE.sample(1, np.random.default_rng(3))[0] | {"act": "relu"}
    counts = Counter(c["act"] for c in perturbed(SPACE, config, 6000, redraw=0.25))
    assert counts["relu"] / 6000 == pytest.approx(0.75 + 0.25 / 3, abs=0.02)
    assert counts["tanh"] / 6000 == pytest.approx(0.25 / 3, abs=0.02)


def test_where_no_change_meets_the_constraints_the_settings_stay():
    space = Space({"x": Float(0, 1)}, constraints=[lambda config: config["x"] == 0.5])
    row = np.array([0.5])
    assert Perturbation(Cube(space), (0.8, 1.2), 0.25).of(row, np.random.default_rng(0)) == row


# ------------------------------------------------------------------------------------------------ what goes wrong


def loop(**options):
    make = lambda: PBT(**{"max_steps": 20, "population": 4, "interval": 5, **options})  # noqa: E731
    return testing.Loop.of(make, Space({"x": Float(0, 1)}))


def test_a_failed_segment_copies_as_the_worst_do():
    run = loop()
    founders = [run.ask() for _ in range(4)]
    for trial, loss in zip(founders, (0.4, 0.1, 0.2, 0.3), strict=True):
        run.tell(trial, {"loss": loss})
    best = run.ask()  # member 0 has the worst loss, and copies member 1
    assert (best.slot, best.parent, best.from_step) == (0, 1, 5)
    second = run.ask()
    assert (second.slot, second.parent) == (1, 1) and second.config == founders[1].config
    run.pending.remove(second)
    run.learn(testing.finish(second, status=Status.FAILED))
    again = run.ask()
    assert again.slot == 1 and again.meta["generation"] == 1
    assert again.parent == 1 and again.config != founders[1].config  # from the best checkpoint, with other settings


def test_a_founder_that_fails_is_drawn_again():
    run = loop()
    for _ in range(3):
        trial = run.ask()
        run.pending.remove(trial)
        run.learn(testing.finish(trial, status=Status.FAILED))
    again = run.ask()
    assert (again.slot, again.parent, again.from_step, again.meta["generation"]) == (0, None, None, 0)
    assert again.config != run.finished[0].config


def test_an_objective_that_always_fails_ends_the_study():
    def broken(config):
        raise ValueError("no data")

    results = simulated(broken, sampler=pbt())
    assert results.num_by_status["failed"] == len(results) == 5 * 6


def test_a_segment_that_returns_by_itself_ends_its_member():
    results = simulated(lambda config: {"q": config["h0"], "cost_s": 1.0}, sampler=pbt())
    assert len(results) == 6 and {t.slot for t in results} == set(range(6))

    def early(config):
        for step in range(1, 8):
            if step > 3 and config["h0"] < 0.5:
                return {"q": 0.0, "cost_s": float(step)}
            hpo.report(q=config["h0"], step=step, cost_s=float(step))
        return None

    results = simulated(early, sampler=pbt(max_steps=10))
    short = [t for t in results if t.config["h0"] < 0.5]
    assert short and all(t.last_step == 3 and t.number not in {c.parent for c in results} for t in short)


def test_a_segment_that_finds_nothing_left_to_do_ends_its_member_with_the_score_of_its_donor(tmp_path):
    """Training that ends, without a word, at a step that is the end of a segment."""

    def short(config):
        done = 0 if (saved := hpo.checkpoint()) is None else saved.step
        for step in range(done + 1, 11):
            hpo.report(q=config["h0"] + step, step=step, cost_s=float(step), save=lambda f: (f / "w").write_text("x"))

    results = simulated(short, sampler=pbt(max_steps=20, interval=5))
    assert results.num_by_status["failed"] == 0
    ends = [trial for trial in results if trial.from_step == 10]
    assert len(ends) == 6 and all(trial.metrics["q"] == results[trial.parent].metrics["q"] for trial in ends)


def test_segments_that_could_not_go_on_where_others_ended_are_said_to_have_started_over():
    def forgetful(config):
        for step in range(1, 16):
            hpo.report(q=config["h0"], step=step, cost_s=float(step))

    results = simulated(forgetful, sampler=pbt(max_steps=15, interval=5))
    assert len(results) == 18 and all(trial.from_step is None for trial in results)
    assert results.savings.num_restarted == 12 and results.savings.repeated_s == 6 * (5 + 10)
    assert "12 trials started over" in str(results)


def test_members_wait_while_all_of_them_run_and_the_study_ends_by_itself():
    run = loop(max_steps=5)
    trials = [run.ask() for _ in range(4)]
    assert run.peek() is Signal.WAIT
    for trial in trials:
        run.tell(trial)
    assert run.peek() is Signal.EXHAUSTED


def test_points_of_the_user_are_the_first_members():
    results = simulated(sampler=pbt(population=3, max_steps=10), points_to_evaluate=STARTS)
    assert [results[i].config for i in range(2)] == STARTS
    assert [t.last_step for t in results[:3]] == [5, 5, 5]
    assert len(results) == 6 and {t.slot for t in results[2:]} == {0, 1, 2}


def test_another_scheduler_beside_it_is_refused_by_name():
    with pytest.raises(SpecError, match=r"'pbt' brings the scheduler.*'asha"):
        hpo.Tuner(toy, PLANE, sampler=pbt(), scheduler="asha", num_trials=3)


@pytest.mark.parametrize(
    "options",
    [{}, {"max_steps": 0}, {"population": 1}, {"interval": 0}, {"quantile": 0.6}, {"perturb": 1.2}, {"perturb": [0]}],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises((SpecError, TypeError)):
        PBT(**({"max_steps": 5} | options if options else {}))


def test_an_interval_longer_than_training_is_refused_by_the_name_that_was_given():
    with pytest.raises(SpecError, match="pbt needs interval <= max_steps, got interval=100, max_steps=30"):
        PBT(population=2, interval=100, max_steps=30)


# ------------------------------------------------------------------------------------------------ what can be repeated


def test_the_same_journal_is_the_same_population(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    whole = simulated(sampler=pbt(), workers=1, storage=url)
    facts = list(open_storage(url).read("study"))
    assert audit(facts).is_clean
    assert Ledger.fold(facts).trials == list(whole.trials)


def test_a_study_that_was_killed_between_segments_goes_on_as_the_same_population(tmp_path):
    url = f"sqlite:///{tmp_path}/studies.db"
    places = {"storage": url, "runtime": "local", "max_concurrent": 1, "checkpoints": str(tmp_path / "saved")}
    settings = {"metric": "q", "mode": "max", "sampler": pbt(max_steps=20), "seed": 1, "progress": False}
    whole = hpo.tune(toy, PLANE, name="whole", **places, **settings)
    hpo.tune(toy, PLANE, name="parts", num_trials=9, **places, **settings)
    parts = hpo.tune(toy, PLANE, name="parts", num_trials=24, **places, **settings)
    assert [(t.config, t.meta, t.parent, t.metrics["q"]) for t in parts] == [
        (t.config, t.meta, t.parent, t.metrics["q"]) for t in whole
    ]
    assert audit(open_storage(url).read("parts")).is_clean


class Population:
    """A core whose trials are run by hand."""

    def __init__(self, **options) -> None:
        sampler = {"name": "pbt", "population": 2, "interval": 4, "max_steps": 12, **options}
        self.feed, self.at = Feed(sampler=sampler), 0.0

    def ask(self, worker="w"):
        self.at += 1
        lease = self.feed(AskTrials(worker=worker, at=self.at)).reply
        return lease.assignments[0]

    def train(self, given, loss, *, upto=None):
        """Report every step of the segment or, up to a step, some of them."""
        last = upto or given.next_step
        for step in range((given.from_step or 0) + 1, last + 1):
            report = ReportMetrics(
                number=given.number, attempt=given.attempt, step=step, metrics={"loss": loss}, at=self.at, saves=True
            )
            answer = self.feed(report).reply
        return answer

    def end(self, given, loss):
        """The segment's end; its checkpoint is saved where it is wanted."""
        assert self.train(given, loss).verdict is Verdict.COMPLETE
        key = {"number": given.number, "attempt": given.attempt, "at": self.at}
        is_wanted = self.feed(OfferCheckpoint(metrics={"loss": loss}, **key)).reply.is_wanted
        checkpoint = {"kept": f"{given.number}-{given.next_step}"} if is_wanted else None
        self.feed(EndTrial(status=Status.PRUNED, checkpoint=checkpoint, **key))
        return is_wanted

    def last(self, kind):
        return next(fact for fact in reversed(self.feed.facts) if isinstance(fact, kind))


def test_a_lost_worker_repeats_one_interval_only():
    run = Population()
    for loss in (0.1, 0.2):
        assert run.end(run.ask(), loss)
    assert run.last(Finished).status is Status.COMPLETED
    second = run.ask()
    assert (run.last(Started).from_trial, second.from_step, second.next_step) == (0, 4, 8)
    run.train(second, 0.05, upto=7)
    run.feed(LoseWorker(worker="w", at=9.0))
    again = run.ask("v")
    assert (again.number, again.attempt, again.from_step, again.next_step) == (second.number, 2, 4, 8)
    assert again.checkpoint.record["kept"] == "0-4"
    assert run.end(again, 0.05)


def test_a_donor_whose_checkpoint_is_gone_is_replaced_by_its_nearest_ancestor():
    run = Population(quantile=0.5)
    for loss in (0.1, 0.2):
        run.end(run.ask(), loss)
    for loss in (0.1, 0.2):  # member 0 goes on, member 1 copies it
        run.end(run.ask(), loss)
    third = run.ask()
    assert (run.last(Started).from_trial, third.from_step) == (2, 8)
    gone = EndTrial(number=third.number, attempt=1, status=Status.WAITING, at=run.at, reason="no such file")
    run.feed(gone)
    assert run.last(Released).number == 2
    again = run.ask()
    assert again.number == third.number and again.from_step in (4, None) and again.config == third.config


def test_no_checkpoint_is_taken_of_what_nobody_goes_on_from():
    run = Population(max_steps=4)
    assert run.end(run.ask(), 0.1)  # the best one
    assert not run.end(run.ask(), 0.2)


def test_a_segment_ends_where_it_is_due_and_not_a_step_later(tmp_path):
    steps = []

    def counted(config):
        done = 0
        if (saved := hpo.checkpoint()) is not None:
            done = int((saved.path / "step").read_text())
            assert done == saved.step
        for step in range(done + 1, 7):
            steps.append(step)
            text = str(step)
            hpo.report(q=config["h0"], step=step, save=lambda folder, t=text: Path(folder, "step").write_text(t))
        return config["h0"]

    sampler = pbt(population=3, interval=2, max_steps=6)
    results = hpo.tune(  # one at a time: a member that falls two segments behind may copy a segment it never trained
        counted, PLANE, metric="q", sampler=sampler, runtime="local", max_concurrent=1, seed=1, storage="memory",
        progress=False,
    )  # fmt: skip
    assert len(results) == 9 and results.num_by_status["completed"] == 9
    assert Counter(steps) == dict.fromkeys(range(1, 7), 3)

"""Portfolios: whose turn it is, one history for all, and what is done about trials that run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo import testing
from raytune_hpo.core.asking import ask
from raytune_hpo.core.audit import audit
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.journal import open_storage
from raytune_hpo.numerics import gaussian
from raytune_hpo.protocols import Signal
from raytune_hpo.rng import derive
from raytune_hpo.samplers import GP, RF, Portfolio, Random, rf
from raytune_hpo.samplers.strategies import STRATEGIES
from raytune_hpo.space import Choice, Float, Space

PLANE = Space({"x": Float(0, 1), "y": Float(0, 1)})
QUICK = ({"name": "gp", "acquisition": "ei"}, {"name": "rf", "n_trees": 8}, {"name": "tpe"})


def error(config):
    return min(1.0, 0.01 + (config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2)


def loop_of(seed=0, space=PLANE, **options):
    return testing.Loop.of(lambda: Portfolio(**{"arms": QUICK, **options}), space, seed=seed)


def play(loop, num, *, workers=1):
    for _ in range(num):
        loop.ask()
        if len(loop.pending) >= workers:
            loop.tell(loop.pending[0], {"loss": error(loop.pending[0].config)})
    return loop


def arms(loop):
    return [trial.meta["arm"] for trial in loop.finished]


# ------------------------------------------------------------------------------------------------ whose turn it is


def test_in_turn_means_one_after_the_other_after_two_draws():
    assert arms(play(loop_of(), 8)) == ["random", "random", "gp-ei", "rf-log_ei", "tpe", "gp-ei", "rf-log_ei", "tpe"]


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "SYNC"])
def test_every_strategy_goes_on_and_finds_something(strategy):
    truth = error if STRATEGIES[strategy].by_truth else None
    loop = play(loop_of(strategy=strategy, truth=truth), 24)
    assert min(trial.losses[0] for trial in loop.finished) < 0.03
    assert set(arms(loop)) - {"random"} <= {"gp-ei", "rf-log_ei", "tpe"}


def test_who_brings_more_gets_more_turns():
    """Of an arm that learns and one that only draws, the greedy strategies come to prefer the one that learns."""
    for strategy in ("EG", "EG-LE"):
        learner = 0
        for seed in range(3):
            loop = play(loop_of(seed, strategy=strategy, arms=("gp", "random")), 60)
            learner += arms(loop)[20:].count("gp-log_ei")
        assert learner > 0.6 * 3 * 40, strategy


def test_knock_out_drops_the_arm_that_only_draws():
    loop = play(loop_of(strategy="SKO", arms=("gp", "tpe", "random")), 2 + 30 + 12)
    assert "random-1" not in arms(loop)[-12:] and set(arms(loop)[-12:]) <= {"gp-log_ei", "tpe"}


def test_nominees_are_credited_with_what_their_own_arm_expects_of_them():
    loop = play(loop_of(strategy="BO-HEDGE", arms=("gp", "rf")), 12)
    told = [trial.meta for trial in loop.finished]
    assert all(len(meta["nominees"]) == 2 for meta in told[2:])
    credited = dict(pair for meta in told for pair in meta.get("credits", ()))
    assert sorted(credited) == list(range(2, 11))  # the newest ones were not, when the last was suggested
    gains = np.array(list(credited.values()))
    assert ((gains >= 0) & (gains <= 1)).all()  # goodness, not error: better nominees bring more
    truth = np.array([[1 - error(PLANE.decode(np.array([row]))[0]) for row in meta["nominees"]] for meta in told[3:12]])
    assert np.corrcoef(gains[1:, 0], truth[: len(gains) - 1, 0])[0, 1] > -1  # same length, finite
    assert abs(gains[-1, 0] - truth[-2, 0]) < 0.1


def test_with_a_table_nominees_are_credited_with_the_truth():
    loop = play(loop_of(strategy="BO-HEDGE-T", arms=("gp", "rf"), truth=error), 8)
    credited = dict(pair for trial in loop.finished for pair in trial.meta.get("credits", ()))
    for number, gains in credited.items():
        rows = np.array(loop.finished[number].meta["nominees"])
        np.testing.assert_allclose(gains, [1 - error(config) for config in PLANE.decode(rows)])


# ------------------------------------------------------------------------------------------------ many workers


def test_asynchronous_workers_have_an_arm_each_and_one_draws():
    loop = loop_of(strategy="ASYNC")
    play(loop, 6, workers=1)
    together = [loop.ask().meta["arm"] for _ in range(4)]
    assert sorted(together[:3]) == ["gp-ei", "rf-log_ei", "tpe"] and together[3] == "random"
    loop.tell(loop.pending[1], {"loss": 0.5})  # its worker is free
    assert loop.ask().meta["arm"] == together[1]


def test_with_fewer_workers_than_arms_all_have_their_turns():
    loop = loop_of(strategy="ASYNC")
    play(loop, 20, workers=2)
    arms = [trial.meta["arm"] for trial in loop.finished]
    assert min(arms.count(arm) for arm in ("gp-ei", "rf-log_ei", "tpe")) >= 5


def test_synchronous_workers_wait_for_the_slowest():
    loop = loop_of(strategy="SYNC")
    first = [loop.ask() for _ in range(4)]  # three arms and a draw
    sampler, rng = loop.sampler, derive(0, "ask", 4)
    for trial in first[:3]:
        assert sampler.ask(4, loop.pending, rng) is Signal.WAIT
        loop.tell(trial, {"loss": error(trial.config)})
    assert sampler.ask(4, loop.pending, rng) is Signal.WAIT
    loop.tell(first[3], {"loss": 0.5})
    assert [loop.ask().meta["arm"] for _ in range(4)] == ["gp-ei", "rf-log_ei", "tpe", "random"]


def test_what_running_trials_have_reported_counts():
    """A running trial that reports a disaster keeps others away from it; without failover it does not."""

    def suggested(failover, loss):
        loop = testing.Loop.of(lambda: Portfolio(arms=("gp",), failover=failover), Space({"x": Float(0, 1)}))
        for x in (0.0, 0.25, 0.75, 1.0):
            loop.tell(loop.enqueue({"x": x}), {"loss": 0.5 + abs(x - 0.5) / 2})
        loop.pending.append(testing.report(testing.start(4, {"x": 0.5}), 1, loss))
        return loop.ask().config["x"]

    assert abs(suggested("premature", 1.0) - 0.5) > 0.1
    assert abs(suggested("premature", 0.3) - 0.5) < abs(suggested("premature", 1.0) - 0.5)
    assert suggested("none", 1.0) == suggested("none", 0.3)


def test_a_trial_that_goes_on_counts_with_what_it_came_to_and_once():
    def suggested(*states, running=()):
        loop = testing.Loop.of(lambda: Portfolio(arms=("gp",)), Space({"x": Float(0, 1)}))
        for x in (0.0, 0.25, 0.75, 1.0):
            loop.tell(loop.enqueue({"x": x}), {"loss": 0.5 + abs(x - 0.5) / 2})
        for trial in states:
            (loop.sampler.observe if trial.status is Status.PAUSED else loop.learn)(trial)
        return ask(loop.sampler, 6, running, 0).config["x"]

    bad = testing.report(testing.start(4, {"x": 0.5}), 1, 1.0)
    resumed = testing.report(testing.go_on(testing.pause(bad)), 2, 0.1)
    good = testing.finish(resumed, {"loss": 0.1})
    assert abs(suggested(testing.pause(bad)) - 0.5) > 0.1
    assert abs(suggested(testing.pause(bad), good) - 0.5) < 0.1
    assert suggested(testing.pause(bad), testing.pause(resumed)) == suggested(testing.pause(resumed))
    assert suggested(testing.pause(bad), running=[resumed]) == suggested(testing.pause(resumed))


def test_arms_hear_of_a_paused_trial_as_they_would_alone():
    heard = []

    class Listener(Random):
        def bind(self, space, goals, seed):
            return self  # it hears, and is not asked

        def tell(self, trial):
            heard.append(("told", trial.status, trial.last_step))

    class Reader(Listener):
        traits = replace(Random.traits, reads_reports=True)

        def observe(self, trial):
            heard.append(("observed", trial.status, trial.last_step))

    loop = testing.Loop.of(lambda: Portfolio(arms=(Listener(), Reader())), PLANE)
    trial = testing.pause(testing.report(loop.ask(), 1, 0.5))
    loop.sampler.observe(trial)
    loop.sampler.tell(testing.finish(testing.report(testing.go_on(trial), 2, 0.4), {"loss": 0.4}))
    assert heard == [
        ("told", Status.PAUSED, 1),
        ("observed", Status.PAUSED, 1),
        ("told", Status.COMPLETED, 2),
    ]


@pytest.mark.parametrize("strategy", ["SEQ", "BO-HEDGE", "GT"])
def test_a_study_that_promotes_is_played_again_and_audits(tmp_path, strategy):
    def play(url):
        return hpo.simulate(
            staircase, {"x": hpo.uniform(0, 1)}, num_workers=3, num_trials=24, seed=1, storage=url, name="study",
            sampler={"name": "portfolio", "arms": QUICK, "strategy": strategy},
            scheduler={"name": "asha", "max_steps": 9, "promote": True},
        )  # fmt: skip

    url = f"sqlite:///{tmp_path}/studies.db"
    results = play(url)
    assert sum(trial.attempt > 1 for trial in results) > 1
    report = audit(open_storage(url).read("study"))
    assert report.is_clean and report.num_suggestions == 24


def staircase(config):
    saved = hpo.checkpoint()
    for step in range(1 if saved is None else saved.step + 1, 10):
        hpo.report(loss=(config["x"] - 0.3) ** 2 + 1 / step, step=step, cost_s=float(step), save=lambda folder: None)


def test_after_the_warm_up_stopped_trials_count_with_their_best():
    """One that once was good and got worse draws others near it after the warm-up, and keeps them away before."""

    def suggested(warm_up_s):
        loop = testing.Loop.of(lambda: Portfolio(arms=("gp",), warm_up_s=warm_up_s), Space({"x": Float(0, 1)}))
        for x in (0.0, 0.25, 0.75, 1.0):
            loop.tell(loop.enqueue({"x": x}), {"loss": 0.5 + abs(x - 0.5) / 2})
        stopped = testing.report(testing.report(testing.start(4, {"x": 0.5}), 1, 0.3), 2, 1.0)
        loop.sampler.tell(testing.finish(stopped, status=Status.PRUNED))  # about five seconds after the first began
        return loop.ask().config["x"]

    assert suggested(100.0) == suggested(None)
    assert abs(suggested(None) - 0.5) > 0.1
    assert abs(suggested(3.0) - 0.5) < 0.1


def test_failovers_differ_where_the_choice_is_running_already():
    rows = [{"x": 0.0}, {"x": 0.5}, {"x": 0.52}, {"x": 1.0}]
    space = Space({"x": Float(0, 1)}, candidates=rows)

    def suggested(failover):
        loop = testing.Loop.of(
            lambda: Portfolio(arms=({"name": "gp", "acquisition": "ucb"},), failover=failover), space
        )
        for x, loss in ((0.0, 0.9), (1.0, 0.9)):
            loop.tell(loop.enqueue({"x": x}), {"loss": loss})
        loop.enqueue({"x": loop.ask().config["x"]})
        return loop.pending[0].config["x"], loop.ask().config["x"]

    chosen, again = suggested("none")
    assert again == chosen  # a duplicate, as the name says
    chosen, again = suggested("next_candidate")
    assert again != chosen and again in (0.5, 0.52)


# ------------------------------------------------------------------------------------------------ what arms may be


def test_samplers_of_every_kind_share_a_portfolio_and_keep_what_they_wrote():
    space = Space({"x": Float(0, 1), "kind": Choice(["a", "b"])})
    loop = loop_of(space=space, arms=("gp", {"name": "cmaes"}, "de", Random(), "hyperopt"))
    for _ in range(40):
        trial = loop.ask()
        loop.tell(trial, {"loss": trial.config["x"] + (trial.config["kind"] == "a")})
    assert set(arms(loop)) == {"gp-log_ei", "cmaes", "de", "random", "hyperopt"}
    assert any("generation" in trial.meta.get("own", {}) for trial in loop.finished)
    assert min(trial.losses[0] for trial in loop.finished) < 0.05


def test_arms_of_one_model_share_its_fits_and_suggest_what_they_would_have_anyway(monkeypatch):
    rows = [{"x": x, "y": y} for x in np.linspace(0, 1, 12) for y in np.linspace(0, 1, 12)]
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, candidates=rows)
    fits = []
    fitted, grown = gaussian.fit, rf.grow
    monkeypatch.setattr(gaussian, "fit", lambda *args: fits.append("gp") or fitted(*args))
    monkeypatch.setattr(rf, "grow", lambda *args, **options: fits.append("rf") or grown(*args, **options))

    def suggested():
        fits.clear()
        loop = testing.Loop.of(lambda: Portfolio(strategy="BO-HEDGE"), space)
        for _ in range(8):
            trial = loop.ask()
            loop.tell(trial, {"loss": (trial.config["x"] - 0.3) ** 2 + trial.config["y"] / 5})
        return [trial.config for trial in loop.finished], len(fits)

    together, few = suggested()
    for model in (GP, RF):
        monkeypatch.setattr(model, "model_key", property(id))  # each a model of its own
    apart, many = suggested()
    assert together == apart
    assert many > 2 * few


@pytest.mark.slow
def test_long_trials_are_held_against_candidates():
    def seconds(penalty):
        spent = []
        for seed in range(2):
            loop = testing.Loop.of(lambda: Portfolio(arms=("gp",), penalty=penalty), PLANE, seed=seed)
            for _ in range(30):
                trial = loop.ask()
                took = 10 + 990 * trial.config["y"]
                done = testing.finish(trial, {"loss": (trial.config["x"] - 0.5) ** 2})
                loop.pending.clear()
                loop.learn(replace(done, duration_s=took))
                spent.append(took)
        return np.mean(spent[15:30] + spent[45:])

    without = seconds(None)
    for penalty in ("linear", "per_second", "top_k"):
        assert seconds(penalty) < without, penalty


def test_failed_trials_and_constant_losses_stop_nobody():
    loop = loop_of(strategy="BO-HEDGE-LE")
    for i in range(14):
        trial = loop.ask()
        if i % 3:
            loop.tell(trial, {"loss": 0.5})
        else:
            loop.pending.clear()
            loop.learn(testing.finish(trial, status=Status.FAILED))
    assert len(loop.finished) == 14


def test_it_tunes_on_real_workers_and_says_who_found_what():
    results = hpo.tune(
        error, {"x": hpo.uniform(0, 1), "y": hpo.uniform(0, 1)}, sampler={"name": "portfolio", "arms": ["gp", "tpe"]},
        num_trials=20, max_concurrent=2, runtime="local", storage="memory", progress=False, seed=0,
    )  # fmt: skip
    assert {trial.meta["arm"] for trial in results} == {"random", "gp-log_ei", "tpe"}
    assert results.best_value < 0.1


@pytest.mark.parametrize(
    "options, said",
    [
        ({"arms": ()}, "needs a list of arms"),
        ({"arms": "gp"}, "needs a list of arms"),
        ({"strategy": "SEQU"}, "did you mean 'SEQ'"),
        ({"failover": "hope"}, "has no failover 'hope'"),
        ({"penalty": "linar"}, "did you mean 'linear'"),
        ({"n_initial": 0}, "n_initial >= 1"),
        ({"warm_up_s": -1}, "warm_up_s >= 0"),
        ({"penalty": "linear", "penalty_weight": -1}, "penalty_weight > 0"),
        ({"penalty": "per_log_second", "penalty_weight": 1}, "penalty_weight > 1.*got 1"),
        ({"strategy": "BO-HEDGE-T"}, "needs truth="),
    ],
)
def test_options_that_cannot_be_are_refused_in_plain_words(options, said):
    with pytest.raises(SpecError, match=said):
        Portfolio(**options)


def test_an_arm_that_is_none_is_refused_when_the_study_is_built():
    with pytest.raises(SpecError, match="unknown sampler 'gpp'"):
        hpo.Tuner(error, {"x": hpo.uniform(0, 1)}, sampler=Portfolio(arms=("gpp",)), num_trials=3)
    assert repr(Portfolio(arms=(GP(), RF()))).startswith("Portfolio(arms=(GP(")

import numpy as np
import pytest
from hyperopt import rand
from hyperopt.base import Domain, Trials

from raytune_hpo import testing
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.rng import derive
from raytune_hpo.samplers import Hyperopt
from raytune_hpo.samplers.hyperopt_space import HyperoptSpace, expressed
from raytune_hpo.space import (
    Choice,
    Float,
    Int,
    Normal,
    Ordinal,
    Space,
    lograndint,
    qloguniform,
    qrandn,
    quniform,
)

DOMAINS = {
    "float": Float(-2, 5),
    "log float": Float(1e-4, 10, log=True),
    "stepped float": Float(0.1, 0.7, step=0.2),
    "int": Int(-3, 3),
    "stepped int": Int(8, 64, step=8),
    "huge int": Int(0, 2**52 - 1),
    "fine qloguniform": qloguniform(1e-13, 1e-11, 1e-15),
    "log int": Int(1, 1000, log=True),
    "lograndint": lograndint(1, 10),
    "normal": Normal(2, 3),
    "lognormal": Normal(0, 1, log=True),
    "quniform": quniform(0, 1, 0.25),
    "qloguniform": qloguniform(1, 100, 1),
    "qrandn": qrandn(0, 10, 5),
    "choice": Choice(["a", "b", "c"]),
    "weighted": Choice(["a", "b", "c"], weights=[1, 2, 7]),
    "ordinal": Ordinal([1, 10, 100]),
    "single": Float(3, 3),
}
MODELS = Space(
    {
        "model": Choice(
            [
                "none",
                {"kind": "svm", "C": Float(1e-3, 1e3, log=True), "kernel": Choice(["rbf", {"degree": Int(2, 5)}])},
                {"kind": "tree", "depth": Int(1, 9)},
            ],
            weights=[1, 2, 2],
        ),
        "x": Float(0, 1),
    }
)


def draw(space, n, seed=0):
    """Points of hyperopt's prior, as configurations."""
    translation = HyperoptSpace(space)
    domain = Domain(None, translation.expression)
    docs = rand.suggest(range(n), domain, Trials(), seed)
    return [space.decode(translation.unit(doc["misc"]["vals"]))[0] for doc in docs]


def taught(space, n=30, seed=5):
    loop = testing.Loop.of(lambda: Hyperopt(n_startup_jobs=10), space, seed=seed)
    for trial in testing.history(space, n):
        loop.learn(trial)
    return loop


@pytest.mark.parametrize("name", DOMAINS)
def test_hyperopts_prior_is_the_domains_own(name):
    space = Space({"p": DOMAINS[name]})
    for config in (configs := draw(space, 1000)):
        space.check(config)
    units = space.encode(configs)[:, 0]
    own = space.encode(space.sample(4000, derive(0, "own")))[:, 0]
    for level in (0.2, 0.5, 0.8):
        assert np.mean(units <= level) == pytest.approx(np.mean(own <= level), abs=0.06)


@pytest.mark.parametrize("name", DOMAINS)
def test_values_come_back_from_hyperopts_terms(name):
    space = Space({"p": DOMAINS[name]})
    translation = HyperoptSpace(space)
    configs = space.sample(200, derive(1, "there and back"))
    rows = translation.values(space.encode(configs))
    back = [space.decode(translation.unit({"p": [row["p"]]}))[0]["p"] for row in rows]
    assert back == [config["p"] for config in configs] or back == pytest.approx([config["p"] for config in configs])


def test_distributions_are_hyperopts_own_where_it_has_them():
    named = {name: (expressed(domain).distribution, expressed(domain).args) for name, domain in DOMAINS.items()}
    assert named["float"] == ("uniform", (-2.0, 5.0))
    assert named["log float"] == ("loguniform", pytest.approx((np.log(1e-4), np.log(10))))
    assert named["normal"] == ("normal", (2.0, 3.0))
    assert named["quniform"] == ("quniform", (0.0, 1.0, 0.25))
    assert named["qloguniform"][0] == "qloguniform"
    assert named["qrandn"] == ("qnormal", (0.0, 10.0, 5.0))
    assert named["int"] == ("quniform", (-0.5, 6.5, 1))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "domain",
    [
        Float(0, 1e-14),
        Float(-1e300, 1e300),
        Int(0, 2**52 - 1),
        Float(0, 2**50, step=1),
        quniform(0, 1e15, 1),
    ],
    ids=repr,
)
def test_ranges_beyond_hyperopts_precision_are_searched_like_any_other(domain):
    found = []
    for space in (Space({"x": Float(0, 1)}), Space({"x": domain})):
        loop = testing.Loop.of(lambda: Hyperopt(n_startup_jobs=10), space).run(30)
        found.append(space.encode([trial.config for trial in loop.finished])[:, 0])
    assert found[1] == pytest.approx(found[0], abs=1e-5)


def test_a_choice_of_dicts_is_nested_for_hyperopt_too():
    translation = HyperoptSpace(MODELS)
    docs = rand.suggest(range(300), Domain(None, translation.expression), Trials(), 0)
    for doc in docs:
        values = doc["misc"]["vals"]
        model = values["model"][0]
        assert (len(values["model/svm/C"]) == 1) == (model == 1)
        assert (len(values["model/tree/depth"]) == 1) == (model == 2)
        assert len(values["model/svm/kernel/1/degree"]) == (model == 1 and values["model/svm/kernel"][0] == 1)


def test_suggestions_in_a_nested_space_have_the_chosen_branch_only():
    loop = taught(MODELS, 40)
    for trial in loop.run(30).finished[40:]:
        MODELS.check(trial.config)


def test_no_generator_but_the_given_one_is_used():
    loop = taught(MODELS)
    np.random.seed(1)  # the global generator is what must not matter
    before = np.random.get_state()[1].copy()
    first = loop.peek()
    assert (np.random.get_state()[1] == before).all()
    np.random.seed(2)
    assert loop.peek() == first


def test_it_says_nothing_to_the_log(caplog, capfd):
    caplog.set_level(0)
    taught(MODELS).peek()
    assert not [record for record in caplog.records if record.name.startswith("hyperopt")]
    assert capfd.readouterr() == ("", "")


def test_it_begins_at_random_until_enough_trials_have_a_loss():
    space = Space({"x": Float(0, 1)})
    loop = testing.Loop.of(lambda: Hyperopt(n_startup_jobs=5), space)
    for number in range(40):
        loop.learn(testing.finish(testing.start(number, {"x": 0.5}), status=Status.FAILED))
    random = space.sample(1, derive(loop.seed, "ask", 40))[0]
    assert loop.peek().config == random


def test_it_keeps_away_from_failures():
    space = Space({"c": Choice(["works", "crashes"]), "x": Float(0, 1)})
    loop = testing.Loop.of(Hyperopt, space)
    for number, config in enumerate(space.sample(40, derive(0, "mixed"))):
        trial = testing.start(number, config)
        works = config["c"] == "works"
        loop.learn(testing.finish(trial, {"loss": 1.0}) if works else testing.finish(trial, status=Status.FAILED))
    suggested = [loop.sampler.ask(40 + i, (), derive(0, "ask", i)).config["c"] for i in range(20)]
    assert suggested.count("works") > 15


def test_a_pruned_trial_teaches_by_its_last_report():
    space = Space({"x": Float(0, 1)})
    by_report, by_result = (testing.Loop.of(Hyperopt, space) for _ in range(2))
    for trial in testing.history(space, 30):
        running = testing.start(trial.number, trial.config)
        pruned = testing.report(testing.report(running, 1, 9.0), 2, trial.losses[0])
        by_report.learn(testing.finish(pruned, status=Status.PRUNED))
        by_result.learn(trial)
    assert by_report.peek() == by_result.peek()


def test_pending_trials_push_suggestions_away():
    space = Space({"x": Float(0, 1)})
    loop = taught(space, 30)
    batch = [loop.ask().config["x"] for _ in range(8)]
    alone = {loop.sampler.ask(30 + i, (), derive(loop.seed, "ask", 30 + i)).config["x"] for i in range(8)}
    assert set(batch) != alone
    assert len(set(batch)) == 8


def test_hard_constraints_are_met_by_a_random_draw_at_the_latest():
    space = Space({"x": Float(0, 1), "y": Float(0, 1)}, constraints=[lambda c: c["x"] + c["y"] < 0.1])
    loop = taught(space)
    for trial in loop.run(5).finished:
        space.check(trial.config)


@pytest.mark.parametrize("options", [{"n_startup_jobs": 0}, {"n_EI_candidates": 0}, {"gamma": 0}, {"prior_weight": -1}])
def test_options_out_of_range_are_refused(options):
    name, value = next(iter(options.items()))
    with pytest.raises(SpecError, match=f"hyperopt needs .*{name}={value}"):
        Hyperopt(**options)

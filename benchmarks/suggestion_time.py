"""The time of a suggestion: ask and tell, fits included, on one core, after a given number of trials.

    python benchmarks/suggestion_time.py                      # everything, under half an hour
    python benchmarks/suggestion_time.py --only tpe gp        # some of our samplers; peers are measured with them
    python benchmarks/suggestion_time.py --quick              # tiny sizes: does it run?

The space has ten parameters: six floats, two ints, two categoricals. The sampler is told a history of random trials;
then consecutive trials are each asked for, evaluated and told, which gives the waiting time of a single caller. The
script prints the median and the 99th percentile of CPU seconds, and those of Optuna on the same function with the same
history in the same run. Optuna's GP needs torch, and is measured only at small sizes: at larger ones it takes minutes.

Samplers that suggest several configurations at once are also asked for 16 and 32 of them with 64 trials running and no
result in between, and with 64 workers of which one ends a trial before each request.

Needs ``pip install -e '.[bench]'``. Writes results/suggestion_time.json.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import one_core  # noqa: F401
from common import Figure, arguments, conduct, percentile

from raytune_hpo import registry
from raytune_hpo.protocols import Suggestion
from raytune_hpo.rng import derive
from raytune_hpo.space import Choice, Float, Int, Space
from raytune_hpo.testing.trials import GOALS, finish, start

SIZES = (100, 200, 1_000, 10_000)
QUICK_SIZES = (20, 40)
NUM_MEASURED = 120  # trials: at 1,000 of them, models that are fitted again when a history grew by a tenth are so once
LONGEST_S = 60.0  # of measuring one sampler at one size; at least MIN_MEASURED trials even so
MIN_MEASURED = 5
SEED = 1
LAST_SIZE = {"optuna_gp": 200, "optuna_tpe": 10_000, "hyperopt": 1_000}  # beyond which a contender takes minutes
ASKED_MS = {  # medians, by sampler and size
    ("tpe", 1_000): 5.0,
    ("tpe", 10_000): 10.0,
    ("gp", 200): 100.0,
    ("gp", 1_000): 500.0,
    ("rf", 200): 150.0,
    ("auto", 200): 100.0,
    ("auto", 1_000): 500.0,
}
NUM_RUNNING, BATCHES, MOST_FOR_16, LEAST_A_SECOND = 64, (16, 32), 3.0, 100.0
DEMANDED_AT = (100, 1_000)
RATIOS = {"tpe": "optuna_tpe", "gp": "optuna_gp"}  # of ours, and what it should be so many times faster than
AT_LEAST_TIMES = 20
# They suggest steps of training or windows of a running system: how long that takes depends on more than the trials.
OF_STEPS = ("bohb", "freeze_thaw", "hypertune", "live", "pb2", "pbt", "schedule")

_NUM_FLOATS, _NUM_INTS, _OPTIONS = 6, 2, ("a", "b", "c", "d")
SPACE = Space(
    {f"x{i}": Float(1e-4, 1.0, log=i % 2 == 0) for i in range(_NUM_FLOATS)}
    | {f"n{i}": Int(1, 64) for i in range(_NUM_INTS)}
    | {f"c{i}": Choice(_OPTIONS) for i in range(2)}
)


def loss_of(config: Mapping[str, Any]) -> float:
    """A bowl in the unit cube, a little better for one option of each categorical; cheap, and not flat anywhere."""
    unit = SPACE.encode([config])[0]
    return float(
        ((unit[: _NUM_FLOATS + _NUM_INTS] - 0.3) ** 2).sum() + 0.1 * (unit[_NUM_FLOATS + _NUM_INTS :] > 0.3).sum()
    )


# ------------------------------------------------------------------------------------------------ contenders

Turn = Callable[[], float]  # one trial; the seconds of its ask and tell


def ours(name: str, size: int) -> Turn:
    """A study of one of our samplers with so many finished trials."""
    sampler = registry.make("sampler", name).bind(SPACE, GOALS, SEED)
    history = SPACE.sample(size, derive(SEED, "history"))
    for number, config in enumerate(history):
        sampler.tell(finish(start(number, config), {"loss": loss_of(config)}))
    number = size

    def turn() -> float:
        nonlocal number
        begin = time.process_time()
        said = sampler.ask(number, (), derive(SEED, "ask", number))
        asked = time.process_time() - begin
        assert isinstance(said, Suggestion)
        done = finish(start(number, said.config, meta=said.meta), {"loss": loss_of(said.config)})
        begin = time.process_time()
        sampler.tell(done)
        number += 1
        return asked + time.process_time() - begin

    return turn


def optuna(name: str, size: int) -> Turn:
    """The same with one of Optuna's samplers."""
    import optuna as library

    library.logging.set_verbosity(library.logging.ERROR)
    warnings.simplefilter("ignore", library.exceptions.ExperimentalWarning)
    samplers = {"optuna_tpe": library.samplers.TPESampler, "optuna_gp": library.samplers.GPSampler}
    study = library.create_study(sampler=samplers[name](seed=SEED))
    floats = {f"x{i}": library.distributions.FloatDistribution(1e-4, 1.0, log=i % 2 == 0) for i in range(_NUM_FLOATS)}
    ints = {f"n{i}": library.distributions.IntDistribution(1, 64) for i in range(_NUM_INTS)}
    choices = {f"c{i}": library.distributions.CategoricalDistribution(_OPTIONS) for i in range(2)}
    domains = floats | ints | choices
    history = SPACE.sample(size, derive(SEED, "history"))
    study.add_trials(
        [library.trial.create_trial(params=config, distributions=domains, value=loss_of(config)) for config in history]
    )

    def turn() -> float:
        begin = time.process_time()
        trial = study.ask(domains)
        asked = time.process_time() - begin
        value = loss_of(trial.params)
        begin = time.process_time()
        study.tell(trial, value)
        return asked + time.process_time() - begin

    return turn


def contenders() -> dict[str, Callable[[int], Turn]]:
    """Ours that learn from whole trials, and those of Optuna's that are installed."""
    learning = [
        name
        for name in registry.SAMPLERS
        if name not in OF_STEPS and not registry.load("sampler", name).traits.history_free
    ]
    found: dict[str, Callable[[int], Turn]] = {name: functools.partial(ours, name) for name in learning}
    needs = {"optuna_tpe": ("optuna",), "optuna_gp": ("optuna", "torch")}
    for name, modules in needs.items():
        if all(importlib.util.find_spec(module) for module in modules):
            found[name] = functools.partial(optuna, name)
    return found


# ------------------------------------------------------------------------------------------------ measuring


@dataclass(frozen=True, kw_only=True)
class Times:
    """Of consecutive trials after so many."""

    median_s: float
    p99_s: float
    num: int


def measure(make: Callable[[int], Turn], size: int, num: int) -> Times:
    turn = make(size)
    turn()  # imports, and what is made once
    begin, taken = time.monotonic(), []
    while len(taken) < num and (len(taken) < MIN_MEASURED or time.monotonic() - begin < LONGEST_S):
        taken.append(turn())
    return Times(median_s=statistics.median(taken), p99_s=percentile(taken, 0.99), num=len(taken))


def figures_of(name: str, measured: Mapping[int, Times]) -> Iterator[Figure]:
    for size, times in measured.items():
        limit = ASKED_MS.get((name, size))
        yield Figure(
            name=f"{name} {size}",
            what=f"{name}: after {size:,} trials, median",
            measured=1000 * times.median_s,
            unit="ms",
            asked="" if limit is None else f"<= {limit:g}",
            reached=None if limit is None else 1000 * times.median_s <= limit,
            detail={"p99_ms": 1000 * times.p99_s, "trials": times.num},
        )
        yield Figure(
            name=f"{name} {size} p99",
            what=f"{name}: after {size:,} trials, 99th percentile",
            measured=1000 * times.p99_s,
            unit="ms",
        )


class Demand:
    """A study of one of our samplers with so many finished trials, and others that run."""

    def __init__(self, name: str, size: int) -> None:
        self._sampler = registry.make("sampler", name).bind(SPACE, GOALS, SEED)
        configs = SPACE.sample(size + NUM_RUNNING, derive(SEED, "history"))
        for number, config in enumerate(configs[:size]):
            self._sampler.tell(finish(start(number, config), {"loss": loss_of(config)}))
        self._running = [start(size + number, config) for number, config in enumerate(configs[size:])]
        self._number = size + NUM_RUNNING

    def ask(self) -> float:
        """One more trial; the seconds that its suggestion took."""
        begin = time.process_time()
        said = self._sampler.ask(self._number, tuple(self._running), derive(SEED, "ask", self._number))
        took = time.process_time() - begin
        assert isinstance(said, Suggestion)
        self._running.append(start(self._number, said.config, meta=said.meta))
        self._number += 1
        return took

    def end_one(self) -> float:
        """A trial ends; the seconds that telling it took."""
        trial = self._running.pop(self._number % NUM_RUNNING)
        done = finish(trial, {"loss": loss_of(trial.config)})
        begin = time.process_time()
        self._sampler.tell(done)
        return time.process_time() - begin


def demanded(name: str, size: int) -> Iterator[Figure]:
    """What a batch costs against a single suggestion, and how many there are in a second."""
    study = Demand(name, size)
    study.ask()  # imports, and what is fitted once for so many trials
    study.end_one()
    single = study.ask()
    for num in BATCHES:
        study.end_one()
        took = sum(study.ask() for _ in range(num))
        is_held_against = num == BATCHES[0]
        yield Figure(
            name=f"{name} {size} batch of {num}",
            what=f"{name}: {num} at once after {size:,} trials, {NUM_RUNNING} running",
            measured=took / single,
            unit="times one",
            asked=f"<= {MOST_FOR_16:g}" if is_held_against else "",
            reached=took / single <= MOST_FOR_16 if is_held_against else None,
        )
        yield _a_second(name, size, f"{num} at once", num / took)
    took = sum(study.end_one() + study.ask() for _ in range(NUM_MEASURED))
    yield _a_second(name, size, "one for each result", NUM_MEASURED / took)


def _a_second(name: str, size: int, how: str, rate: float) -> Figure:
    return Figure(
        name=f"{name} {size} {how}, a second",
        what=f"{name}: suggestions a second after {size:,} trials, {NUM_RUNNING} running, {how}",
        measured=rate,
        unit="/s",
        asked=f">= {LEAST_A_SECOND:g}",
        reached=rate >= LEAST_A_SECOND,
    )


def ratios(measured: Mapping[str, Mapping[int, Times]]) -> Iterator[Figure]:
    """How many times faster ours are than theirs, at every size that both were measured at."""
    for mine, its in RATIOS.items():
        for size in sorted(measured.get(mine, {}).keys() & measured.get(its, {}).keys()):
            ratio = measured[its][size].median_s / measured[mine][size].median_s
            yield Figure(
                name=f"{mine} {its} {size}",
                what=f"{mine}: times faster than {its} after {size:,} trials",
                measured=ratio,
                unit="times",
                asked=f">= {AT_LEAST_TIMES}",
                reached=ratio >= AT_LEAST_TIMES,
            )


def main() -> None:
    known = contenders()
    parser = arguments(__doc__)
    parser.add_argument("--only", nargs="+", metavar="SAMPLER", choices=list(known), help=", ".join(known))
    args = parser.parse_args()
    wanted = [name for name in known if not args.only or name in args.only or name.startswith("optuna")]
    measured: dict[str, dict[int, Times]] = {}

    def measure_one(quick: bool, name: str) -> list[Figure]:
        sizes = [size for size in (QUICK_SIZES if quick else SIZES) if size <= LAST_SIZE.get(name, size)]
        num = MIN_MEASURED if quick else NUM_MEASURED
        measured[name] = {size: measure(known[name], size, num) for size in sizes}
        figures = list(figures_of(name, measured[name]))
        if name in registry.SAMPLERS and registry.load("sampler", name).traits.in_batches and not quick:
            figures += [figure for size in DEMANDED_AT for figure in demanded(name, size)]
        return figures

    measures: dict[str, Callable[[bool], list[Figure]]] = {
        name: functools.partial(measure_one, name=name) for name in wanted
    }
    conduct(args, measures | {"ratios": lambda _: list(ratios(measured))})


if __name__ == "__main__":
    main()

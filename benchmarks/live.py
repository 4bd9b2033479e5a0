"""Live tuning of a simulated service in virtual time: three knobs, a daily load cycle, noise, and a bad region.

    python benchmarks/live.py                       # 100 seeds of 14 days each: ten minutes of one core
    python benchmarks/live.py --only live
    python benchmarks/live.py --quick

The service handles requests with ``threads`` workers, in batches of ``batch``, with a cache of ``cache_mb``. Its cost
per request is that of the machine plus a penalty for waiting. The best number of threads grows with the load, so the
best configuration at night differs from that by day. Too few threads under load double the p99: this is the bad region.
On the seventh day the cost of memory changes.

The contenders are the sampler ``live`` with context; the same without it (a plain Gaussian process); random steps in
the same trust region; and the best single configuration, which nobody knows beforehand. All of them obey the same rules
(guards, canary, budgets), with windows of five minutes. Regret is compared with never tuning.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from common import Figure, Measure, arguments, at_least, at_most, conduct

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.facts import Drifted, StudyCreated
from raytune_hpo.goals import Goal
from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.live.controller import Controller
from raytune_hpo.live.messages import SetBaseline, Thaw
from raytune_hpo.live.plan import DAY_S, LivePlan
from raytune_hpo.live.replaying import replayed
from raytune_hpo.protocols import Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.spec import StudySpec

START = 1_800_000_000.0 - 1_800_000_000.0 % DAY_S
SPACE = hpo.Space({"threads": hpo.Int(4, 104), "batch": hpo.Float(1.0, 65.0), "cache_mb": hpo.Float(0.0, 1.0)})
BASELINE = {"threads": 40, "batch": 12.0, "cache_mb": 0.3}
LIMIT_MS = 180.0
NOISE = 0.1
STEP = 0.1  # of the trust region
BEST_COST = 10.0
WAY_FROM_S = 3 * DAY_S  # after which the way to the optimum is looked at, for a day
REPLAYED = 10  # every so many seeds
LIVE, PLAIN, RANDOM = "live", "a model without context", "random steps"


def load(at: float) -> float:
    """Requests a second: 100 at night, 400 at noon, and a slow beat of some minutes."""
    day = at % DAY_S / DAY_S
    return 250.0 - 150.0 * math.cos(2 * math.pi * day) + 10.0 * math.sin(at / 700.0)


def truth(config: Mapping[str, Any], rps: float, changed: bool = False) -> tuple[float, float]:
    """Cost of a request and p99 in ms, without noise."""
    best_threads = 30.0 + rps / 10.0
    batch_best, cache_best = (24.0, 0.55) if not changed else (24.0, 0.1)
    away = (
        ((config["threads"] - best_threads) / 40.0) ** 2
        + ((config["batch"] - batch_best) / 24.0) ** 2
        + ((config["cache_mb"] - cache_best) / 0.5) ** 2
    )
    cost = 10.0 * (1.0 + away) + (3.0 if changed else 0.0)
    is_bad = config["threads"] < 0.075 * rps + 6.0
    return cost, 100.0 * (1.0 + 0.25 * away) * (2.0 if is_bad else 1.0)


class Service:
    """The queue, as an applier."""

    def __init__(self, seed: int, change_at: float) -> None:
        self.runs: dict[str, Mapping[str, Any]] = {}
        self._draw, self.change_at = derive(seed, "service", 0), change_at

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        self.runs[group] = dict(config)

    def split(self, share: float, seq: int) -> None:
        """Shares make no difference to this service."""

    def read(self, group: str) -> Mapping[str, Any]:
        return self.runs.get(group, {})

    def measure(self, group: str, start: float, end: float) -> tuple[dict[str, float], dict[str, float]]:
        noise = np.exp(NOISE * self._draw.standard_normal(2))
        rps = load((start + end) / 2)
        cost, p99 = truth(self.runs[group], rps, end > self.change_at)
        return {"cost": cost * noise[0], "p99_ms": p99 * noise[1]}, {"rps": rps}


class RandomSteps:
    """Random steps in the trust region of ``live``, without a model."""

    traits = Traits(reads_pending=False)

    def __init__(self, *, step: float = 0.05) -> None:
        self.step = step

    def bind(self, space: Any, goals: Any, seed: int) -> RandomSteps:
        bound = RandomSteps(step=self.step)
        bound._space, bound._here = space, None
        return bound

    def tell(self, trial: Any) -> None:
        if trial.meta.get("group") == "control" or self._here is None:
            self._here = trial.config

    def ask(self, number: int, pending: Any, rng: np.random.Generator) -> Suggestion:
        x = self._space.encode([self._here])
        moved = np.clip(x + rng.uniform(-self.step, self.step, x.shape), 0.0, 1.0)
        return Suggestion(self._space.decode(moved)[0])


def samplers() -> dict[str, Any]:
    guards = [f"p99_ms <= {LIMIT_MS:g}", "p99_ms <= 1.2x"]
    common = {"name": "live", "guards": guards, "step": STEP, "history": 200, "by_class": True, "beta": None}
    return {
        LIVE: registry.make("sampler", {**common, "context": ["rps"]}),
        PLAIN: registry.make("sampler", {**common, "context": []}),
        RANDOM: RandomSteps(step=STEP),
    }


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one study came to.

    Attributes:
        cost: of all requests, as a share of what they would have cost by the baseline.
        way: by class of load, how much of the way from the baseline to the optimum was gone on the fourth day.
        broken: the share of the time in which all traffic broke the guard; ``breach_s`` its longest stretch.
        false_alarms: drifts that were none; ``windows`` in which there could have been some.
        noticed: windows after the change until it was noticed; None where it never was.
        num_differing: decisions that a replay makes otherwise; None where none was made.
    """

    cost: float
    way: Mapping[str, float]
    broken: float
    breach_s: float
    false_alarms: int
    windows: int
    noticed: float | None
    num_freezes: int
    num_facts: int
    num_differing: int | None
    cpu_s: float


def simulated(name: str, seed: int, days: float, *, is_replayed: bool = False) -> Outcome:
    """One study in virtual time. The service changes half way."""
    began = time.process_time()
    sampler = samplers()[name]
    guards = [f"p99_ms <= {LIMIT_MS:g}", "p99_ms <= 1.2x"]
    plan = LivePlan.of({"guards": guards, "context": [] if name == PLAIN else ["rps"], "check_s": 60.0})
    spec = StudySpec(
        name="service", space=SPACE, goals=(Goal("cost"),), sampler=registry.describe("sampler", sampler), seed=seed,
        settings={"live": plan.to_json()},
    )  # fmt: skip
    change_at, end = START + days / 2 * DAY_S, START + days * DAY_S
    storage, service = MemoryStorage(), Service(seed, change_at)
    journal = storage.journal(spec.name, create=True, owner="benchmark")
    journal.append([StudyCreated(spec=spec.to_json(), at=START)], expect=0)
    controller = Controller(spec, plan, sampler, journal, service, lambda alarm: None)
    controller.open(START)
    controller.obey(SetBaseline(config=BASELINE, by="benchmark", at=START))
    seen = _Watching(change_at)
    at, num_freezes = START, 0
    while at < end:
        following = max(at, controller.turn(at))
        fold = controller.fold
        if fold.frozen is not None:  # somebody looks at it within the hour
            num_freezes += 1
            following = at + 3_600.0
            controller.obey(Thaw(by="benchmark", at=following))
        seen.take(at, following, service.runs, fold.share if fold.candidate is not None else 0.0, fold.place)
        at = following
    facts = list(storage.read(spec.name))
    drifts = [fact.at for fact in facts if isinstance(fact, Drifted)]
    after = [drift for drift in drifts if drift > change_at]
    replay = replayed(facts, spec, plan, samplers()[name]) if is_replayed else None
    return Outcome(
        cost=seen.cost / seen.untuned,
        way={place: float(np.mean(shares)) for place, shares in sorted(seen.ways.items()) if len(shares) > 20},
        broken=seen.broken_s / (end - START),
        breach_s=seen.breach_s,
        false_alarms=len(drifts) - len(after),
        windows=round((change_at - START) / plan.window_s),
        noticed=(after[0] - change_at) / plan.window_s if after else None,
        num_freezes=num_freezes,
        num_facts=len(facts),
        num_differing=None if replay is None else len(replay.differences),
        cpu_s=time.process_time() - began,
    )


class _Watching:
    """What the requests come to, by the truth that no study knows."""

    def __init__(self, change_at: float) -> None:
        self.change_at = change_at
        self.cost = self.untuned = self.broken_s = self.breach_s = 0.0
        self.ways: dict[str, list[float]] = {}
        self._breaching_s = 0.0

    def take(self, begin: float, end: float, runs: Mapping[str, Any], share: float, place: str) -> None:
        """The requests of some time, in which the groups run the same all the while."""
        if end <= begin or "control" not in runs:
            return
        rps, changed, length = load(begin), begin > self.change_at, end - begin
        (control, p99), base = truth(runs["control"], rps, changed), truth(BASELINE, rps, changed)[0]
        canary = truth(runs["canary"], rps, changed)[0] if share and "canary" in runs else control
        self.cost += length * ((1 - share) * control + share * canary)
        self.untuned += length * base
        self._breaching_s = self._breaching_s + length if p99 > LIMIT_MS else 0.0
        self.broken_s += length * (p99 > LIMIT_MS)
        self.breach_s = max(self.breach_s, self._breaching_s)
        if WAY_FROM_S < begin - START <= WAY_FROM_S + DAY_S and not changed:
            self.ways.setdefault(place, []).append((base - control) / (base - BEST_COST))


def static_best() -> float:
    """What the best single configuration costs over a day, as a share of never tuning."""
    times = START + np.linspace(0.0, DAY_S, 96, endpoint=False)
    loads = [load(at) for at in times]
    base = sum(truth(BASELINE, rps)[0] for rps in loads)
    costs = [sum(truth({"threads": n, "batch": 24.0, "cache_mb": 0.55}, r)[0] for r in loads) for n in range(4, 105)]
    return min(costs) / base


# ------------------------------------------------------------------------------------------------ figures


def live(quick: bool, most: int) -> list[Figure]:
    """What a live study is held to."""
    days, seeds = (8.0, 1) if quick else (14.0, most)
    runs = []
    for seed in range(seeds):
        runs.append(simulated(LIVE, seed, days, is_replayed=seed % REPLAYED == 0))
        print(
            f"live: seed {seed}, cost {runs[-1].cost:.3f}, {runs[-1].cpu_s:.1f} s of CPU", file=sys.stderr, flush=True
        )
    costs = [run.cost for run in runs]
    ways = [share for run in runs for share in run.way.values()]
    noticed = [math.inf if run.noticed is None else run.noticed for run in runs]
    differing = [run.num_differing for run in runs if run.num_differing is not None]
    alarms = 1_000 * sum(run.false_alarms for run in runs) / sum(run.windows for run in runs)
    size = {"seeds": seeds, "days": days}
    return [
        at_most(
            0.5, name="live: guard broken", what="time in which all traffic breaks the guard",
            measured=100 * float(np.mean([run.broken for run in runs])), unit="%",
            detail={**size, "worst seed": 100 * max(run.broken for run in runs)},
        ),
        at_most(
            60, name="live: longest breach", what="longest breach of the guard on all traffic",
            measured=max(run.breach_s for run in runs), unit="s",
        ),
        at_least(
            70, name="live: way", what="way to the optimum on day 4, a class of load (median)",
            measured=100 * _median(ways), unit="%", detail=_spread(ways) | {"by class": _by_class(runs)},
        ),
        at_least(
            100, name="live: ways that reach 70 %", what="classes of load, of all seeds, that went 70 % of the way",
            measured=100 * float(np.mean(np.array(ways) >= 0.7)) if ways else math.nan, unit="%",
        ),
        at_least(
            95, name="live: seeds that gain", what="seeds that cost less than never tuning",
            measured=100 * float(np.mean(np.array(costs) < 1)), unit="%", detail=size,
        ),
        at_most(
            1.01, name="live: worst cost", what="cost of the worst seed, never tuning = 1", measured=max(costs), unit="",
            detail=_spread(costs),
        ),
        at_most(
            10, name="live: noticed", what="windows until the change is noticed (nine of ten seeds)",
            measured=_ninth(noticed), unit="",
            detail={"median": _median(noticed), "never": sum(n == math.inf for n in noticed)},
        ),
        at_most(1, name="live: false alarms", what="false alarms in 1,000 windows", measured=alarms, unit=""),
        at_most(
            0, name="live: replay", what="decisions that a replay makes otherwise", measured=sum(differing), unit="",
            detail={"replayed": len(differing), "facts": [run.num_facts for run in runs[::REPLAYED]]},
        ),
        Figure(
            name="live: freezes", what="freezes in a study",
            measured=float(np.mean([run.num_freezes for run in runs])), unit="",
        ),
        Figure(
            name="live: time", what="CPU time of a study", measured=_median([run.cpu_s for run in runs]), unit="s",
            detail={"total_s": sum(run.cpu_s for run in runs)},
        ),
    ]  # fmt: skip


def others(quick: bool) -> list[Figure]:
    """What it is compared with, over fewer seeds."""
    days, seeds = (8.0, 1) if quick else (14.0, 5)
    figures = [
        Figure(
            name="static best: cost", what="cost of the best single configuration, known beforehand",
            measured=static_best(), unit="",
        )
    ]  # fmt: skip
    for name in (PLAIN, RANDOM):
        runs = [simulated(name, seed, days) for seed in range(seeds)]
        costs, ways = [run.cost for run in runs], [share for run in runs for share in run.way.values()]
        figures += [
            Figure(
                name=f"{name}: cost", what=f"cost with {name}, never tuning = 1", measured=_median(costs), unit="",
                detail=_spread(costs) | {"seeds": seeds, "days": days},
            ),
            Figure(
                name=f"{name}: way", what=f"way to the optimum on day 4 with {name}", measured=100 * _median(ways),
                unit="%", detail=_spread(ways),
            ),
            Figure(
                name=f"{name}: broken", what=f"time in which all traffic breaks the guard, with {name}",
                measured=100 * float(np.mean([run.broken for run in runs])), unit="%",
            ),
        ]  # fmt: skip
    return figures


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _ninth(values: Sequence[float]) -> float:
    """The value that nine of ten do not exceed; some may be infinite."""
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]


def _spread(values: Sequence[float]) -> dict[str, float]:
    if not len(values):
        return {}
    return {name: float(np.quantile(values, q)) for name, q in (("worst tenth", 0.1), ("median", 0.5), ("nine", 0.9))}


def _by_class(runs: Sequence[Outcome]) -> dict[str, list[float]]:
    """By class of load: the lowest tenth, the median, and how many seeds met it."""
    places = sorted({place for run in runs for place in run.way})
    found = {place: [run.way[place] for run in runs if place in run.way] for place in places}
    return {place: [float(np.quantile(v, 0.1)), float(np.median(v)), len(v)] for place, v in found.items()}


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--seeds", type=int, default=100, help="of the live studies; a release is held to 100")
    parser.add_argument("--only", nargs="+", choices=["live", "others"], default=["live", "others"])
    args = parser.parse_args()
    measures: dict[str, Measure] = {"live": partial(live, most=args.seeds), "others": others}
    conduct(args, {name: measures[name] for name in args.only})


if __name__ == "__main__":
    main()

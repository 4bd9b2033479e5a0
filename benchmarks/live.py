"""Tuning of a running system, in virtual time: a queue with three knobs, a daily load, noise, and a bad region.

python benchmarks/live.py                      3 seeds, 4 days each
python benchmarks/live.py --seeds 100 --days 14      what a release is held to; takes hours

The service handles requests with ``threads`` workers, in batches of ``batch``, with a cache of ``cache_mb``. Its cost a
request is that of the machine plus a penalty for waiting. The best number of threads grows with the load, so that the best
configuration of the night is not that of the day. Few threads under load double the p99: that is the bad region. Half way
the cost of memory may change (``--step-change``).

Compared are the sampler ``live`` with context; the same without (a plain Gaussian process); random steps in the same trust
region; and the best single configuration, which nobody knows beforehand. All of them are within the same rules (guards,
canary, budgets). Regret is compared with never tuning.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

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
RESULTS = Path(__file__).parent / "results" / "live.json"


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
        self._seed, self._num, self.change_at = seed, 0, change_at

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        self.runs[group] = dict(config)

    def split(self, share: float, seq: int) -> None:
        """Shares make no difference to this service."""

    def read(self, group: str) -> Mapping[str, Any]:
        return self.runs.get(group, {})

    def measure(self, group: str, start: float, end: float) -> tuple[dict[str, float], dict[str, float]]:
        self._num += 1
        noise = np.exp(NOISE * derive(self._seed, "service", self._num).standard_normal(2))
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


def samplers(step: float) -> dict[str, Any]:
    guards = [f"p99_ms <= {LIMIT_MS:g}", "p99_ms <= 1.2x"]
    common = {"name": "live", "guards": guards, "step": step, "history": 200}
    return {
        "live": registry.make("sampler", {**common, "context": ["rps"]}),
        "plain GP": registry.make("sampler", {**common, "context": []}),
        "random": RandomSteps(step=step),
    }


def simulated(name: str, seed: int, days: float, step: float, change_at: float) -> dict[str, Any]:
    """One study in virtual time, and what it came to."""
    sampler = samplers(step)[name]
    guards = [f"p99_ms <= {LIMIT_MS:g}", "p99_ms <= 1.2x"]
    settings = {"guards": guards, "context": [] if name == "plain GP" else ["rps"]}
    plan = LivePlan.of({**settings, "window_s": 60.0, "check_s": 30.0, "looks": [8, 16, 32], "shares": [0.05, 0.25]})
    spec = StudySpec(
        name=name, space=SPACE, goals=(Goal("cost"),), sampler=registry.describe("sampler", sampler), seed=seed,
        settings={"live": plan.to_json()},
    )  # fmt: skip
    storage, service = MemoryStorage(), Service(seed, change_at)
    journal = storage.journal(name, create=True, owner="benchmark")
    journal.append([StudyCreated(spec=spec.to_json(), at=START)], expect=0)
    alarms: list[str] = []
    controller = Controller(spec, plan, sampler, journal, service, alarms.append)
    controller.open(START)
    controller.obey(SetBaseline(config=BASELINE, by="benchmark", at=START))
    at, end, began = START, START + days * DAY_S, time.process_time()
    regret = untuned = 0.0
    broken = windows = num_frozen = 0
    by_class: dict[str, list[float]] = {}
    while at < end:
        at = max(at, controller.turn(at))
        fold = controller.fold
        if fold.frozen is not None:  # somebody looks at it within the hour
            num_frozen += 1
            at += 3_600.0
            controller.obey(Thaw(by="benchmark", at=at))
        rps, changed = load(at), at > change_at
        runs = {group: truth(service.runs[group], rps, changed) for group in service.runs}
        share = fold.share if fold.candidate is not None else 0.0
        here = (1 - share) * runs["control"][0] + share * runs.get("canary", runs["control"])[0]
        base, best = truth(BASELINE, rps, changed)[0], 10.0 + (3.0 if changed else 0.0)
        regret, untuned, windows = regret + here, untuned + base, windows + 1
        broken += runs["control"][1] > LIMIT_MS
        if at - START > min(3.0, days * 0.75) * DAY_S and not changed:
            by_class.setdefault(fold.place, []).append((base - runs["control"][0]) / (base - best))
    facts = list(storage.read(name))
    drifts = [f.at for f in facts if isinstance(f, Drifted)]
    after = [d for d in drifts if d > change_at]
    replay = replayed(facts, spec, plan, samplers(step)[name])
    return {
        "cost of never tuning": regret / untuned,
        "way to the optimum": {place: float(np.mean(shares)) for place, shares in sorted(by_class.items())},
        "guard broken": broken / windows,
        "false alarms per 1,000 windows": 1_000.0
        * sum(d <= change_at for d in drifts)
        / ((min(end, change_at) - START) / plan.window_s),
        "windows until the change was noticed": None if not after else (after[0] - change_at) / plan.window_s,
        "freezes": num_frozen,
        "replay differs": len(replay.differences),
        "facts": len(facts),
        "cpu_s": time.process_time() - began,
    }


def static_best() -> dict[str, float]:
    """The best single configuration over a day, against never tuning."""
    times = START + np.linspace(0.0, DAY_S, 96, endpoint=False)
    loads = [load(at) for at in times]
    base = sum(truth(BASELINE, rps)[0] for rps in loads)
    threads = min(
        range(4, 105), key=lambda n: sum(truth({"threads": n, "batch": 24.0, "cache_mb": 0.55}, r)[0] for r in loads)
    )
    found = sum(truth({"threads": threads, "batch": 24.0, "cache_mb": 0.55}, rps)[0] for rps in loads)
    return {"cost of never tuning": found / base}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--days", type=float, default=4.0)
    parser.add_argument("--step", type=float, default=0.1, help="of the trust region")
    parser.add_argument("--step-change", action="store_true", help="half way the cost of memory changes")
    parser.add_argument("--only", nargs="*", default=["live", "plain GP", "random"])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    change_at = START + options.days * DAY_S / 2 if options.step_change else math.inf
    results: dict[str, Any] = {
        "seeds": options.seeds,
        "days": options.days,
        "step": options.step,
        "static best": static_best(),
    }
    results["step change"] = options.step_change
    for name in options.only:
        runs = []
        for seed in range(options.seeds):
            runs.append(simulated(name, seed, options.days, options.step, change_at))
            print(name, seed, json.dumps(runs[-1]), flush=True)
        results[name] = runs
    options.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

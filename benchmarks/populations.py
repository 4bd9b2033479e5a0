"""Population-based training: on the toy problem of the paper, with a drifting optimum, and beside early stopping.

    python benchmarks/populations.py            # about ten minutes
    python benchmarks/populations.py --quick    # tiny sizes: does it run?

Everything runs on a virtual clock, with objectives that save checkpoints. All compared methods make the same number of
steps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import Figure, at_least, run

import raytune_hpo as hpo

STARTS = [{"h0": 1.0, "h1": 0.0}, {"h0": 0.0, "h1": 1.0}]  # Jaderberg et al. 2017, figure 2
TOY = {"h0": hpo.uniform(0.0, 1.0), "h1": hpo.uniform(0.0, 1.0)}
DRIFT = {"lr": hpo.loguniform(1e-5, 1.0), "momentum": hpo.uniform(0.0, 1.0), "weight": hpo.uniform(0.0, 1.0)}
STATIC = {name: hpo.uniform(0.0, 1.0) for name in "abcd"}
DRIFT_STEPS, STATIC_STEPS = 100, 81


# ------------------------------------------------------------------------------------------------ objectives


def steps_from(begin: Any) -> tuple[Any, int]:
    """The state that the trial goes on from, and its step; or the one that training begins with."""
    saved = hpo.checkpoint()
    return (begin, 0) if saved is None else (json.loads((saved.path / "state").read_text()), saved.step)


def report(step: int, state: Any, **metrics: float) -> None:
    """One report, with the state after it as a checkpoint. A step costs a virtual second."""
    text = json.dumps(state)
    hpo.report(**metrics, step=step, cost_s=float(step), save=lambda folder: Path(folder, "state").write_text(text))


def toy(config: Mapping[str, float], num_steps: int = 1_000_000) -> None:
    """Q = 1.2 - w0^2 - w1^2 is maximised, but training follows the gradient of 1.2 - h0 w0^2 - h1 w1^2, from (0.9, 0.9)."""
    (w0, w1), done = steps_from([0.9, 0.9])
    for step in range(done + 1, num_steps + 1):
        w0, w1 = w0 * (1 - 0.02 * config["h0"]), w1 * (1 - 0.02 * config["h1"])
        report(step, [w0, w1], q=1.2 - w0 * w0 - w1 * w1)


def drift(config: Mapping[str, float]) -> None:
    """Each step adds up to a hundredth: the nearer the settings are to where they are best now, the more."""
    gained, done = steps_from(0.0)
    for step in range(done + 1, DRIFT_STEPS + 1):
        now = step / DRIFT_STEPS
        away = (math.log10(config["lr"]) + 1 + 3 * now) ** 2
        away += ((config["momentum"] - 0.2 - 0.6 * now) / 0.3) ** 2 + ((config["weight"] - 0.5) / 0.4) ** 2
        gained += math.exp(-away / 2) / DRIFT_STEPS
        report(step, gained, gained=gained)


def static(config: Mapping[str, float]) -> None:
    """A loss that falls towards what the settings allow, which is the same at all times."""
    loss, done = steps_from(1.0)
    limit = sum((value - 0.7) ** 2 for value in config.values())
    for step in range(done + 1, STATIC_STEPS + 1):
        loss += 0.05 * (limit - loss)
        report(step, loss, loss=loss)


def reached(objective: Callable[..., None], space: Any, metric: str, mode: str, **settings: Any) -> float:
    """The best value, of those that came furthest."""
    results = hpo.simulate(objective, space, metric=metric, mode=mode, **settings)
    best = results.best_so_far
    assert best is not None
    return float(best.metrics[metric])


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


# ------------------------------------------------------------------------------------------------ measures


def measure_toy(quick: bool) -> list[Figure]:
    """A pair from (1, 0) and (0, 1): alone each wears down one weight of two, and ends at 1.2 - 0.81."""
    seeds = range(2 if quick else 10)
    shared = {"points_to_evaluate": STARTS, "num_workers": 2}
    pbt = {"name": "pbt", "population": 2, "interval": 4, "max_steps": 200}
    values = [reached(toy, TOY, "q", "max", sampler=pbt, seed=seed, **shared) for seed in seeds]
    alone = hpo.simulate(lambda c: toy(c, 200), TOY, metric="q", mode="max", sampler="random", num_trials=2, **shared)
    detail = {"values": values}
    return [
        Figure(name="toy, alone", what="toy: a pair that never copies", measured=alone.best_value, unit=""),
        at_least(1.18, name="toy, pbt", what="toy: pbt, its worst seed", measured=min(values), unit="", detail=detail),
    ]


def measure_drift(quick: bool) -> list[Figure]:
    """Four members and an optimum that drifts: the model against random changes."""
    seeds = range(2 if quick else 10)
    figures, values = [], {}
    for interval in (5,) if quick else (2, 5):
        for name in ("pbt", "pb2"):
            sampler = {"name": name, "population": 4, "interval": interval, "max_steps": DRIFT_STEPS}
            values[name] = [
                reached(drift, DRIFT, "gained", "max", sampler=sampler, seed=seed, num_workers=4) for seed in seeds
            ]
            what = f"drift: {name}, interval {interval}, mean"
            figures.append(
                Figure(name=what, what=what, measured=mean(values[name]), unit="", detail={"values": values[name]})
            )
        wins = sum(b > a for a, b in zip(values["pbt"], values["pb2"], strict=True))
        what = f"drift: seeds of {len(seeds)} in which pb2 is ahead, interval {interval}"
        figures.append(at_least(0.8 * len(seeds), name=what, what=what, measured=wins, unit="seeds"))
    return [*figures, *_beside(drift, DRIFT, "gained", "max", DRIFT_STEPS, 4, seeds)]


def measure_static(quick: bool) -> list[Figure]:
    """Settings that need not change: what a population gains over early stopping, and what its interval does."""
    seeds, population = range(1 if quick else 10), 4 if quick else 20
    figures = []
    for interval in (9,) if quick else (1, 3, 9, 27):
        sampler = {"name": "pbt", "population": population, "interval": interval, "max_steps": STATIC_STEPS}
        values = [reached(static, STATIC, "loss", "min", sampler=sampler, seed=seed, num_workers=4) for seed in seeds]
        what = f"static: pbt, interval {interval}, mean"
        figures.append(Figure(name=what, what=what, measured=mean(values), unit="", detail={"values": values}))
    return [*figures, *_beside(static, STATIC, "loss", "min", STATIC_STEPS, population, seeds)]


def _beside(
    objective: Callable[..., None], space: Any, metric: str, mode: str, max_steps: int, population: int, seeds: range
) -> list[Figure]:
    """ASHA with as many steps, over random trials and over a model's; and full training of random ones."""
    asha = {"name": "asha", "max_steps": max_steps, "promote": True}
    figures = []
    for words, parts in {
        "random": {"sampler": "random"},
        "asha": {"sampler": "random", "scheduler": asha},
        "tpe and asha": {"sampler": "tpe", "scheduler": asha},
    }.items():
        values = [
            reached(objective, space, metric, mode, num_steps=population * max_steps, seed=seed, num_workers=4, **parts)
            for seed in seeds
        ]
        what = f"{objective.__name__}: {words}, as many steps as {population} members, mean"
        figures.append(Figure(name=what, what=what, measured=mean(values), unit="", detail={"values": values}))
    return figures


if __name__ == "__main__":
    run(__doc__, {"toy": measure_toy, "drift": measure_drift, "static": measure_static})

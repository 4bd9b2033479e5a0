"""Racing on noisy inputs: how many evaluations does it need to find what the full factorial design finds?

    python benchmarks/race.py            # minutes on one core
    python benchmarks/race.py --quick    # tiny sizes: does it run?

There are 64 configurations and 20 inputs. The difficulty of an input shifts all configurations alike, by much more than
they differ. The remaining noise is 0.3 of the spread, the difference between the best and the worst configuration. The
full factorial evaluates all configurations on all inputs, and picks the one with the lowest mean. ``race`` picks the
one with the lowest mean among its completed trials. A race is good if the true loss of its pick is at most 0.1 spreads
above that of the full factorial's pick, and it took at most half of the evaluations.

The same is measured for configurations with normal losses, whose standard deviation is the spread; and without pairing,
with different inputs for every configuration. Writes results/race.json.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import one_core  # noqa: F401
from common import Figure, at_least, at_most, run

# isort: split
import numpy as np

import raytune_hpo as hpo

NUM_CONFIGS, NUM_INPUTS, NUM_WORKERS = 64, 20, 4
NOISE, DIFFICULTY = 0.3, 2.0  # in spreads
GOOD, MOST = 0.1, 0.5


class Outcome(NamedTuple):
    """Of one seed: how much worse the race's pick is than the full factorial's, and its share of the evaluations."""

    worse: float
    evaluations: float


def uniform(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(size=NUM_CONFIGS)


def normal(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal(NUM_CONFIGS)


def compare(seed: int, draw: Callable[[np.random.Generator], np.ndarray], *, paired: bool = True) -> Outcome:
    """Race once, and compare with the full factorial on the same values."""
    rng = np.random.default_rng(seed)
    truth = draw(rng)
    difficulty = DIFFICULTY * rng.standard_normal((1 if paired else NUM_CONFIGS, NUM_INPUTS))
    losses = truth[:, None] + difficulty + NOISE * rng.standard_normal((NUM_CONFIGS, NUM_INPUTS))
    num_evaluations = 0

    def objective(config: dict[str, Any]) -> dict[str, float]:
        nonlocal num_evaluations
        saved, of_config = hpo.checkpoint(), losses[config["index"]]
        for step in range(1 if saved is None else saved.step + 1, NUM_INPUTS + 1):
            num_evaluations += 1
            mean = float(of_config[:step].mean())
            hpo.report(loss=mean, step=step, cost_s=float(step), save=lambda folder: None)
        return {"loss": mean, "cost_s": float(NUM_INPUTS)}

    results = hpo.simulate(
        objective,
        {"index": hpo.grid_search(list(range(NUM_CONFIGS)))},
        sampler="grid",
        num_trials=NUM_CONFIGS,
        num_workers=NUM_WORKERS,
        scheduler={"name": "race", "max_steps": NUM_INPUTS},
        seed=seed,
    )
    picked, full = results.best_config["index"], int(losses.mean(axis=1).argmin())
    return Outcome(float(truth[picked] - truth[full]), num_evaluations / losses.size)


def measure(
    quick: bool, *, label: str, draw: Callable[[np.random.Generator], np.ndarray], paired: bool
) -> list[Figure]:
    num_seeds = 2 if quick else 100
    found = [compare(seed, draw, paired=paired) for seed in range(num_seeds)]
    worse, evaluations = np.array([o.worse for o in found]), np.array([o.evaluations for o in found])
    detail = {
        "seeds": num_seeds,
        "worse": {
            "median": float(np.median(worse)),
            "95 %": float(np.quantile(worse, 0.95)),
            "most": float(worse.max()),
        },
        "evaluations": {"least": float(evaluations.min()), "most": float(evaluations.max())},
    }
    good = {"name": f"{label}: good", "what": f"{label}: races that are good", "unit": "%"}
    share = {
        "name": f"{label}: evaluations",
        "what": f"{label}: evaluations of those of the full factorial, mean",
        "unit": "%",
    }
    num_good = 100 * float(((worse <= GOOD) & (evaluations <= MOST)).mean())
    mean = 100 * float(evaluations.mean())
    if not paired:
        return [Figure(measured=num_good, detail=detail, **good), Figure(measured=mean, **share)]
    return [
        at_least(95, measured=num_good, detail=detail, **good),
        at_most(100 * MOST, measured=mean, **share),
    ]


MEASURES = {
    "uniform": partial(measure, label="even losses", draw=uniform, paired=True),
    "normal": partial(measure, label="normal losses", draw=normal, paired=True),
    "unpaired": partial(measure, label="even losses, every configuration on other inputs", draw=uniform, paired=False),
}

if __name__ == "__main__":
    run(__doc__, MEASURES)

"""Half of a study, or the whole: what a user runs against a head node that may die under it.

python head_driver.py NAME STORAGE NUM_TRIALS
"""

from __future__ import annotations

import sys
import time

import raytune_hpo as hpo


def slow(config: dict[str, float]) -> float:
    time.sleep(0.4)
    return config["x"]


def main(name: str, storage: str, num_trials: str) -> None:
    settings = {"sampler": "tpe", "seed": 7, "max_concurrent": 1, "progress": False}
    results = hpo.tune(
        slow, {"x": hpo.uniform(0.0, 1.0)}, num_trials=int(num_trials), name=name, storage=storage, **settings
    )
    print(len(results), [trial.config["x"] for trial in results], sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A folder of tasks whose module ``fidelity.py`` plays twelve other tasks with learning curves.

    python benchmarks/further_curves.py FOLDER                          # a minute
    python FOLDER/fidelity.py record st_asha lcbench_167161 0 4 16      # a run of a peer, in an environment of its own
    python benchmarks/fidelity.py --tasks FOLDER --workers 4 --out benchmarks/results/fidelity_further.json

The twelve come from the folder of tasks that ``fidelity.py`` beside this script uses (--tasks): all other trainings with
recorded curves, all other surrogates of LCBench, and four surrogates that learn from growing shares of the data. The
new folder links to that one, and has an index and recorded runs of its own. A time of 1 is the mean over 200 random
configurations.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import one_core  # noqa: F401  # isort: skip  (before numpy)

import numpy as np
from tasks import shared

from raytune_hpo.experiments import bench

BY_EPOCH = (
    *(f"lcbench_{number}" for number in (167161, 146212, 167185, 167152, 167201)),
    *(f"deepobs_{problem}" for problem in ("mnist_vae", "tolstoi_char_rnn", "quadratic_deep")),
)
BY_SHARE = ("xgb_23", "xgb_1063", "rpart_40996", "svm_1494")
_LINKED = ("tasks.py", "index.json", "data", "fidelity.py", "peers")
_SHARES = 27  # of the data
_NUM_DRAWN = 200


def entry(tasks: ModuleType, name: str, rng: np.random.Generator) -> dict[str, Any]:
    """What the index says of a task: how many levels a training has, and the mean time of a full one in the task's units."""
    task = tasks.load(name)
    drawn = [task.sample(rng) for _ in range(_NUM_DRAWN)]
    if name in BY_SHARE:
        times = [task.objective(config)["time"] for config in drawn]
    elif "surrogate" in task.tags:
        times = [task.objective(config, fidelity=task.fidelity[1])["time"] for config in drawn]
    else:
        times = [max(task.curve_time(config)) for config in drawn]
    by_share = {"trainsize": True} if name in BY_SHARE else {}
    levels = _SHARES if by_share else int(task.fidelity[1])
    return {"task": name, "levels": levels, **by_share, "unit": round(float(np.mean(times)), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tasks", type=Path, metavar="FOLDER", help="the folder to link to")
    args = parser.parse_args()
    source = shared.find(args.tasks)
    if source is None or not (source / "fidelity.py").exists():
        sys.exit("there is no folder of tasks with learning curves; say where with --tasks")
    (args.folder / "peers_fidelity").mkdir(parents=True)
    for name in _LINKED:
        (args.folder / name).symlink_to(source / name)
    tasks, rng = bench.load_module(source), np.random.default_rng(1)
    index = {}
    for name in (*BY_EPOCH, *BY_SHARE):
        index[f"{name}_trainsize" if name in BY_SHARE else name] = entry(tasks, name, rng)
    (args.folder / "fidelity.json").write_text(json.dumps(index, indent=1))


if __name__ == "__main__":
    main()

"""A million trials on ten thousand virtual workers: how time and memory grow with the number of trials.

    python benchmarks/simulated.py            # about two minutes
    python benchmarks/simulated.py --quick    # tiny sizes: does it run?

Each size runs in its own process; the peak memory of that process is printed.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from common import HERE, Figure, at_most, run

import raytune_hpo as hpo


def simulate(num_trials: int, num_workers: int) -> None:
    """Run one study, and print its seconds and the process's peak of memory."""

    def objective(config: dict) -> dict[str, float]:
        return {"loss": config["x"], "cost_s": 1.0 + config["x"]}

    begin = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    results = hpo.simulate(
        objective, {"x": hpo.uniform(0.0, 1.0)}, sampler="random", num_trials=num_trials, num_workers=num_workers
    )
    took_s = time.perf_counter() - begin
    assert results.num_by_status["completed"] == num_trials
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(took_s, 1024 * (peak - before))


def in_a_process(num_trials: int, num_workers: int) -> tuple[float, float]:
    code = f"import simulated; simulated.simulate({num_trials}, {num_workers})"
    done = subprocess.run([sys.executable, "-c", code], cwd=HERE, check=True, stdout=subprocess.PIPE, text=True)
    took_s, peak = done.stdout.split()
    return float(took_s), float(peak)


def measure_simulated(quick: bool) -> list[Figure]:
    largest, num_workers = (2_000, 100) if quick else (1_000_000, 10_000)
    figures = []
    for num_trials in (largest // 10, largest):
        took_s, peak = in_a_process(num_trials, num_workers)
        words = {"name": f"simulated_{num_trials}", "what": f"{num_trials:,} trials, {num_workers:,} virtual workers"}
        figures.append(at_most(120 * num_trials / largest, **words, measured=took_s, unit="s"))
        words = {"name": f"simulated_memory_{num_trials}", "what": "the same: memory per trial"}
        figures.append(Figure(**words, measured=peak / num_trials, unit="bytes", detail={"peak_mb": peak / 1e6}))
    return figures


if __name__ == "__main__":
    run(__doc__, {"simulated": measure_simulated})

"""Syne Tune's schedulers in its own simulator, on the tasks of ``curves``. Needs its own environment.

    pip install syne-tune onnxruntime huggingface_hub      # or syne-tune[extra], which brings a lot more
    PYTHON syne_tune_runs.py FOLDER TASK SCHEDULER NUM_WORKERS HORIZON SEED

Prints, as JSON, when each trial that ran to its last step ended, and with which loss.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from curves import Curves
from syne_tune import StoppingCriterion, Tuner, config_space
from syne_tune.backend.simulator_backend.simulator_backend import SimulatorConfig
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
from syne_tune.optimizer.baselines import ASHA, BOHB
from syne_tune.tuner_callback import TunerCallback

SCHEDULERS = {"asha": ASHA, "bohb": BOHB}
FULL_RUN_S = 20_000.0  # seconds that a mean full run is long: its simulator adds its own thinking in real seconds
SLEEP_S = 20.0  # between two looks at the results: a hundred and more within a mean full run's epochs
NO_DELAYS = SimulatorConfig(0.0, 0.0, 0.0, 0.0, 0.0)


class CurvesBlackbox(Blackbox):
    """Serves curves as a blackbox of its repository."""

    def __init__(self, curves: Curves) -> None:
        self._curves = curves
        space = {parameter["name"]: domain(parameter) for parameter in curves.parameters}
        fidelities = {"step": config_space.randint(1, curves.num_steps)}
        super().__init__(space, fidelity_space=fidelities, objectives_names=["loss", "elapsed"])

    @property
    def fidelity_values(self) -> np.ndarray:
        return np.arange(1, self._curves.num_steps + 1)

    def _objective_function(
        self, configuration: dict[str, Any], fidelity: dict[str, Any] | None = None, seed: int | None = None
    ) -> np.ndarray:
        losses, ends = self._curves.of(
            {p["name"]: within(p, configuration[p["name"]]) for p in self._curves.parameters}
        )
        return np.column_stack([losses, np.multiply(ends, FULL_RUN_S)])


class Ends(TunerCallback):
    """Notes the trials that come to their last step."""

    def __init__(self, num_steps: int) -> None:
        self._num_steps = num_steps
        self.found: list[tuple[float, float]] = []

    def on_trial_result(self, trial: Any, status: str, result: dict[str, Any], decision: str) -> None:
        if result["step"] == self._num_steps:
            self.found.append((result["st_tuner_time"] / FULL_RUN_S, float(result["loss"])))


def domain(parameter: Mapping[str, Any]) -> Any:
    if parameter["type"] == "categorical":
        choices = list(parameter["choices"])
        # "equal": each as likely as the others, as everywhere else; by default it prefers the larger ones of a grid.
        return config_space.ordinal(choices, kind="equal") if parameter.get("ordered") else config_space.choice(choices)
    whole, log = parameter["type"] == "int", bool(parameter.get("log"))
    kinds = {
        (True, True): config_space.lograndint,
        (True, False): config_space.randint,
        (False, True): config_space.loguniform,
        (False, False): config_space.uniform,
    }
    return kinds[whole, log](parameter["low"], parameter["high"])


def within(parameter: Mapping[str, Any], value: Any) -> Any:
    """The value in its range, which the density estimate of BOHB leaves for whole numbers."""
    if parameter["type"] == "categorical":
        return value
    return min(max(value, parameter["low"]), parameter["high"])


def play(curves: Curves, scheduler: str, num_workers: int, horizon: float, seed: int) -> list[tuple[float, float]]:
    """One run; its trials that ran to their last step."""
    np.random.seed(seed)  # part of it draws from there
    blackbox, ends = CurvesBlackbox(curves), Ends(curves.num_steps)
    settings = {"metric": "loss", "time_attr": "step", "max_t": curves.num_steps, "random_seed": seed}
    Tuner(
        trial_backend=UserBlackboxBackend(
            blackbox, elapsed_time_attr="elapsed", simulator_config=NO_DELAYS, tuner_sleep_time=SLEEP_S
        ),
        scheduler=SCHEDULERS[scheduler](blackbox.configuration_space, do_minimize=True, **settings),
        stop_criterion=StoppingCriterion(max_wallclock_time=horizon * FULL_RUN_S),
        n_workers=num_workers,
        sleep_time=0,
        callbacks=[SimulatorCallback(), ends],
        save_tuner=False,
        suffix_tuner_name=True,
    ).run()
    return [end for end in ends.found if end[0] <= horizon]


def main() -> None:
    folder, task, scheduler, num_workers, horizon, seed = sys.argv[1:]
    logging.disable(logging.CRITICAL)
    curves = Curves(Path(folder), task)
    with tempfile.TemporaryDirectory() as home, contextlib.redirect_stdout(sys.stderr):
        os.environ["SYNETUNE_FOLDER"] = home
        ends = play(curves, scheduler, int(num_workers), float(horizon), int(seed))
    print(json.dumps(ends))


if __name__ == "__main__":
    main()

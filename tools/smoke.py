"""What a fresh installation must be able to do: a study here, a study on Ray, and every command that reads them.

    python tools/smoke.py             # with the Python of that installation

It uses what ``pip install raytune_hpo`` brings and nothing else, in a folder of its own.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
SPACE_OF_BRANCHES = {"svm": ("C", 1e-3, 1e3), "mlp": ("rate", 1e-4, 1.0)}


def objective(config):
    import raytune_hpo as hpo

    loss = config["x"] ** 2 + len(config["model"]["kind"])
    for step in range(1, 10):
        hpo.report(loss=loss + 1 / step, step=step)
    return {"loss": loss}


def space():
    import raytune_hpo as hpo

    kinds = [{"kind": kind, name: hpo.loguniform(low, high)} for kind, (name, low, high) in SPACE_OF_BRANCHES.items()]
    return {"x": hpo.uniform(-1, 1), "model": hpo.choice(kinds)}


def it_is_the_installed_one():
    import raytune_hpo as hpo

    assert not Path(hpo.__file__).is_relative_to(CHECKOUT / "raytune_hpo"), f"{hpo.__file__} is the checkout"
    assert importlib.metadata.version("raytune_hpo") == hpo.__version__


def a_study_learns_stops_early_and_goes_on():
    import raytune_hpo as hpo

    settings = {"metric": "loss", "mode": "min", "name": "here", "scheduler": "asha", "seed": 0, "progress": False}
    for num_trials in (12, 20):
        results = hpo.tune(objective, space(), num_trials=num_trials, runtime="local", max_concurrent=1, **settings)
    assert len(results) == 20
    assert results.num_by_status["pruned"] > 0
    assert len(results.to_dataframe()) == 20
    assert hpo.load("here").best_value == results.best_value < 3.3


def every_sampler_suggests():
    import raytune_hpo as hpo

    for sampler in ("random", "sobol", "tpe", "gp", "rf", "cmaes", "de", "hyperopt"):
        study = hpo.Study({"x": hpo.uniform(-1, 1)}, metric="loss", sampler=sampler, storage="memory", seed=0)
        for _ in range(12):
            trial = study.ask()
            study.tell(trial, trial.config["x"] ** 2)
        assert study.results().best_value < 0.5, sampler


def scikit_learn_is_searched():
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    import raytune_hpo as hpo

    X, y = load_iris(return_X_y=True)
    model, rates = LogisticRegression(max_iter=500), {"C": hpo.loguniform(1e-3, 1e3)}
    search = hpo.sklearn.TunedSearchCV(model, rates, n_iter=4, cv=3, runtime="local", random_state=0)
    assert search.fit(X, y).best_score_ > 0.9


def commands_read_what_was_stored():
    command = [sys.executable, "-m", "raytune_hpo.cli"]
    assert "here" in subprocess.check_output([*command, "show", "here"], text=True)
    subprocess.check_call([*command, "export", "here", "here.csv"], stdout=subprocess.DEVNULL)
    assert len(Path("here.csv").read_text(encoding="utf-8").splitlines()) == 21


def labs_are_handed_out():
    subprocess.check_call([sys.executable, "-m", "raytune_hpo.cli", "labs", "workshop"], stdout=subprocess.DEVNULL)
    assert (Path("workshop") / "notebooks" / "solutions" / "train_longer.ipynb").is_file()


def a_study_runs_on_ray():
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")  # on a busy machine 30 are too few

    import ray

    import raytune_hpo as hpo

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    try:
        settings = {"metric": "loss", "mode": "min", "name": "on-ray", "scheduler": "asha", "progress": False}
        assert len(hpo.tune(objective, space(), num_trials=8, **settings)) == 8
    finally:
        ray.shutdown()


HERE = (
    it_is_the_installed_one,
    a_study_learns_stops_early_and_goes_on,
    every_sampler_suggests,
    scikit_learn_is_searched,
    commands_read_what_was_stored,
    labs_are_handed_out,
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-ray", action="store_true", help="start no Ray")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["RAYTUNE_HPO_STORAGE"] = f"sqlite:///{folder}/studies.db"
        for check in HERE if args.no_ray else (*HERE, a_study_runs_on_ray):
            check()
            print(f"ok  {check.__name__.replace('_', ' ')}", flush=True)
        os.chdir(CHECKOUT)


if __name__ == "__main__":
    main()

"""Notebooks on Ray: on a cluster that they start themselves, and over Ray Client on one that they do not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faces.notebooks import CARD_IS_DONE, Executed, assert_one_card_updated_in_place

pytestmark = [pytest.mark.ray, pytest.mark.slow]

STUDY = """
import time
import ray
import raytune_hpo as hpo

def objective(config):
    for step in range(1, 4):
        hpo.report(loss=config["x"] + 1 / step, step=step)
        time.sleep(0.1)
    return config["x"]

settings = dict(sampler="random", storage="memory", max_concurrent=2)
tuner = hpo.Tuner(objective, {"x": hpo.uniform(0, 1)}, num_trials=12, name="on-ray", **settings)
"""


def test_fit_on_a_cluster_that_the_notebook_starts(tmp_path: Path) -> None:
    own = "_ = ray.init('local', num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)"
    executed = Executed([STUDY, own, "results = tuner.fit()", "results"], tmp_path)
    assert_one_card_updated_in_place(executed, cell=2)
    assert "12/12" in executed.html(2) and "ended by num_trials" in executed.html(2)
    assert "12 trials (12 completed)" in executed.html(3)


def test_a_notebook_outside_the_cluster_gets_the_same_cards(head: dict[str, str], tmp_path: Path) -> None:
    cells = [
        STUDY,
        "hpo.connect()",
        "results = tuner.fit()",
        "endless = hpo.Tuner(objective, {'x': hpo.uniform(0, 1)}, num_trials=10_000, name='endless', **settings)",
        "run = endless.start()",
        "run",
        f"ray.shutdown()\n{CARD_IS_DONE}",
        "hpo.connect()\nrun = hpo.attach('endless')",
        "run",
        f"run.stop()\n_ = run.wait(60)\n{CARD_IS_DONE}",
    ]
    executed = Executed(cells, tmp_path, os.environ | head)
    shown = {message.cell: message.display_id for message in executed.displays if message.kind == "display_data"}
    assert sorted(shown) == [2, 5, 8] and len(set(shown.values())) == 3
    assert "12/12" in executed.html(2) and "ended by num_trials" in executed.html(2)
    assert "running" in executed.html(5) and "this process has left the cluster" in executed.html(5)
    assert "ended by stopped by the user" in executed.html(8)
    for cell in (6, 9):
        assert any(message.cell == cell and message.kind == "update_display_data" for message in executed.displays)
    assert "Traceback" not in executed.texts()

"""Notebooks, executed by a real kernel: one card that is updated in place, and a last state that is saved."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.faces.notebooks import CARD_IS_DONE, ROOT, Executed, assert_one_card_updated_in_place

STUDY = """
import time
import raytune_hpo as hpo

def objective(config):
    for step in range(1, 4):
        hpo.report(loss=config["x"] ** 2 + 1 / step, step=step)
        time.sleep(PAUSE_S)
    return config["x"] ** 2

tuner = hpo.Tuner(objective, {"x": hpo.uniform(-1, 1), "kind": hpo.choice(["<b>", "svm"])}, num_trials=NUM_TRIALS,
                  sampler="random", runtime="local", storage="memory", max_concurrent=2, seed=1, name="quick <study>")
"""


def study(num_trials, pause_s):
    return STUDY.replace("NUM_TRIALS", str(num_trials)).replace("PAUSE_S", str(pause_s))


def test_fit_shows_one_card_which_is_updated_and_then_the_results(tmp_path):
    executed = Executed([study(20, 0.05), "results = tuner.fit()", "results"], tmp_path)
    assert_one_card_updated_in_place(executed, cell=1)
    card = executed.html(1)
    assert "20/20" in card and "ended by num_trials" in card and "quick &lt;study&gt;" in card
    assert card.count("<svg") == 1 and "<table" not in card
    assert executed.outputs(1)[0]["data"]["text/plain"].startswith("quick <study>: 20/20 trials, best loss=")
    shown = executed.html(2)
    assert "20 trials (20 completed)" in shown and shown.count("<svg") == 1 and shown.count("<table") == 1
    assert executed.texts() == ""


def test_a_started_run_leaves_the_notebook_free_and_its_card_goes_on(tmp_path):
    cells = [
        study(20, 0.1),
        "run = tuner.start()",
        "run",
        "print('free', run.status().is_running)",
        "run",  # the same card once more: both go on
        f"_ = run.wait()\n{CARD_IS_DONE}",
        "len(run.results())",
    ]
    executed = Executed(cells, tmp_path)
    kinds = [(message.kind, message.cell) for message in executed.displays if message.kind == "display_data"]
    assert kinds == [("display_data", 2), ("display_data", 4)]
    assert len({message.display_id for message in executed.displays}) == 1
    assert [m.cell for m in executed.displays if m.kind == "update_display_data" and m.cell in (3, 5)]
    for cell in (2, 4):
        assert "20/20" in executed.html(cell) and "ended by num_trials" in executed.html(cell)
    assert executed.texts() == "free True\n"
    assert executed.outputs(1) == [] and executed.outputs(5) == []
    assert executed.outputs(6)[0]["data"]["text/plain"] == "20"


def test_a_run_that_has_ended_is_shown_as_it_is(tmp_path):
    executed = Executed([study(2, 0.0), "run = tuner.start()\n_ = run.wait()", "run", "time.sleep(1.0)"], tmp_path)
    assert [(message.kind, message.cell) for message in executed.displays] == [("display_data", 2)]
    assert "2/2" in executed.html(2)


def test_a_run_that_is_closed_keeps_its_last_card_and_a_kernel_that_ends_says_nothing(tmp_path):
    cells = [
        study(10_000, 0.05),
        "closed = tuner.start()",
        "closed",
        "time.sleep(0.5)\nclosed.close()\ntime.sleep(0.5)",
        "run = tuner.start()",
        "run",
        "time.sleep(0.5)",
    ]
    executed = Executed(cells, tmp_path)
    assert "running" in executed.html(2) and "running" in executed.html(5)
    assert executed.texts() == ""
    assert "Traceback" not in executed.stderr and "Exception in thread" not in executed.stderr


def test_a_card_that_loses_its_study_says_so_on_itself(tmp_path):
    cells = [
        study(10_000, 0.05),
        "from raytune_hpo.errors import ClusterError\nrun = tuner.start()",
        "run",
        "def gone():\n    raise ClusterError('the head is <gone>')\n\nrun._live._look = gone",
        CARD_IS_DONE,
    ]
    executed = Executed(cells, tmp_path)
    assert "the head is &lt;gone&gt;" in executed.html(2)
    assert executed.outputs(3) == [] and executed.outputs(4) == [] and executed.texts() == ""


def test_plain_ipython_keeps_the_line(tmp_path):
    script = study(5, 0.05) + "\nresults = tuner.fit()\nrun = tuner.start()\nrun.wait()\nrun\nprint(results.name)\n"
    command = [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(
        command,
        input=f"%cpaste -q\n{script}\n--\nrun\n",
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )
    assert "quick <study>: 5/5 trials, best loss=" in done.stderr
    assert "<Run 'quick <study>': 5 of 5 trials finished, stopped: num_trials>" in done.stdout
    assert "<div" not in done.stdout + done.stderr

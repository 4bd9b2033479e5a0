"""Ctrl-C during fit: partial results at once, without waiting for trials, and the study goes on later."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

NUM_WORKERS = 2
SCRIPT = """
    import time
    import raytune_hpo as hpo

    def objective(config):
        if config["x"] > 0.2:
            time.sleep(0.02)
        if config["x"] > 0.9:
            with open({begun!r}, "a") as file:
                file.write(".")
            time.sleep(600)
        return config["x"]

    if __name__ == "__main__":
        results = hpo.tune(objective, {{"x": hpo.uniform(0, 1)}}, sampler="random", num_trials=10_000, seed=1, name="s",
                           storage="sqlite:///{folder}/s.db", runtime="local", max_concurrent={num_workers}, progress=False)
        print("done", len(results), results.num_by_status, flush=True)
"""


def run_and_interrupt(folder):
    script, begun = folder / "script.py", folder / "begun"
    begun.unlink(missing_ok=True)
    script.write_text(textwrap.dedent(SCRIPT).format(folder=folder, begun=str(begun), num_workers=NUM_WORKERS))
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not begun.exists() or len(begun.read_text()) < NUM_WORKERS:  # until all workers are stuck
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)  # far less than a trial takes
    return out, err, process.returncode


def test_ctrl_c_returns_what_there_is_and_the_study_goes_on(tmp_path):
    out, err, code = run_and_interrupt(tmp_path)
    assert code == 0, err
    assert "done" in out and "KeyboardInterrupt" not in err
    first = int(out.split()[1])
    out, err, code = run_and_interrupt(tmp_path)
    assert code == 0, err
    assert int(out.split()[1]) >= first

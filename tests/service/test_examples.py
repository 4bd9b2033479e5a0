"""The examples of workers in other languages, as they are shipped."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize(("program", "script"), [("sh", "worker.sh"), ("node", "worker.mjs")])
def test_a_worker_in_another_language_runs_a_study_to_its_end(server, program, script):
    if shutil.which(program) is None or (program == "sh" and shutil.which("curl") is None):
        pytest.skip(f"there is no {program} or curl here")
    study = script.replace(".", "-")
    server.create(study, space={"x": {"type": "float", "low": -5, "high": 5}}, limits={"num_trials": 6})
    done = subprocess.run(
        [program, str(EXAMPLES / script), server.url, study],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    trials = server.api("viewer").get(f"/studies/{study}/trials").json()["items"]
    assert [trial["status"] for trial in trials] == ["completed"] * 6
    for trial in trials:
        bonus = 0 if program == "sh" else 1 / 3
        assert trial["metrics"]["loss"] == pytest.approx((trial["config"]["x"] - 3) ** 2 + bonus, rel=1e-3, abs=1e-3)

"""The API does what its own description says, whatever is sent: as Schemathesis makes it up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
SEED = os.environ.get("RAYTUNE_HPO_SCHEMATHESIS_SEED", "1")
PATIENCE_S = 900  # it takes one minute where nothing else runs
# What a description cannot say: which cursors there are, what a table holds, and which fields of a study go together.
CONFIG = "".join(
    f'[[operations]]\ninclude-operation-id = "{name}"\nchecks.positive_data_acceptance.enabled = false\n'
    for name in ("list_studies", "list_trials", "list_reports", "add_dataset", "create_study", "extend_study")
)


@pytest.mark.slow
@pytest.mark.timeout(PATIENCE_S + 60)
@pytest.mark.skipif(PROGRAM is None, reason="schemathesis is not installed")
@pytest.mark.parametrize("role", ["editor", "worker"])
def test_whatever_is_sent_is_answered_as_described(start, tmp_path, role):
    """With one seed, so that a failure can be had again; RAYTUNE_HPO_SCHEMATHESIS_SEED=7 looks elsewhere."""
    server = start()
    server.create("there", limits={"num_trials": 100_000})
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    described = server.api("viewer").get("/openapi.json").text
    (tmp_path / "openapi.json").write_text(described)
    command = [str(PROGRAM), "run", "openapi.json", "--url", server.url, "--max-examples", "4", "--rate-limit", "45/s"]
    command += ["--no-color", "--continue-on-failure", "--generation-database", "none"]
    command += ["--seed", SEED]
    command += ["-H", f"Authorization: Bearer {server.secrets[role]}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, f"with --seed {SEED}:\n{done.stdout[-6_000:]}"

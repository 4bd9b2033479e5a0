"""Commands as objectives on Ray: shipped like any other, one measurement at a time on a machine."""

from __future__ import annotations

import pytest

import raytune_hpo as hpo
from tests.commands.programs import python

pytestmark = pytest.mark.ray


@pytest.mark.slow
def test_a_command_runs_on_ray_and_never_beside_itself(cluster, name, storage, tmp_path):
    gate = tmp_path / "gate"
    code = f"import os, sys, time; os.mkdir({str(gate)!r}); time.sleep(float(sys.argv[1])); os.rmdir({str(gate)!r})"
    command = hpo.Command(python(code, "{s}"), repeats=1)
    space = {"s": hpo.ordinal([0.3, 0.2, 0.1, 0.05])}
    results = hpo.tune(command, space, sampler="grid", name=name, storage=storage, progress=False, max_concurrent=2)
    assert results.num_by_status["completed"] == 4
    assert results.best_config == {"s": 0.05}

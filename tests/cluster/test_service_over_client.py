"""A service outside of the cluster, which reaches its studies over Ray Client."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from cluster_support import facts_of, wait_until

from raytune_hpo.facts import Enqueued, Finished, StudyStopped
from tests.service.conftest import Server

DRIVER = """
import sys, time
import raytune_hpo as hpo

hpo.connect()

def objective(config):
    time.sleep(0.2)
    return config["x"]

names = sys.argv[2:]
tuners = [hpo.Tuner(objective, {"x": hpo.uniform(0.0, 1.0)}, num_trials=10_000, max_concurrent=1, sampler="random",
                    seed=1, name=name, storage=sys.argv[1], progress=False) for name in names]
runs = [tuner.start() for tuner in tuners]
print("started", flush=True)
for run in runs:
    run.wait(100)
"""


@pytest.mark.slow
@pytest.mark.ray
def test_a_service_outside_works_for_and_controls_studies_over_ray_client(
    head: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in head.items():
        monkeypatch.setenv(variable, value)
    address = f"ray://{head['RAY_HEAD_SERVICE_HOST']}:{head['RAY_HEAD_SERVICE_PORT']}"
    server = Server(tmp_path, "--address", address)
    storage, names = str(server.storage), ("one", "two")
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, storage, *names], stdout=subprocess.PIPE, text=True)
    try:
        assert driver.stdout is not None and driver.stdout.readline() == "started\n"
        api = server.start().api()
        for name in names:
            wait_until(lambda name=name: bool(facts_of(storage, name, Finished)), timeout_s=60)
            assert api.get(f"/studies/{name}").json()["kind"] == "cluster"
            wait_until(lambda name=name: _is_enqueued(server, name), timeout_s=60)
            given = api.post(f"/studies/{name}/leases", json={"worker": "outside", "wait_s": 10}).json()
            [mine] = given["assignments"]
            told = api.put(
                f"/studies/{name}/trials/{mine['number']}/result", json={"attempt": 1, "metrics": {"loss": 9}}
            )
            assert (told.status_code, told.json()["metrics"]) == (200, {"loss": 9.0}), told.text
        for name in reversed(names):
            assert api.post(f"/studies/{name}/stop", json={"reason": "seen enough"}).status_code == 202
            wait_until(lambda name=name: bool(facts_of(storage, name, StudyStopped)), timeout_s=60)
        driver.wait(60)
    finally:
        driver.kill()
        driver.communicate()
        server.kill()
    assert all(fact.config["x"] == 0.125 for name in names for fact in facts_of(storage, name, Enqueued))


def _is_enqueued(server: Server, name: str) -> bool:
    """Whether the service could enqueue a configuration; the first time, it may still be connecting to the cluster."""
    answer = server.api().post(f"/studies/{name}/queue", json={"configs": [{"x": 0.125}]})
    assert answer.status_code in (201, 503), answer.text
    print(answer.status_code, answer.text)
    return answer.status_code == 201

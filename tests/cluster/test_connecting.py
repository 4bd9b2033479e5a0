"""Finding clusters, and being told why one cannot be had."""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import raytune_hpo as hpo
from raytune_hpo.cluster import addresses, connecting, head_here, tokens
from raytune_hpo.cluster.addresses import check_address, find_address, host_and_port
from raytune_hpo.cluster.connecting import connect, explained
from raytune_hpo.cluster.tokens import use_token_if_wanted
from tests.own_ray import start_head
from tests.ports import free_port

pytestmark = pytest.mark.ray


def test_the_environment_says_where_the_cluster_is() -> None:
    assert find_address({}) is None
    assert find_address({"RAY_HEAD_SERVICE_HOST": "10.0.0.7"}) == "ray://10.0.0.7:10001"
    assert find_address({"RAY_HEAD_SERVICE_HOST": "h", "RAY_HEAD_SERVICE_PORT": "20001"}) == "ray://h:20001"
    assert find_address({"RAY_ADDRESS": "auto", "RAY_HEAD_SERVICE_HOST": "h"}) == "auto"


def test_addresses_are_read_as_ray_reads_them() -> None:
    assert host_and_port("ray://head:10005") == ("head", 10005)
    assert host_and_port("ray://head") == ("head", 10001)
    assert host_and_port("10.0.0.7:6379") == ("10.0.0.7", 6379)
    assert host_and_port("ray://[::1]:10001") == ("::1", 10001)
    assert host_and_port("auto") is None
    assert host_and_port("other://head:1") is None


@pytest.mark.parametrize("address", ["nonsense", "http://head:8265", 10001])
def test_what_is_no_address_is_answered_with_the_forms_of_addresses(address: object) -> None:
    with pytest.raises(hpo.errors.ClusterError, match="address is ray://host:10001 from outside.*got"):
        check_address(address)


def test_addresses_of_all_forms_pass() -> None:
    for address in ("ray://head", "ray://[::1]:10001", "10.0.0.7:6379", "auto", "local", "other://head"):
        check_address(address)


def test_refusals_are_explained() -> None:
    assert "RAY_AUTH_MODE" in explained(RuntimeError("Unauthenticated: token is missing"), "ray://h:1")
    mismatch = RuntimeError("Version mismatch: The cluster was started with: Ray: 2.60.0 Python: 3.12.1")
    assert "3.12.1" in explained(mismatch, "ray://h:1") and "versions" in explained(mismatch, "ray://h:1")


@pytest.mark.parametrize(
    ("given", "wants", "said"), [("token", False, "has no token"), ("disabled", True, "wants a token")]
)
def test_who_differs_about_tokens_is_told_at_once(
    given: str, wants: bool, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", given)
    monkeypatch.setattr(tokens, "_given", given)
    monkeypatch.setattr(tokens, "_wants_token", lambda address: wants)
    with pytest.raises(hpo.errors.ClusterError, match=f"{said}.*RAY_AUTH_MODE"):
        use_token_if_wanted("10.0.0.7:6379")


def test_a_busy_machine_is_named_as_the_reason_once_ray_has_been_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts, said = [], []

    def init(**options: object) -> None:
        attempts.append(options)
        raise RuntimeError("The current node timed out during startup. This could happen because ...")

    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", init)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    with pytest.raises(hpo.errors.ClusterError, match=r"load \d+ on \d+ CPUs.*runtime='local'"):
        connect("local", said.append)
    assert len(attempts) == 3
    assert said == ["starting Ray on this machine (some seconds) ..."]


def test_only_ray_client_is_sent_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.init", lambda **options: entered.append(options))
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0})
    monkeypatch.setattr("raytune_hpo.cluster.connecting._knock", lambda address: None)
    monkeypatch.setattr("raytune_hpo.cluster.connecting.use_token_if_wanted", lambda address: None)
    said = []
    for address in ("10.0.0.7:6379", "ray://head:10001"):
        connect(address, said.append)
    assert ["runtime_env" in options for options in entered] == [False, True]
    assert said[1] == "connected to 8 CPUs" and said[2].startswith("connecting to ray://head:10001")


def test_whoever_stays_connected_is_not_connected_to_another_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr(connecting, "_joined", {"ray://head:10001"})
    connecting.stay_connected("ray://head:10001")
    with pytest.raises(hpo.errors.ClusterError, match="already"):
        connecting.stay_connected("ray://elsewhere:10001")


@pytest.mark.skipif(os.getuid() != 0, reason="gives files away")
def test_only_clusters_of_this_user_are_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "_NOTE", tmp_path / "ray_current_cluster")
    monkeypatch.setattr(head_here, "_PROCESSES", tmp_path)
    (tmp_path / "ray_current_cluster").write_text("10.0.0.1:6379")
    for pid, address in ((1, "10.0.0.2:6379"), (2, "10.0.0.3:6379")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "cmdline").write_bytes(f"raylet\0--gcs-address={address}\0".encode())
    assert addresses._noted_here() == {"10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"}
    os.chown(tmp_path / "2", 65534, 65534)
    os.chown(tmp_path / "ray_current_cluster", 65534, 65534)
    assert addresses._noted_here() == {"10.0.0.2:6379"}


def test_nobody_at_home_is_told_at_once() -> None:
    script = f"import ray, raytune_hpo as hpo; ray.init = print; hpo.connect('ray://127.0.0.1:{free_port()}')"
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "ClusterError: nothing answers at 127.0.0.1" in process.stderr
    assert process.stdout == "", "Ray is not asked, which would try for half a minute"


def test_a_fork_of_a_connected_process_is_refused(cluster: None) -> None:
    """A call there waits for ever."""
    ask, answer = multiprocessing.Pipe()

    def fork() -> None:
        try:
            connect()
        except hpo.errors.ClusterError as error:
            answer.send(str(error))

    process = multiprocessing.get_context("fork").Process(target=fork)
    process.start()
    try:
        assert ask.poll(30) and "get_context('spawn')" in ask.recv()
    finally:
        process.kill()
        process.join()
    connect()  # the connection of this process is its own


def test_a_second_address_is_refused(cluster: None) -> None:
    connect()
    with pytest.raises(hpo.errors.ClusterError, match="already"):
        connect("ray://elsewhere:10001")


NOTEBOOK = """
import sys, time
import raytune_hpo as hpo

hpo.connect()

def objective(config, data):
    hpo.report(loss=config["x"], step=1)
    return config["x"] + sum(data)

tuner = hpo.Tuner(hpo.with_parameters(objective, data=[0.0] * 100_000), {"x": hpo.uniform(0.0, 1.0)}, num_trials=10,
                  sampler="random", name="over-the-client", storage=sys.argv[1], progress=False)
print(len(tuner.fit()))
"""


def run(script: str, environment: dict[str, str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *args]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_a_notebook_outside_tunes_over_ray_client(head: dict[str, str], storage: str) -> None:
    process = run(NOTEBOOK, head, storage)
    assert "10" in process.stdout.splitlines(), process.stderr


INTERRUPTED = """
import _thread, os, sys, threading, time, uuid
import raytune_hpo as hpo

hpo.connect()
folder = sys.argv[1]

def hangs(config):
    open(os.path.join(folder, uuid.uuid4().hex), "w").close()
    time.sleep(600)

def interrupt():
    while len(os.listdir(folder)) < 2:
        time.sleep(0.1)
    time.sleep(1.0)
    _thread.interrupt_main()

threading.Thread(target=interrupt, daemon=True).start()
results = hpo.tune(hangs, {"x": hpo.uniform(0.0, 1.0)}, num_trials=9, sampler="random", storage="memory", progress=False)
print(len(results))
"""


@pytest.mark.slow
def test_ctrl_c_works_over_ray_client(head: dict[str, str], tmp_path: Path) -> None:
    process = run(INTERRUPTED, head, str(tmp_path))
    assert "2" in process.stdout.splitlines(), process.stderr


@pytest.mark.slow
def test_a_missing_token_is_explained(head: dict[str, str], storage: str) -> None:
    process = run(NOTEBOOK, head | {"RAY_AUTH_MODE": "disabled"}, storage)
    assert re.search("ClusterError.*RAY_AUTH_TOKEN", process.stderr), process.stderr


VISITS = """
import sys
import ray
import raytune_hpo as hpo

for address in sys.argv[1:]:
    hpo.connect(address)
    print(len(hpo.tune(lambda config: config["x"], {"x": hpo.uniform(0.0, 1.0)}, num_trials=2, sampler="random",
                       storage="memory", progress=False)))
    ray.shutdown()
"""


@pytest.mark.slow
def test_a_stored_token_is_used_by_the_clusters_that_want_it_and_by_no_other(
    head: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text(head["RAY_AUTH_TOKEN"])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment["HOME"] = str(tmp_path)
    gcs = f"127.0.0.1:{free_port()}"
    open_head = start_head(
        "--num-cpus=2", f"--port={gcs.rpartition(':')[2]}", f"--ray-client-server-port={free_port()}",
        "--include-dashboard=false", f"--temp-dir=/tmp/raytune-open-{os.getpid()}", "--object-store-memory=100000000",
        said=tmp_path / "said", environment=environment | {"RAY_AUTH_MODE": "disabled"},
    )  # fmt: skip
    try:
        process = run(VISITS, environment, gcs, head["GCS"], gcs)
    finally:
        open_head.terminate()
        open_head.wait(timeout=120)
    assert process.stdout.split() == ["2", "2", "2"], process.stderr

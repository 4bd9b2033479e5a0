"""Running labs as their readers run them: as notebooks, as scripts, and on a cluster that others have started."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import pytest
from nbclient import NotebookClient

from tests.own_ray import start_head
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 240  # for a cell of a notebook


def lab_names() -> list[str]:
    """The labs that have notebooks."""
    found = sorted((ROOT / "labs").glob("*.py"))
    return [path.stem for path in found if path.read_text(encoding="utf-8").startswith("# %% [markdown]")]


def connects(name: str) -> bool:
    """Whether a lab uses Ray."""
    return "hpo.connect()" in (ROOT / "labs" / f"{name}.py").read_text(encoding="utf-8")


def require_libraries(name: str) -> None:
    """Skip a test of a lab whose library is not among those that the project installs."""
    if re.search(r"^import torch$", (ROOT / "labs" / f"{name}.py").read_text(encoding="utf-8"), re.MULTILINE):
        pytest.importorskip("torch", reason=f"the lab {name} needs pip install torch")


class Cluster(NamedTuple):
    """A cluster that others have started."""

    address: str
    dashboard: str


class Executed(NamedTuple):
    """A notebook that was run to its end.

    values: what its variables are, those which JSON can say.
    printed: what it printed.
    num_figures: how many plotly figures it shows.
    """

    values: dict[str, Any]
    printed: str
    num_figures: int


def execute(name: str, folder: Path, cluster: Cluster | None) -> Executed:
    """Run the filled notebook of a lab in a folder of its own, at quick size."""
    notebook = nbformat.read(ROOT / "notebooks" / "solutions" / f"{name}.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(_PROBE))
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=PATIENCE_S, kernel_name="python3", resources=resources).execute(
        env=environment(cluster)
    )
    *cells, probe = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    return Executed(
        values=json.loads("".join(output.text for output in probe.outputs if output.get("name") == "stdout")),
        printed="".join(output.text for output in outputs if output.output_type == "stream"),
        num_figures=sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs),
    )


# Runs in the notebook's kernel, after its last cell.
_PROBE = """
import json as _json

def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else value

def _said(value):
    try:
        return _json.dumps(value, default=_plain)
    except (TypeError, ValueError):
        return None

_names = [name for name in dir() if not name.startswith("_") and name not in ("In", "Out")]
_values = {name: _said(globals()[name]) for name in _names}
print(_json.dumps({name: _json.loads(text) for name, text in _values.items() if text is not None}))
"""


def environment(cluster: Cluster | None, *, quick: bool = True) -> dict[str, str]:
    """Where `python`, as jobs and kernels call it, is the one that runs these tests, and nobody asks for tokens."""
    found = {name: value for name, value in os.environ.items() if name != "RAYTUNE_HPO_QUICK"}
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    found["RAY_AUTH_MODE"] = "disabled"
    if cluster is not None:
        found["RAY_ADDRESS"] = cluster.address
    if quick:
        found["RAYTUNE_HPO_QUICK"] = "1"
    return found


def run(*command: Any, **settings: Any) -> str:
    """A command, from the project's folder unless said otherwise; its output, or a failure that shows all of it."""
    options = {"cwd": ROOT, "timeout": 240, **settings}
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def line(output: str, label: str) -> str:
    """What stands behind a label."""
    found = re.search(rf"^{re.escape(label)}\s+(.*)$", output, re.MULTILINE)
    assert found, f"no line {label!r} in:\n{output}"
    return found[1]


# ------------------------------------------------------------------------------------------------ a cluster of others


@contextmanager
def running_cluster(log: Path) -> Iterator[Cluster]:
    """A cluster of two CPUs with a dashboard, to which jobs are submitted; it ends with the block."""
    head, dashboard, agent = free_port(), free_port(), free_port()
    ports = [f"--port={head}", f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    ports += [
        f"--{what}-port={free_port()}" for what in ("ray-client-server", "metrics-export", "dashboard-agent-grpc")
    ]
    limits = ["--num-cpus=2", "--include-dashboard=true", "--disable-usage-stats", "--object-store-memory=200000000"]
    process = start_head(*ports, *limits, said=log, environment=environment(None, quick=False))
    try:
        address = f"http://127.0.0.1:{dashboard}"
        wait_for(f"{address}/api/version", process)
        wait_for(f"http://127.0.0.1:{agent}/api/local_raylet_healthz", process)  # which starts the jobs
        yield Cluster(f"127.0.0.1:{head}", address)
    finally:
        process.send_signal(signal.SIGTERM)  # with --block, Ray ends what it started
        process.wait(60)


def wait_for(url: str, process: subprocess.Popen, timeout_s: float = 90) -> None:
    """Until all is well at the address."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    pytest.fail("the cluster did not start")

"""The running time of the workshop's notebooks: every solution at its full size, in its own kernel.

    python benchmarks/notebooks.py                          # all of them: about half an hour
    python benchmarks/notebooks.py --only lab_03_hyperopt
    python benchmarks/notebooks.py --quick                  # at the labs' quick sizes: does it run?

labs/README.md promises that no lab computes for longer than four minutes. Labs that use Ray connect to a running
cluster of two CPUs, as in a workshop; what they write goes to a temporary folder.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import nbformat
from common import HERE, Figure, at_most, run, use_ray
from nbclient import NotebookClient

SOLUTIONS = HERE.parent / "notebooks" / "solutions"
PROMISED_S = 240
QUICK = "RAYTUNE_HPO_QUICK"


def measure(name: str, quick: bool) -> list[Figure]:
    """Run one notebook to its end; an error of one of its cells, or a claim that does not hold, ends the benchmark."""
    notebook = nbformat.read(SOLUTIONS / f"{name}.ipynb", as_version=4)
    uses_ray = any("hpo.connect()" in cell.source for cell in notebook.cells)
    with tempfile.TemporaryDirectory() as folder:
        variables = surroundings(Path(folder), uses_ray=uses_ray, quick=quick)
        client = NotebookClient(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": folder}})
        begin = time.perf_counter()
        client.execute(env=variables)
        took_s = time.perf_counter() - begin
    return [at_most(PROMISED_S, name=name, what=name, measured=took_s, unit="s", detail={"uses_ray": uses_ray})]


def surroundings(folder: Path, *, uses_ray: bool, quick: bool) -> Mapping[str, str]:
    """The variables of a kernel: studies of its own, and the cluster if it needs one."""
    variables = {key: value for key, value in os.environ.items() if key not in (QUICK, "RAY_ADDRESS")}
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    variables["RAYTUNE_HPO_STORAGE"] = f"sqlite:///{folder}/studies.db"
    if quick:
        variables[QUICK] = "1"
    if uses_ray:
        import ray

        use_ray()
        variables["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    return variables


if __name__ == "__main__":
    names = sorted(path.stem for path in SOLUTIONS.glob("*.ipynb"))
    run(__doc__ or "", {name: functools.partial(measure, name) for name in names})

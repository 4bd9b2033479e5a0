"""Try every supported Python, and the oldest supported Ray, numpy, pandas and scikit-learn, each in a fresh environment.

    python tools/matrix.py                            # all rows; an hour on two cores, minutes with --smoke
    python tools/matrix.py --smoke                    # installation and tools/smoke.py only, without the tests
    python tools/matrix.py --only 3.13 oldest-ray     # these rows
    python tools/matrix.py --out matrix.json          # the outcome as data, too

In each row the wheel of this checkout is installed with the newest versions that the row allows, tools/smoke.py runs studies
with it, and so do the tests in TESTS and, on a cluster of two CPUs, those in RAY_TESTS. A row whose interpreter is not on
this machine is reported as missing, and the exit status is 1: what was not tried is not supported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
OLDEST = ("ray", "numpy", "pandas", "scikit-learn")
TOLD = ("ray", "numpy", "scipy", "pandas", "scikit-learn")  # whose versions a row names
SAMPLERS = ("cmaes", "grid", "history", "nsga2", "pairing", "priors", "random", "rf", "sobol", "tpe")
TESTS = (
    "tests/space",
    "tests/core",
    "tests/schedulers",
    "tests/journal",
    "tests/sklearn_search",
    *(f"tests/samplers/test_{name}.py" for name in SAMPLERS),
)
RAY_TESTS = ("tests/cluster/test_studies.py", "tests/cluster/test_workers.py")
FOR_TESTS = (
    "ConfigSpace",
    "hyperopt",
    "hypothesis",
    "jsonschema",
    "optuna",
    "plotly",
    "psutil",
    "psycopg[binary]",
    "pytest",
    "pytest-timeout",
    "pyyaml",
    "ray[tune]",
    "tomli",
)
PATIENCE_S = 3600
UV = (sys.executable, "-m", "uv")
PYTEST = ("-m", "pytest", "-q", "--maxfail", "10", "--tb", "short", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Row:
    """What one environment is made of.

    pins: what is installed beside the wheel, such as ``"numpy==1.26.0"``.
    resolution: of uv: ``"highest"``, or ``"lowest-direct"`` for the lower bounds of all direct dependencies.
    """

    name: str
    python: str
    pins: tuple[str, ...] = ()
    resolution: str = "highest"


@dataclass
class Outcome:
    """What became of a row.

    status: ``ok``, ``missing`` (no interpreter), or the step that failed, of whose output ``detail`` is the end.
    passed: the steps that passed, in order.
    """

    row: str
    python: str
    status: str
    versions: dict[str, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    detail: str = ""


class StepFailed(Exception):
    """A command of a row has failed."""

    def __init__(self, step: str, output: str):
        super().__init__(step)
        self.step, self.output = step, output


def dependencies() -> list[str]:
    """What pyproject.toml says that the package needs."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]


def lower_bounds() -> dict[str, str]:
    """The lower bound of each direct dependency."""
    found = (re.match(r"([\w-]+)(?:\[.*?\])?>=([\w.]+)", text) for text in dependencies())
    return {each[1]: each[2] for each in found if each}


def rows(default_python: str = "3.11") -> list[Row]:
    """Each Python with the newest libraries; on one of them the oldest of each, and of all at once."""
    bounds = lower_bounds()
    pythons = [Row(python, python) for python in PYTHONS]
    oldest = [Row(f"oldest-{name}", default_python, (f"{name}=={bounds[name]}",)) for name in OLDEST]
    everything = Row(
        "oldest-all", PYTHONS[0], tuple(dependencies()), "lowest-direct"
    )  # direct: what is named, not the wheel's
    return [*pythons, *oldest, everything]


def interpreter(version: str) -> str | None:
    """Where a Python of this version is: on the path, where uv keeps its own, or among pyenv's."""
    pyenv = sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    candidates = [shutil.which(f"python{version}"), *map(str, reversed(pyenv)), _of_uv(version)]
    return next((path for path in candidates if path and _is(path, version)), None)


def _of_uv(version: str) -> str | None:
    found = subprocess.run([*UV, "python", "find", "--no-python-downloads", version], capture_output=True, text=True)
    return found.stdout.strip() or None


def _is(path: str, version: str) -> bool:
    """Whether it is this Python; pyenv's shims exist for versions that are not chosen, and fail."""
    asked = subprocess.run(
        [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    )
    return asked.stdout.strip() == version


def step(name: str, *command: str | Path, cwd: Path) -> str:
    """The output of a command that is part of a row."""
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": PATIENCE_S}
    try:
        done = subprocess.run([str(part) for part in command], cwd=cwd, check=False, **settings)
    except subprocess.TimeoutExpired as late:
        raise StepFailed(name, f"not over after {PATIENCE_S} s\n{late.stdout or ''}") from late
    if done.returncode != 0:
        raise StepFailed(name, done.stdout)
    return done.stdout


def tried(row: Row, wheel: Path, *, smoke_only: bool, ray: bool) -> Outcome:
    """What becomes of a row, in a folder that is gone afterwards."""
    path = interpreter(row.python)
    if path is None:
        way_out = f"no Python {row.python} here: `pyenv install {row.python}` or `uv python install {row.python}`"
        return Outcome(row.name, row.python, "missing", detail=way_out)
    outcome, begin = Outcome(row.name, row.python, "ok"), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # tests that give up root's rights still import from the environment
        python = folder / "env" / "bin" / "python"
        try:
            step("environment", *UV, "venv", "--python", path, folder / "env", cwd=folder)
            install = (*UV, "pip", "install", "--python", python)
            step("install", *install, "--resolution", row.resolution, wheel, *row.pins, cwd=folder)
            frozen = step("freeze", *UV, "pip", "freeze", "--python", python, cwd=folder)
            outcome.versions = {name: version for name, version in _versions(frozen).items() if name in TOLD}
            shutil.copy(ROOT / "tools" / "smoke.py", folder)
            step("smoke", python, folder / "smoke.py", *([] if ray else ["--no-ray"]), cwd=folder)
            outcome.passed.append("smoke, with Ray" if ray else "smoke, without Ray")
            if not smoke_only:
                _install_tests(python, frozen, install, folder)
                for name, marked, tests in _tests(ray=ray):
                    step(name, python, *PYTEST, "-m", marked, *tests, cwd=folder)
                    outcome.passed.append(name)
        except StepFailed as failed:
            outcome.status, outcome.detail = failed.step, failed.output[-4000:]
    outcome.seconds = round(time.monotonic() - begin, 1)
    return outcome


def _install_tests(python: Path, frozen: str, install: tuple[str | Path, ...], folder: Path) -> None:
    """Put the tests into the folder, with the libraries of the row as they are; the package is the installed one."""
    kept = folder / "frozen.txt"
    kept.write_text("\n".join(line for line in frozen.splitlines() if "==" in line), encoding="utf-8")
    step("install tests", *install, *FOR_TESTS, "--constraint", kept, cwd=folder)
    for each in (
        "tests",
        "docs",
        "benchmarks/results",
    ):  # some tests run what the pages show, or look up what was measured
        shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)


def _tests(*, ray: bool) -> list[tuple[str, str, tuple[str, ...]]]:
    """The steps that are tests: their names, the markers they choose by, and the files."""
    steps = [("tests", "not slow and not ray", TESTS)]
    return [*steps, ("tests on Ray", "ray and not slow", RAY_TESTS)] if ray else steps


def _versions(frozen: str) -> dict[str, str]:
    return dict(line.split("==") for line in frozen.splitlines() if "==" in line)


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a table in Markdown."""
    lines = [f"| | Python | {' | '.join(TOLD)} | passed | |", f"|---|---|{'---|' * (len(TOLD) + 2)}"]
    for each in outcomes:
        versions = " | ".join(each.versions.get(name, "") for name in TOLD)
        said = each.status if each.status in ("ok", "missing") else f"{each.status} failed"
        lines.append(f"| {each.row} | {each.python} | {versions} | {'; '.join(each.passed)} | {said} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [row.name for row in rows()]
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=f"of {', '.join(names)}")
    parser.add_argument("--smoke", action="store_true", help="run no tests")
    parser.add_argument("--no-ray", action="store_true", help="start no Ray")
    parser.add_argument("--out", type=Path, help="write the outcomes as JSON")
    args = parser.parse_args()
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        [wheel] = Path(folder).glob("*.whl")
        for row in rows():
            if args.only and row.name not in args.only:
                continue
            outcomes.append(tried(row, wheel, smoke_only=args.smoke, ray=not args.no_ray))
            print(f"{row.name:<20} {outcomes[-1].status:<8} {outcomes[-1].seconds:7.1f} s", flush=True)
            if outcomes[-1].detail:
                print(outcomes[-1].detail, flush=True)
            if args.out:
                record = {
                    "raytune_hpo": importlib.metadata.version("raytune_hpo"),
                    "rows": [asdict(o) for o in outcomes],
                }
                args.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(table(outcomes))
    sys.exit(any(each.status != "ok" for each in outcomes))


if __name__ == "__main__":
    main()

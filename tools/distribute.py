"""Build the wheel and the sdist into dist/, and try each where there is no checkout.

    python tools/distribute.py             # a minute or two, most of it for the installations

Each file is installed in a fresh environment, where tools/smoke.py, copied away from the checkout, must pass. From the
unpacked sdist some tests are run, too, so that whoever packages it can run the others.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("tests/test_house.py", "tests/test_release.py", "tests/space")
FOR_TESTS = (
    "ConfigSpace",
    "hatchling",
    "hypothesis",
    "jsonschema",
    "optuna",
    "plotly",
    "pytest",
    "pytest-timeout",
    "pyyaml",
    "ray[tune]",
    "tomli",
)


def run(*command: str | Path, **settings) -> None:
    subprocess.run([str(part) for part in command], check=True, **settings)


def environment(folder: Path, python: str, *packages: str | Path) -> Path:
    """The Python of a fresh environment with these packages."""
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", python, folder)
    inside = folder / "bin" / "python"
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", inside, *packages)
    return inside


def try_file(built: Path, folder: Path, options: list[str]) -> Path:
    """Install a file and let it run studies, in a folder in which nothing else is; its Python."""
    print(f"--  {built.name}", flush=True)
    python = environment(folder / "env", sys.executable, built)
    shutil.copy(ROOT / "tools" / "smoke.py", folder)
    run(python, folder / "smoke.py", *options, cwd=folder)
    return python


def try_tests(sdist: Path, python: Path, folder: Path) -> None:
    """Tests of the unpacked sdist, for what it may lack."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder)
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, *FOR_TESTS)
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    run(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow and not ray", *TESTS, cwd=unpacked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-ray", action="store_true", help="start no Ray in the trials")
    args = parser.parse_args()
    options = ["--no-ray"] if args.no_ray else []
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    run(sys.executable, "-m", "build", "--installer", "uv", ROOT)
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        for_wheel, for_sdist = Path(folder, "wheel"), Path(folder, "sdist")
        for each in (for_wheel, for_sdist):
            each.mkdir()
        try_file(wheel, for_wheel, options)
        try_tests(sdist, try_file(sdist, for_sdist, options), for_sdist)


if __name__ == "__main__":
    main()

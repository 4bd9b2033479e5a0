"""JupyterLab in a headless Chromium: the cards as a person sees them. The pictures stay in ``out/`` to be looked at."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest

from tests.faces.notebooks import ROOT

webdriver = pytest.importorskip("selenium.webdriver")
pytest.importorskip("jupyterlab")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]

STUDY = """
import math, time
import raytune_hpo as hpo

def train(config):
    loss = 1.0
    for epoch in range(1, 6):
        loss = abs(math.log10(config["model"]["lr"]) + 2.5) / 3 + 1 / epoch + config["dropout"] / 5
        hpo.report(loss=loss, step=epoch)
        time.sleep(0.02)
    if config["dropout"] > 0.7:
        raise ValueError("nothing is left")
    return {"loss": loss, "size_mb": 40 * (1 - config["dropout"]) * (1 + 0.1 / config["model"]["lr"] ** 0.5)}

space = {
    "model": hpo.choice([
        {"kind": "mlp", "lr": hpo.loguniform(1e-4, 1e-1), "width": hpo.randint(16, 257)},
        {"kind": "cnn", "lr": hpo.loguniform(1e-4, 1e-1), "filters": hpo.randint(4, 33)},
    ]),
    "dropout": hpo.uniform(0, 0.8),
}
settings = dict(sampler="random", runtime="local", storage="memory", max_concurrent=4, seed=3)
"""
CELLS = [
    STUDY.strip(),
    'results = hpo.tune(train, space, num_trials=120, scheduler="asha", name="digits", **settings)',
    "results",
    'two = hpo.tune(train, space, metric=["loss", "size_mb"], num_trials=80, name="quality-and-cost", **settings)\ntwo',
    'run = hpo.Tuner(train, space, num_trials=600, name="in-the-background", **settings).start()',
    "run",
]
RUN = len(CELLS) - 1
READY = """
    const session = window.jupyterapp?.shell?.currentWidget?.sessionContext?.session;
    return session?.kernel?.status === 'idle' && document.querySelectorAll('.jp-CodeCell').length === arguments[0];
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab of its own, which serves one notebook."""
    folder = tmp_path_factory.mktemp("lab")
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}  # or a dialogue asks for one
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "study.ipynb")
    settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}  # or a question would cover the picture
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTERLAB_WORKSPACES_DIR")
    environment = os.environ | {home: str(folder / home) for home in homes}
    environment |= {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"), "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser",
        "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        "--IdentityProvider.token=look", f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
        try:
            wait_until(lambda: answers(f"http://127.0.0.1:{port}/api?token=look"), 90)
            yield f"http://127.0.0.1:{port}/doc/tree/study.ipynb?token=look"
        finally:
            server.terminate()
            server.wait(timeout=30)


@pytest.fixture
def browser(tmp_path: Path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --hide-scrollbars"
    for flag in [*flags.split(), f"--user-data-dir={tmp_path / 'chromium'}", "--window-size=1200,2900"]:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
    # A page that nobody looks at has no current notebook, and commands are for the current one.
    driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
    try:
        yield driver
    finally:
        driver.quit()


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def wait_until(condition, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def command(browser, name: str, **args) -> None:
    browser.execute_script("window.jupyterapp.commands.execute(arguments[0], arguments[1])", name, args)


def outputs(browser, cell: int) -> list[str]:
    """The texts of a cell's outputs, as they stand on the page."""
    script = """
        const cell = document.querySelectorAll('.jp-CodeCell')[arguments[0]];
        return cell ? [...cell.querySelectorAll('.jp-OutputArea-output')].map(output => output.textContent) : [];
    """
    return browser.execute_script(script, cell)


def test_cards_and_results_in_jupyterlab(lab: str, browser) -> None:
    pictures = ROOT / "out"
    pictures.mkdir(exist_ok=True)
    browser.get(lab)
    wait_until(lambda: browser.execute_script(READY, len(CELLS)), 120)
    command(browser, "notebook:run-all-cells")
    wait_until(lambda: any("running" in text for text in outputs(browser, RUN)), 120)
    time.sleep(2.0)  # for the card to have something to show
    browser.save_screenshot(str(pictures / "jupyterlab.png"))
    first = outputs(browser, RUN)
    command(browser, "apputils:change-theme", theme="JupyterLab Dark")
    wait_until(lambda: outputs(browser, RUN) != first, 20)  # it goes on in its place, while no cell runs
    time.sleep(1.0)
    browser.save_screenshot(str(pictures / "jupyterlab-dark.png"))
    assert [len(outputs(browser, cell)) for cell in range(len(CELLS))] == [0, 1, 1, 2, 0, 1]
    assert "120/120" in outputs(browser, 1)[0] and "ended by num_trials" in outputs(browser, 1)[0]
    assert "Pareto front" in outputs(browser, 3)[1]
    wait_until(lambda: "600/600" in outputs(browser, RUN)[0], 60)
    assert len(outputs(browser, RUN)) == 1
    for picture in ("jupyterlab.png", "jupyterlab-dark.png"):
        assert (pictures / picture).stat().st_size > 50_000

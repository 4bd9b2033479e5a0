"""A newcomer's way through the browser, timed: from ``raytune-hpo serve`` to a finished study."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import Figure, at_most

OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 120_000
TRIALS = 20


def measure_newcomer(quick: bool) -> list[Figure]:
    """Nothing where there is no browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        print("no browser: pip install playwright")
        return []
    chromium = shutil.which("chromium")
    if chromium is None:
        print("no browser: apt-get install chromium")
        return []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=OPTIONS)
        try:
            seconds = walked(browser.new_page(), Path(folder), 3 if quick else TRIALS)
        finally:
            browser.close()
    what = "from the command to a study made in the browser and watched to its end"
    return [at_most(120, name="newcomer", what=what, measured=seconds, unit="s")]


def walked(page: Any, folder: Path, num_trials: int) -> float:
    """The seconds from the command until the page says that the study has ended, by itself and with its best value."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "raytune_hpo.cli", "serve", "--port", "0"]
    command += ["--storage", str(folder / "studies.db"), "--tokens", str(folder / "tokens.json")]
    service = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert service.stdout is not None
        _make_and_watch(page, service.stdout.readline().strip(), num_trials)
        return time.perf_counter() - begin
    finally:
        service.terminate()
        service.wait()


def _make_and_watch(page: Any, link: str, num_trials: int) -> None:
    page.set_default_timeout(PATIENCE_MS)
    page.goto(link)
    page.get_by_role("link", name="New study").first.click()
    page.get_by_role("link", name="Choose a table").click()
    page.get_by_role("link", name="iris").first.click()
    page.fill("#num_trials", str(num_trials))
    page.fill("#name", "first")
    page.get_by_role("button", name="Start the study").click()
    page.wait_for_url("**/studies/first")
    page.get_by_text("ended").first.wait_for()

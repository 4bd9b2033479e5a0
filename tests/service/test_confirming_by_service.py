"""The best of a search is run again by the service, over HTTP and in the browser."""

from __future__ import annotations

import time
from typing import Any

from raytune_hpo import load

OBJECTIVE = """
import random
import raytune_hpo as hpo

space = {"x": hpo.uniform(0, 1)}

def objective(config, seed=None):
    return config["x"] + random.Random(repr((config, seed))).gauss(0, 0.1)
"""


def ended(server: Any, job: dict[str, Any]) -> dict[str, Any]:
    while job["state"] == "running":
        time.sleep(0.1)
        job = server.api("editor").get(f"/jobs/{job['id']}").json()
    return job


def measured(server: Any, study: str, **objective: Any) -> None:
    server.create(study, space=None, limits={"num_trials": 6}, objective=objective)
    while server.api().get(f"/studies/{study}").json()["state"] == "running":
        time.sleep(0.1)


def test_the_best_are_run_again_with_fresh_seeds(start, tmp_path):
    folder = tmp_path / "objectives"
    folder.mkdir()
    (folder / "noisy.py").write_text(OBJECTIVE)
    server = start("--objectives", str(folder))
    measured(server, "noisy", kind="entry_point", name="noisy")
    begun = server.api("editor").post("/studies/noisy/confirm", json={"top": 2, "repeats": 4})
    assert begun.status_code == 202 and begun.headers["location"].endswith(begun.json()["id"])
    job = ended(server, begun.json())
    assert job["state"] == "done", job
    found = job["result"]
    assert [one["n"] for one in found["candidates"]] == [4, 4] and found["has_fresh_seeds"]
    assert found["candidates"][0]["sd"] > 0 and found["noise"] > 0
    repeats = load("noisy-confirm", str(server.storage))
    assert len(repeats) == 8 and found["study"] == "noisy-confirm"
    best = load("noisy", str(server.storage)).best_trial.number
    assert best in [number for one in found["candidates"] for number in one["numbers"]]

    page = server.browser("editor").get("/studies/noisy/best").text
    assert "is the best of 2 that were run again" in page and "measured once" not in page
    assert 'action="/studies/noisy/confirm"' in page
    again = ended(server, server.api("editor").post("/studies/noisy/confirm", json={"top": 2, "repeats": 4}).json())
    assert again["result"]["candidates"] == found["candidates"]  # they are taken from the journal
    server.stop()  # which waits until all that it began has ended


def test_what_cannot_be_confirmed_here_is_refused_and_says_where(server):
    server.create("worked-elsewhere")
    answer = server.api("editor").post("/studies/worked-elsewhere/confirm", json={})
    assert (answer.status_code, answer.json()["type"]) == (409, "/problems/not-running")
    assert ".confirm(objective=...)" in answer.json()["detail"]
    assert server.api("viewer").post("/studies/worked-elsewhere/confirm", json={}).status_code == 403
    assert server.api("editor").post("/studies/worked-elsewhere/confirm", json={"repeats": 1}).status_code == 422
    assert server.api("editor").post("/studies/nowhere/confirm", json={}).status_code == 404
    assert "Run them again" not in server.browser("editor").get("/studies/worked-elsewhere/best").text

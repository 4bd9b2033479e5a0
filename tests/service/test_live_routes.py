"""Running systems over HTTP: what they did, what people ask of them, and a system that asks for its configuration."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import raytune_hpo as hpo
from raytune_hpo import codec
from raytune_hpo.errors import HpoError
from raytune_hpo.journal import open_storage
from raytune_hpo.live.pull_applier import PullApplier
from raytune_hpo.live.pull_board import Histogram, Measured, PullBoard, together

SPACE = {"threads": hpo.randint(1, 65)}


class AskingSystem:
    """Two groups that fetch their configuration over HTTP, run it, and post what they measure."""

    def __init__(self, server, name):
        self._server, self._name = server, name
        self.over = threading.Event()
        self.runs = {}
        self.threads = [threading.Thread(target=self._ask, args=(group,)) for group in ("control", "canary")]
        for thread in self.threads:
            thread.start()

    def _ask(self, group):
        headers = {"Authorization": f"Bearer {self._server.secrets['worker']}"}
        with httpx.Client(base_url=f"{self._server.url}/v1/live/{self._name}", headers=headers, timeout=30) as client:
            tag, start = "", time.time()
            while not self.over.is_set():
                answer = client.get("/config", params={"group": group, "wait_s": 0.05}, headers={"If-None-Match": tag})
                if answer.status_code == 200:
                    tag, self.runs[group] = answer.headers["etag"], answer.json()["config"]
                now = time.time()
                row = {"start": start, "end": now, "metrics": {"cost": 100.0}, "context": {"rps": 50.0}}
                body = {"group": group, "windows": [row] if group in self.runs else []}
                client.post("/measurements", json={**body, "running": self.runs.get(group)})
                start = now

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


def live_study(server, folder, name, applier, **settings):
    given = {"window_s": 0.6, "check_s": 0.3, "observe": 4, "goal": "min cost", "context": ["rps"], **settings}
    return hpo.Live(
        SPACE, baseline={"threads": 16}, applier=applier, name=name, storage=str(server.storage), seat=folder / name,
        tell=lambda text: None, **given,
    )  # fmt: skip


class Still:
    """A system that runs what it is told, and answers alike."""

    def __init__(self):
        self.runs = {}

    def apply(self, config, group, seq):
        self.runs[group] = dict(config)

    def read(self, group):
        return self.runs[group]

    def measure(self, group, start, end):
        return {"cost": 100.0 - self.runs[group]["threads"], "p99": 80.0}, {"rps": 50.0}


@pytest.fixture(scope="module")
def stopped(server, tmp_path_factory):
    """A live study whose controller has run for a while, and is gone."""
    with live_study(server, tmp_path_factory.mktemp("seats"), "stopped", Still(), guards=["p99 <= 200"]) as live:
        live.run(duration_s=4)
    return "stopped"


def until(holds, patience_s=20.0):
    end = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_system_that_asks_is_tuned_without_anybody_calling_it(server, tmp_path):
    # A system that gets no turn on a busy machine leaves windows void; that is no reason to freeze here.
    live = live_study(server, tmp_path, "asking", PullApplier(patience_s=50), seed=1, void_windows=10_000)
    system, viewer = AskingSystem(server, "asking"), server.api("viewer")

    def completed():
        windows = viewer.get("/live/asking/timeline").json().get("windows", [])
        return [window for window in windows if window["status"] == "completed"]

    try:
        live.start()
        until(lambda: len(completed()) >= 4, patience_s=240.0)
        live.stop()
    finally:
        system.stop()
    found = viewer.get("/live/asking").json()
    assert found["windows"] >= 4 and found["state"] in ("observing", "holding", "canary") and found["place"] == "rps=6"
    assert system.runs == {"control": {"threads": 16}, "canary": {"threads": 16}}
    assert all(window["metrics"]["cost"] == 100.0 for window in completed())
    told = viewer.get("/live/asking/timeline").json()
    assert told["events"][0]["kind"] == "baseline" and told["shares"][0]["share"] == 0.0


def test_where_it_stands_and_what_it_did_is_read_with_an_etag(server, stopped):
    viewer = server.api("viewer")
    until(lambda: viewer.get(f"/live/{stopped}").status_code == 200)  # its facts are read at the first request
    (found,) = [item for item in viewer.get("/live").json()["items"] if item["name"] == stopped]
    assert found["baseline"] == {"threads": 16} and found["frozen" if "frozen" in found else "why"] == ""
    told = viewer.get(f"/live/{stopped}/timeline", params={"limit": 2})
    assert len(told.json()["windows"]) == 2 and told.json()["left_out"] > 0
    again = viewer.get(f"/live/{stopped}/timeline", headers={"If-None-Match": told.headers["etag"]})
    assert again.status_code == 304
    at = told.json()["windows"][0]["started_at"]
    later = viewer.get(f"/live/{stopped}/timeline", params={"from": at, "to": at + 0.01}).json()
    assert len(later["windows"]) >= 1 and later["events"] == []
    difference = viewer.get(f"/live/{stopped}/diff", params={"one": 0, "other": 1}).json()
    assert difference["text"].startswith("trial 0 -> trial 1") and difference["one"]["group"] == "canary"
    assert viewer.get(f"/live/{stopped}/diff", params={"one": 0, "other": 999}).status_code == 404


def test_people_freeze_thaw_and_roll_back_though_nobody_controls_it(server, stopped):
    editor, admin = server.api("editor"), server.api("admin")
    frozen = editor.post(f"/live/{stopped}/freeze", json={"reason": "sale"})
    assert frozen.status_code == 202 and frozen.json()["state"] == "frozen" and frozen.json()["why"].endswith("sale")
    assert editor.post(f"/live/{stopped}/thaw").status_code == 403
    assert admin.post(f"/live/{stopped}/thaw").json()["state"] != "frozen"
    assert editor.post(f"/live/{stopped}/rollback", json={}).json()["incumbent"] == {"threads": 16}
    changed = admin.post(f"/live/{stopped}/baseline", json={"config": {"threads": 20}, "reason": "better"})
    assert changed.json()["baseline"] == {"threads": 20}
    assert admin.post(f"/live/{stopped}/baseline", json={"config": {"threads": 999}}).status_code == 422
    nobody = admin.post(f"/live/{stopped}/adopt", json={})
    assert nobody.status_code == 422 and "changed by hand" in nobody.json()["detail"]
    assert "waits" in editor.post(f"/live/{stopped}/approve", json={"number": 0}).json()["detail"]
    kinds = [event["kind"] for event in editor.get(f"/live/{stopped}/timeline").json()["events"]]
    assert kinds[-4:] == ["frozen", "thawed", "baseline", "baseline"]
    without_a_reason = editor.post(f"/live/{stopped}/freeze", json={}).json()["why"]
    assert without_a_reason == f"editor {editor.get('/me').json()['id']}"
    assert admin.post(f"/live/{stopped}/thaw").json()["why"] == ""


def test_a_controller_that_runs_hears_what_was_asked_over_http(server, tmp_path):
    live = live_study(server, tmp_path, "heard", Still())
    live.start()
    until(lambda: live.status().windows >= 2)
    began = time.monotonic()
    assert server.api("editor").post("/live/heard/freeze", json={"reason": "stop"}).status_code == 202
    until(lambda: live.status().state == "frozen", 5.0)  # freeze to effect
    assert time.monotonic() - began < 5.0
    assert server.api("admin").post("/live/heard/thaw").status_code == 202
    until(lambda: live.status().state != "frozen")
    live.stop()
    said = [event["said"] for event in server.api("viewer").get("/live/heard/timeline").json()["events"]]
    assert any(text.startswith("editor ") and text.endswith(" froze it.") for text in said)


def test_every_decision_is_computed_again_as_a_job(server, stopped):
    begun = server.api("editor").post(f"/live/{stopped}/replay")
    assert begun.status_code == 202
    job = begun.headers["location"].removeprefix("/v1")
    until(lambda: server.api("editor").get(job).json()["state"] != "running", 60.0)
    done = server.api("editor").get(job).json()
    assert done["state"] == "done" and done["result"]["differences"] == [] and done["result"]["num_decisions"] > 3


def test_what_is_no_live_study_is_said(server, tmp_path):
    server.create("plain-study")
    for path in ("", "/timeline", "/diff?one=0&other=1", "/config?group=control"):
        answer = server.api("worker").get(f"/live/plain-study{path}")
        assert answer.status_code == 404 and "is not a live study" in answer.json()["detail"], path
    assert server.api().post("/live/plain-study/freeze", json={}).status_code == 404
    with live_study(server, tmp_path, "elsewhere", Still()):
        pass
    (tmp_path / "elsewhere").rename(tmp_path / "moved")
    gone = server.api("editor").post("/live/elsewhere/freeze", json={})
    (tmp_path / "moved").rename(tmp_path / "elsewhere")  # others freeze all that there are
    assert gone.status_code == 409 and "remembers in" in gone.json()["detail"]


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"start": 2, "end": 1}, "ends after its start"),
        ({"start": 1, "end": 2, "histograms": {"ms": {"bounds": [2, 1], "counts": [1, 1, 1]}}}, "ascending bounds"),
        ({"start": 1, "end": 2, "histograms": {"ms": {"bounds": [1], "counts": [1, 1, 1]}}}, "has 2 counts"),
        ({"start": 1, "end": 2, "count": 0}, "/windows/0/count must be above 0; got 0"),
        ({"start": 1, "end": 9e9}, "set the clock"),
    ],
)
def test_measurements_that_are_none_are_refused(server, stopped, window, said):
    body = {"group": "control", "windows": [window]}
    answer = server.api("worker").post(f"/live/{stopped}/measurements", json=body)
    assert answer.status_code == 422 and said in answer.json()["detail"]


def test_a_measured_nan_is_written_as_everywhere(server, stopped):
    window = {"start": 1, "end": 2, "metrics": {"ms": {"$float": "nan"}}, "context": {"rps": {"$float": "inf"}}}
    body = {"group": "control", "windows": [window]}
    assert server.api("worker").post(f"/live/{stopped}/measurements", json=body).status_code == 202


def test_means_are_weighted_and_percentiles_are_those_of_all_counts():
    fast = Histogram(bounds=[10, 100], counts=[99, 0, 0])
    slow = Histogram(bounds=[10, 100], counts=[0, 2, 0])
    rows = [
        Measured(start=0, end=1, metrics={"ms": 1.0}, context={"rps": 10}, histograms={"ms": fast}, count=99),
        Measured(start=1, end=2, metrics={"ms": 100.0}, context={"rps": 20}, histograms={"ms": slow}, count=1),
    ]
    metrics, context = together(rows)
    assert metrics == {"ms": pytest.approx(1.99), "ms_p50": 10, "ms_p99": 100, "requests": 100}
    assert context == {"rps": pytest.approx(10.1)}
    assert together([]) == ({}, {})


def test_an_applier_that_nobody_asks_says_so(tmp_path):
    applier = PullApplier(patience_s=0.1)
    with pytest.raises(HpoError, match="give it to hpo.Live"):
        applier.apply({"threads": 1}, "control", 1)
    applier.sit(tmp_path)
    with pytest.raises(HpoError, match=r"has not said within 0\.1 s that it runs"):
        applier.apply({"threads": 1}, "control", 1)
    with pytest.raises(HpoError, match="has not said yet"):
        applier.read("control")
    board = applier.board
    for cost in (1.0, 2.0):  # what comes twice counts once
        board.note("control", [Measured(start=10.0, end=11.0, metrics={"cost": cost})], at=11.0)
    assert applier.measure("control", 10.0, 11.0)[0] == {"cost": 2.0}
    assert applier.measure("control", 10.5, 11.0) == ({}, {})


@pytest.mark.parametrize(
    ("sources", "cost", "num"), [(("a", "b"), 2.5, 40.0), (("a", "a"), 3.0, 30.0), (("", ""), 3.0, 30.0)]
)
def test_the_machines_of_a_group_are_added_up_and_what_one_posts_twice_is_replaced(tmp_path, sources, cost, num):
    board = PullBoard(tmp_path)
    for source, said, count in zip(sources, (1.0, 3.0), (10, 30), strict=True):
        row = Measured(start=100, end=110, metrics={"cost": said}, count=count, source=source)
        board.note("canary", [row], at=110.0)
    assert together(board.measured("canary", 90, 120))[0] == {"cost": cost, "requests": num}


def test_measurements_are_kept_for_a_window_by_the_clock_alone(tmp_path):
    board, begin, hour = PullBoard(tmp_path), 1_796_000_400.0, 3_600.0
    for end in range(1, 7):
        for start in ((end - 1) * hour, 1_000 * end * hour):  # the second is one of another time altogether
            row = Measured(start=begin + start, end=begin + start + 10, metrics={"cost": 1.0})
            board.note("canary", [row], at=begin + end * hour, window_s=6 * hour)
    assert len(board.measured("canary", begin, begin + 6 * hour)) == 6
    late = begin + 17 * hour
    board.note("canary", [Measured(start=late - 10, end=late)], at=late, window_s=6 * hour)
    assert board.measured("canary", begin, begin + 6 * hour) == []


def test_a_line_that_was_cut_short_loses_no_other_measurement(tmp_path):
    board = PullBoard(tmp_path)
    for end in (1, 2):
        board.note("canary", [Measured(start=end, end=end + 0.5, metrics={"cost": end})], at=2.0)
        (file,) = tmp_path.rglob("*.jsonl")
        file.write_bytes(file.read_bytes().rstrip(b"\n") + b'\n{"start": 1.0, "end": \xff\x00')
    board.note("canary", [Measured(start=3, end=3.5, metrics={"cost": 3})], at=3.0)
    assert [row.metrics["cost"] for row in board.measured("canary", 0, 9)] == [1, 2, 3]


def test_measurements_of_which_the_disk_takes_a_part_at_a_time_are_whole(tmp_path, monkeypatch):
    board, write = PullBoard(tmp_path), os.write
    monkeypatch.setattr("os.write", lambda handle, data: write(handle, data[:100]))
    rows = [Measured(start=start, end=start + 1, metrics={"cost": 1.0}) for start in range(5)]
    board.note("canary", rows, at=5.0)
    assert board.measured("canary", 0, 9) == rows


def test_machines_of_a_group_post_side_by_side_over_http(server, tmp_path):
    with live_study(server, tmp_path, "several", Still()):
        pass
    now = time.time()
    for source in ("a", "b"):
        row = {"start": now - 10, "end": now, "metrics": {"cost": 1.0}, "count": 5}
        body = {"group": "canary", "source": source, "windows": [row]}
        assert server.api("worker").post("/live/several/measurements", json=body).status_code == 202
    assert len(PullBoard(tmp_path / "several").measured("canary", now - 10, now)) == 2


def test_a_live_study_of_which_nobody_knows_the_seat_is_not_commanded(server):
    lines = (Path(__file__).parents[1] / "golden" / "live" / "rules_1.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    store = open_storage(str(server.storage))
    journal = store.journal("seatless", create=True, owner="test")
    facts = [codec.decode(row["kind"], row["version"], json.dumps(row["body"])) for row in rows]
    created = replace(facts[0], spec={**facts[0].spec, "name": "seatless"})
    journal.append([created, *facts[1:]], expect=0)
    journal.close()
    store.close()
    while (known := server.api("viewer").get("/live/seatless")).status_code == 202:
        time.sleep(0.1)
    refused = server.api("editor").post("/live/seatless/freeze", json={})
    assert (refused.status_code, refused.json()["type"]) == (409, "/problems/elsewhere")
    assert "does not say in which folder" in refused.json()["detail"]
    tag = {"If-Match": known.headers["etag"]}
    assert server.api("admin").delete("/studies/seatless", headers=tag).status_code == 204

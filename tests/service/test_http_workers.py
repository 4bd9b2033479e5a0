"""Workers over HTTP: leases and their ends, late words, repeated words, restarts, and workers that fail everything."""

from __future__ import annotations

import asyncio
import contextlib
import math
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import raytune_hpo as hpo
from raytune_hpo.errors import StudyNotFound
from raytune_hpo.service.client import RemoteStudy
from raytune_hpo.service.command_worker import work
from raytune_hpo.service.hosting import HostedStudy
from raytune_hpo.service.leases import TERM_S, LeaseBook
from raytune_hpo.service.models.tables import Tables
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.quarantine import FIRST_S, Quarantine
from raytune_hpo.service.shapes import NewStudy
from raytune_hpo.service.studies import Studies

SPACE = {"x": {"type": "float", "low": 0, "high": 1}}


def status(server, study):
    return server.api("viewer").get(f"/studies/{study}").json()


def trial(server, study, number):
    return server.api("viewer").get(f"/studies/{study}/trials/{number}").json()


def wait_until(condition, timeout_s=90.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it has not come to pass"
        time.sleep(0.1)


# ------------------------------------------------------------------------------------------------ books, sans I/O


def test_a_lease_ends_unless_its_worker_shows_life():
    book = LeaseBook()
    held = book.of_worker("a", 10.0)
    for _ in range(8):
        book.pass_time(1.0)
    assert book.renew(held.id) is held
    for _ in range(9):
        book.pass_time(1.0)
    assert book.expire() == []
    book.pass_time(1.0)
    assert book.expire() == [held]
    assert book.renew(held.id) is None
    assert book.of_worker("a", 10.0).id != held.id


def test_no_lease_ends_because_nobody_listened():
    book = LeaseBook()
    book.of_worker("a", 10.0)
    book.pass_time(300.0)
    assert book.expire() == []


def test_leases_are_found_again_in_the_names_of_workers():
    book = LeaseBook()
    held = book.of_worker("a", 10.0)
    after = LeaseBook()
    after.find_again([held.name, "thread-1", "http-odd"])
    assert [lease.id for lease in after.all()] == [held.id]
    assert after.renew(held.id).ends_at == TERM_S


def test_a_worker_is_in_quarantine_that_fails_while_others_complete():
    quarantine = Quarantine()
    for _ in range(9):
        quarantine.note("bad", has_failed=True, duration_s=0.1, now_s=0.0)
    assert quarantine.left_s("bad", 0.0) == 0.0  # everyone fails: it is the objective
    quarantine.note("good", has_failed=False, duration_s=0.1, now_s=0.0)
    quarantine.note("bad", has_failed=True, duration_s=0.1, now_s=0.0)
    assert quarantine.left_s("bad", 10.0) == FIRST_S - 10.0
    for _ in range(5):
        quarantine.note("bad", has_failed=True, duration_s=0.1, now_s=FIRST_S)
    assert quarantine.left_s("bad", FIRST_S) == 2 * FIRST_S
    assert quarantine.lift("bad")
    assert quarantine.left_s("bad", FIRST_S) == 0.0


def test_slow_failures_are_no_reason_for_quarantine():
    quarantine = Quarantine()
    quarantine.note("good", has_failed=False, duration_s=1.0, now_s=0.0)
    for _ in range(20):
        quarantine.note("slow", has_failed=True, duration_s=60.0, now_s=0.0)
    assert quarantine.left_s("slow", 0.0) == 0.0


# ------------------------------------------------------------------------------------------------ leases


def test_a_lost_reply_is_given_again(server):
    server.create("lost-reply")
    first, again = server.lease("lost-reply"), server.lease("lost-reply")
    assert first["assignments"] == again["assignments"]
    holding = server.lease("lost-reply", holding=[first["assignments"][0]["number"]])
    assert holding["assignments"][0]["number"] == 1
    assert first["lease"] == again["lease"] == holding["lease"]


def test_a_silent_worker_loses_its_trial_to_another(server):
    server.create("silent")
    (given,) = server.lease("silent", "quiet", ttl_s=1)["assignments"]
    wait_until(lambda: trial(server, "silent", 0)["status"] == "waiting")
    (other,) = server.lease("silent", "eager")["assignments"]
    assert (other["number"], other["attempt"], other["config"]) == (0, 2, given["config"])
    late = server.result("silent", given, metrics={"loss": 1.0})
    assert late.json()["type"] == "/problems/superseded"
    verdict = server.api("worker").post(
        "/studies/silent/trials/0/reports", json={"attempt": 1, "reports": [{"step": 1, "metrics": {"loss": 1}}]}
    )
    assert verdict.json()["verdict"] == "stop"
    assert server.result("silent", other, metrics={"loss": 2.0}).json()["metrics"] == {"loss": 2.0}


def test_a_sign_of_life_keeps_the_lease_and_says_what_shall_end(server):
    server.create("alive")
    given = server.lease("alive", ttl_s=2)
    path = f"/studies/alive/leases/{given['lease']}"
    for _ in range(4):
        time.sleep(0.7)
        assert server.api("worker").put(path, json={}).json()["verdicts"] == [{"number": 0, "verdict": "continue"}]
    assert server.api("editor").post("/studies/alive/trials/0/stop").status_code == 202
    assert server.api("worker").put(path, json={}).json()["verdicts"] == [{"number": 0, "verdict": "stop"}]
    assert server.api("worker").delete(path).status_code == 204
    assert server.api("worker").put(path, json={}).json()["type"] == "/problems/lease-expired"
    assert trial(server, "alive", 0)["status"] == "waiting"


def test_a_late_result_is_adopted_where_nobody_has_the_trial(server):
    server.create("adopted")
    (given,) = server.lease("adopted", ttl_s=1)["assignments"]
    wait_until(lambda: trial(server, "adopted", 0)["status"] == "waiting")
    assert server.result("adopted", given, metrics={"loss": 1.0}).json()["status"] == "completed"
    assert server.result("adopted", given, metrics={"loss": 1.0}).status_code == 200
    assert trial(server, "adopted", 0)["attempt"] == 2


def test_a_late_report_takes_the_trial_up_again(server):
    server.create("late-report")
    (given,) = server.lease("late-report", ttl_s=1)["assignments"]
    wait_until(lambda: trial(server, "late-report", 0)["status"] == "waiting")
    path = "/studies/late-report/trials/0/reports"
    answer = server.api("worker").post(path, json={"attempt": 1, "reports": [{"step": 1, "metrics": {"loss": 3.0}}]})
    assert (answer.json()["verdict"], answer.json()["attempt"]) == ("continue", 2)
    assert answer.json()["expires_at"] is not None  # should its worker be lost once more, it is noticed
    assert server.result("late-report", {**given, "attempt": 2}, metrics={"loss": 1.0}).json()["status"] == "completed"


def test_a_worker_that_waits_is_woken_by_what_is_enqueued(server):
    server.create("woken", space={"x": {"type": "choice", "values": [1]}}, sampler="grid", limits={"num_trials": 5})
    (given,) = server.lease("woken", "first")["assignments"]
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(server.lease("woken", "second", wait_s=20)))
    waiting.start()
    time.sleep(0.5)
    begin = time.monotonic()
    assert server.api("editor").post("/studies/woken/queue", json={"configs": [{"x": 1}]}).status_code == 201
    waiting.join(20)
    assert time.monotonic() - begin < 5
    assert answers[0]["assignments"][0]["number"] == 1
    server.result("woken", given, metrics={"loss": 0})


def test_no_lease_ends_while_its_worker_waits_for_a_trial(server):
    server.create("waits", limits={"num_trials": 1})
    server.lease("waits", "first")
    waited = server.lease("waits", "second", ttl_s=1, wait_s=5)
    assert (waited["over"], waited["assignments"]) == (False, [])
    life = server.api("worker").put(f"/studies/waits/leases/{waited['lease']}", json={})
    assert life.status_code == 200


def test_the_end_is_told_to_whoever_asks(server):
    server.create("ended")
    (given,) = server.lease("ended")["assignments"]
    assert server.api("editor").post("/studies/ended/stop", json={"reason": "enough"}).json()["stopped"] == "enough"
    over = server.lease("ended")
    assert (over["over"], over["reason"], over["assignments"]) == (True, "enough", [])
    assert server.result("ended", given, metrics={"loss": 1}).json()["type"] == "/problems/not-running"
    assert server.api("editor").post("/studies/ended/continue").json()["state"] == "running"
    assert server.result("ended", given, metrics={"loss": 1}).json()["status"] == "completed"
    more = server.api("editor").patch("/studies/ended", json={"limits": {"num_trials": 30}}).json()
    assert more["limits"]["num_trials"] == 30
    small = server.lease("ended", limit=8) and server.api("editor").patch(
        "/studies/ended", json={"limits": {"num_trials": 1}}
    )
    assert small.json()["type"] == "/problems/limit-too-small"


def test_a_study_that_is_full_goes_on_when_it_is_extended(server):
    server.create("full", limits={"num_trials": 1})
    server.result("full", server.lease("full")["assignments"][0], metrics={"loss": 1})
    wait_until(lambda: status(server, "full")["state"] == "ended")
    assert server.api("editor").patch("/studies/full", json={"limits": {"num_trials": 2}}).json()["state"] == "running"
    assert server.lease("full")["assignments"][0]["number"] == 1


def test_deleting_needs_the_tag_of_what_was_seen(server):
    server.create("deleted")
    api = server.api()
    assert api.delete("/studies/deleted").status_code == 428
    assert api.delete("/studies/deleted", headers={"If-Match": '"deleted.99"'}).status_code == 412
    tag = api.get("/studies/deleted").headers["etag"]
    assert api.delete("/studies/deleted", headers={"If-Match": tag}).json()["type"] == "/problems/running"
    api.post("/studies/deleted/stop")
    tag = api.get("/studies/deleted").headers["etag"]
    assert api.delete("/studies/deleted", headers={"If-Match": tag}).status_code == 204
    assert api.get("/studies/deleted").status_code == 404
    server.create("deleted", limits={"num_trials": 3})
    assert status(server, "deleted")["num_trials"] == 0
    found = api.get("/studies/deleted", headers={"If-None-Match": tag})
    assert (found.status_code, found.json()["seq"]) == (200, 2)  # another study of the same name
    refused = api.delete("/studies/deleted", headers={"If-Match": "*"})
    assert refused.status_code == 412
    assert f"which is now {found.headers['etag']}, got *; look at it again" in refused.json()["detail"]
    api.post("/studies/deleted/stop")
    weak = "W/" + api.get("/studies/deleted").headers["etag"]  # as a proxy that compresses answers makes it
    assert api.delete("/studies/deleted", headers={"If-Match": weak}).status_code == 204


def _in_an_ended_study(tmp_path, do, **more):
    """Have a coroutine use the studies of a service, one of which has ended."""

    async def used():
        studies = Studies(str(tmp_path / "studies.db"), time.monotonic, Tables(tmp_path), **more)
        await studies.create(NewStudy(name="ended", space=SPACE, sampler="random"))
        await studies.stop("ended", "asked")
        await do(studies)
        await studies.close()

    asyncio.run(used())


def test_a_study_that_is_stopped_as_soon_as_it_was_made_has_ended(tmp_path):
    async def do(studies):
        assert await studies.reads.read("ended", lambda fold: fold.ledger.stopped) == "asked"

    _in_an_ended_study(tmp_path, do)


def test_two_who_change_other_limits_at_once_both_have_their_way(tmp_path):
    async def do(studies):
        await studies.create(NewStudy(name="s", space=SPACE, sampler="random"))
        given = [{"num_trials": 70}, {"time_budget_s": 80.0}, {"target": -1.0}, {"num_steps": 90}]
        await asyncio.gather(*(studies.extend("s", limits) for limits in given))
        limits = await studies.reads.read("s", lambda fold: fold.ledger.spec.limits.to_json())
        assert {name: limits[name] for each in given for name in each} == {
            k: v for each in given for k, v in each.items()
        }
        with pytest.raises(StudyNotFound):
            await studies.extend("nowhere", {"num_trials": 70})

    _in_an_ended_study(tmp_path, do)


def test_a_study_that_is_being_continued_is_not_deleted(tmp_path, monkeypatch):
    async def do(studies):
        is_opening, opened = asyncio.Event(), HostedStudy.open

        async def slowly(study, **how):
            is_opening.set()
            await asyncio.sleep(0.2)
            await opened(study, **how)

        monkeypatch.setattr(HostedStudy, "open", slowly)
        continuing = asyncio.create_task(studies.resume("ended"))
        await is_opening.wait()
        with pytest.raises(Problem, match="runs; stop it first"):
            await studies.delete("ended")
        await continuing
        assert studies.hosted("ended") is not None

    _in_an_ended_study(tmp_path, do)


def test_a_study_that_is_continued_while_it_is_stopped_or_looked_for_runs_on(tmp_path, monkeypatch):
    async def do(studies):
        stop, read = HostedStudy.stop, studies.reads.read

        async def stop_and_continue(study, reason):
            await stop(study, reason)
            monkeypatch.undo()
            await studies.resume("ended")

        async def read_and_continue(name, what):
            found = await read(name, what)
            monkeypatch.undo()
            await studies.resume("ended")
            return found

        monkeypatch.setattr(studies.reads, "read", read_and_continue)
        assert await studies.workers_of("ended") is None  # it was not there when it was read
        assert studies.hosted("ended") is not None
        monkeypatch.setattr(HostedStudy, "stop", stop_and_continue)
        await studies.stop("ended", "asked")
        assert studies.hosted("ended") is not None

    _in_an_ended_study(tmp_path, do, address="127.0.0.1:1")


def test_the_same_spec_again_is_the_same_study_and_another_one_is_refused(server):
    server.create("twice")
    assert server.create("twice")["name"] == "twice"
    body = {"name": "twice", "space": {"y": {"type": "int", "low": 0, "high": 1}}, "sampler": "random"}
    problem = server.api("editor").post("/studies", json=body).json()
    assert problem["type"] == "/problems/spec-mismatch"
    assert "space" in problem["detail"]


# ------------------------------------------------------------------------------------------------ results, reports


@pytest.mark.parametrize("value", [{}, {"loss": "low"}, {"loss": [1]}, {"loss": None}, {"other": 1.0}])
def test_a_result_that_is_none_fails_its_trial_and_is_not_sent_for_ever(server, value):
    server.create("no-result", limits={"num_trials": 100})
    given = server.lease("no-result", limit=1)["assignments"][0]
    answer = server.result("no-result", given, metrics=value)
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert "ObjectiveError" in answer.json()["error"]
    assert server.result("no-result", given, metrics=value).status_code == 200


@pytest.mark.parametrize("word", ["nan", "inf", "-inf"])
def test_a_number_that_is_not_finite_is_written_as_the_journal_has_it(server, word):
    server.create("not-finite", limits={"num_trials": 100})
    given = server.lease("not-finite")["assignments"][0]
    path, number = f"/studies/not-finite/trials/{given['number']}", {"$float": word}
    rows = [{"step": 1, "metrics": {"loss": 0.5, "norm": number, "each": [number, 1]}}]
    for _ in range(2):  # a repeated message gets the same answer
        answer = server.api("worker").post(f"{path}/reports", json={"attempt": given["attempt"], "reports": rows})
        assert (answer.status_code, answer.json()["verdict"]) == (200, "continue")
        assert "error" not in answer.json()
    reported = [f for f in server.api("viewer").get("/studies/not-finite/facts").json()["items"] if "step" in f]
    assert reported[-1]["metrics"] == rows[0]["metrics"]
    for _ in range(2):
        told = server.result("not-finite", given, metrics={"loss": 0.25, "norm": number})
        assert (told.status_code, told.json()["status"]) == (200, "completed")
    (given,) = server.lease("not-finite")["assignments"]
    for _ in range(2):
        told = server.result("not-finite", given, metrics={"loss": number})
        assert (told.status_code, told.json()["status"]) == (200, "failed")
        assert told.json()["error"] == f"ObjectiveError: metric 'loss' must be finite, got {word}"


def test_reports_before_one_that_breaks_a_rule_count(server):
    server.create("broken-off")
    given = server.lease("broken-off")["assignments"][0]
    path, values = f"/studies/broken-off/trials/{given['number']}", [0.5, 0.25, {"$float": "nan"}, 0.125]
    rows = [{"step": step, "metrics": {"loss": value}} for step, value in enumerate(values, 1)]
    for _ in range(2):
        answer = server.api("worker").post(f"{path}/reports", json={"attempt": 1, "reports": rows})
        assert (answer.status_code, answer.json()["verdict"]) == (200, "stop")
    trial = server.api("viewer").get(path).json()
    assert (trial["status"], trial["last_step"]) == ("failed", 2)
    assert trial["duration_s"] == pytest.approx(trial["finished_at"] - trial["started_at"], abs=1)


def test_a_result_that_is_none_is_repeated_after_the_end_of_its_study_too(server):
    server.create("none-at-last", limits={"num_trials": 1})
    (given,) = server.lease("none-at-last")["assignments"]
    assert server.result("none-at-last", given, metrics={"loss": "low"}).json()["status"] == "failed"
    wait_until(lambda: status(server, "none-at-last")["state"] == "ended")
    again = server.result("none-at-last", given, metrics={"loss": "low"})
    assert (again.status_code, again.json()["status"]) == (200, "failed")


def test_metrics_of_trials_that_did_not_complete_are_kept(server):
    server.create("partly", limits={"num_trials": 9}, scheduler="asha")

    def told(reports, **outcome):
        (given,) = server.lease("partly")["assignments"]
        path, rows = f"/studies/partly/trials/{given['number']}/reports", [{"step": 1, "metrics": reports}]
        if reports:
            server.api("worker").post(path, json={"attempt": given["attempt"], "reports": rows})
        first, again = (server.result("partly", given, **outcome) for _ in range(2))
        assert (first.status_code, again.status_code) == (200, 200)
        return first.json()["status"], first.json()["metrics"]

    assert told({"loss": 0.5, "epoch": 1}, status="pruned") == ("pruned", {"loss": 0.5, "epoch": 1})
    kept = {"loss": 0.5, "epoch": 2, "size": 7}
    assert told({"loss": 0.5, "epoch": 1}, status="pruned", metrics={"epoch": 2, "size": 7}) == ("pruned", kept)
    assert told({}, status="pruned", metrics={"size": 7}) == ("pruned", {"size": 7})
    assert told({}, status="pruned", metrics={"loss": "low", "size": 7}) == ("failed", {"size": 7})
    assert told({}, status="failed", metrics={"loss": {"$float": "nan"}, "size": 7}) == ("failed", {"size": 7})
    (given,) = server.lease("partly")["assignments"]
    ended = [{"number": given["number"], "attempt": 1, "status": "pruned", "metrics": {"loss": 0.25}}]
    assert server.lease("partly", finished=ended)["finished"][0]["status"] == "pruned"
    assert trial(server, "partly", given["number"])["metrics"] == {"loss": 0.25}


def test_values_outside_of_the_valid_range_fail_their_trials(server):
    client = hpo.Client(server.url, server.secrets["editor"])
    settings = {"num_trials": 9, "sampler": "random", "seed": 1}
    with client.create_study("ranged", SPACE, valid_range=(0, math.inf), **settings) as study:
        assert [study.tell(study.ask(), loss)["status"] for loss in (-1, 7)] == ["failed", "completed"]
        assert study.results().spec.goals[0].valid_range == (0, math.inf)
        client.create_study("ranged", SPACE, valid_range=(0, math.inf), **settings)  # the same again
        with pytest.raises(hpo.errors.HpoError, match="valid_range"):
            client.create_study("ranged", SPACE, valid_range=(0, 1), **settings)
    several = {**settings, "metric": ["loss", "size"], "mode": ["min", "min"]}
    ranges = {"size": [np.int64(0), 5], "note": (0, 1)}
    with client.create_study("ranged-by-metric", SPACE, valid_range=ranges, **several) as study:
        rows = [{"loss": 9, "size": 6}, {"loss": 9, "size": 5}, {"loss": 9, "size": 5, "note": 2}]
        assert [study.tell(study.ask(), row)["status"] for row in rows] == ["failed", "completed", "failed"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 0], "valid_range needs two numbers, low < high"),
        ([0, 1, 2], '"pointer":"/valid_range"'),
        ([0, "high"], '"detail":"/valid_range/1 must be a number; got '),
        ({"loss": [0]}, '"pointer":"/valid_range/loss/1"'),
        ([0, {"$float": "nan"}], "low < high"),
    ],
)
def test_a_valid_range_that_is_none_is_refused(server, given, said):
    body = {"name": "no-range", "space": SPACE, "valid_range": given}
    refused = server.api("editor").post("/studies", json=body)
    assert refused.status_code == 422
    assert said in refused.text


def test_results_come_with_the_next_request(server):
    server.create("batch")
    given = server.lease("batch", limit=4)["assignments"]
    ended = [{"number": g["number"], "attempt": 1, "metrics": {"loss": 1}} for g in given] + [
        {"number": 99, "attempt": 1, "metrics": {"loss": 1}}
    ]
    answer = server.lease("batch", finished=ended)
    assert [f["recorded"] for f in answer["finished"]] == [True] * len(given) + [False]
    assert answer["finished"][-1]["problem"]["kind"] == "not-found"
    assert answer["assignments"][0]["number"] == len(given)


def test_steps_rise_and_repeated_ones_get_the_same_answer(server):
    server.create("steps")
    (given,) = server.lease("steps")["assignments"]
    path = f"/studies/steps/trials/{given['number']}/reports"

    def report(*steps):
        rows = [{"step": step, "metrics": {"loss": loss}} for step, loss in steps]
        return server.api("worker").post(path, json={"attempt": 1, "reports": rows}).json()

    assert report((1, 0.5), (2, 0.4))["verdict"] == "continue"
    assert report((2, 0.4))["verdict"] == "continue"
    assert report((2, 0.3))["type"] == "/problems/step-falls"
    assert report((4, 0.3), (3, 0.3))["type"] == "/problems/step-falls"
    assert len(trial(server, "steps", 0)["reports"]) == 2


def test_paused_trials_go_on_from_what_their_worker_keeps(server):
    server.create(
        "paused",
        scheduler={"name": "asha", "max_steps": 9, "eta": 3, "promote": True},
        limits={"num_trials": 6},
    )
    resumed = []
    for _ in range(60):
        answer = server.lease("paused")
        if answer["over"]:
            break
        for given in answer["assignments"]:
            begin = given["from_step"] or 0
            if begin:
                resumed.append((given["number"], begin, given["checkpoint"]))
            for step in range(begin + 1, 10):
                body = {
                    "attempt": given["attempt"],
                    "reports": [{"step": step, "metrics": {"loss": given["config"]["x"] + 1 / step}}],
                    "checkpoint": f"disk/{given['number']}/{step}",
                }
                path = f"/studies/paused/trials/{given['number']}/reports"
                verdict = server.api("worker").post(path, json=body).json()["verdict"]
                if verdict != "continue":
                    break
            if verdict == "stop":
                server.result("paused", given, status="pruned")
    assert resumed and all(kept == f"disk/{number}/{step}" for number, step, kept in resumed)
    assert status(server, "paused")["counts"]["completed"] >= 1


# ------------------------------------------------------------------------------------------------ restarts


def test_a_killed_service_goes_on_with_the_trials_of_its_workers(own_server):
    own_server.create("killed", limits={"num_trials": 3})
    first = own_server.lease("killed", "a")
    second = own_server.lease("killed", "b")["assignments"][0]
    own_server.kill()
    own_server.start()
    assert status(own_server, "killed")["counts"]["running"] == 2
    given = first["assignments"][0]
    path = f"/studies/killed/leases/{first['lease']}"
    assert own_server.api("worker").put(path, json={}).status_code == 200
    assert own_server.lease("killed", "c")["assignments"][0]["number"] == 2
    assert own_server.lease("killed", "a")["assignments"] == [given]
    for one in (given, second, {"number": 2, "attempt": 1}):
        assert own_server.result("killed", one, metrics={"loss": 1}).json()["attempt"] == 1
    assert own_server.lease("killed")["over"]


def test_a_service_that_ends_gives_the_studies_back(own_server):
    own_server.create("given-back", max_retries=0)
    assert "Traceback" not in own_server.stop()
    with hpo.Study(
        {"x": hpo.Float(0, 1), "n": hpo.Int(0, 9)}, name="given-back", storage=str(own_server.storage), sampler="random"
    ) as study:
        assert study.ask().number == 0


def test_a_service_that_ends_leaves_nobody_waiting(own_server):
    own_server.create("left-waiting", limits={"num_trials": 1})
    own_server.lease("left-waiting")
    with (
        ThreadPoolExecutor(1) as pool,
        own_server.api("viewer").stream("GET", "/studies/left-waiting/events") as stream,
    ):
        waits = pool.submit(own_server.lease, "left-waiting", "other", wait_s=30)
        wait_until(lambda: len(own_server.api("admin").get("/workers").json()["items"]) == 2)
        own_server.process.terminate()
        assert "event: snapshot" in stream.read().decode()  # to its end, which is no broken connection
        assert waits.result()["assignments"] == []
    assert own_server.stop() == ""


# ------------------------------------------------------------------------------------------------ clients


def test_a_python_client_runs_a_study(server):
    client = hpo.Client(server.url, server.secrets["editor"])
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    with client.create_study("by-client", space, num_trials=5, sampler="sobol", metric="score", mode="max") as study:
        while True:
            try:
                one = study.ask()
            except hpo.errors.StudyEnded:
                break
            assert study.report(one, 1, {"score": 0.0}) == "continue"
            if one.number == 1:
                study.fail(one, "ValueError: no")
            else:
                study.tell(one, one.config["x"], output="done")
        results = study.results()
    assert results.num_by_status["completed"] == 4
    assert results.best_value == max(t.config["x"] for t in results if t.status == "completed")


def test_a_client_tells_and_reports_what_is_no_valid_result(server):
    client = hpo.Client(server.url, server.secrets["editor"])
    space = {"x": {"type": "float", "low": np.float32(0), "high": np.int64(1)}}
    with client.create_study("client-nan", space, num_trials=6, sampler="random") as study:
        for value in (math.nan, np.float32(math.inf), {"loss": -math.inf}, {"loss": object()}, np.array(math.nan)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                told = study.tell(study.ask(), value)
            assert (told["status"], told["reason"][:14]) == ("failed", "ObjectiveError")
        one = study.ask()
        assert study.report(one, 1, {"loss": 0.5, "norm": math.nan}) == "continue"
        assert study.report(one, 2, math.nan) == "stop"
        assert study.tell(one)["status"] == "failed"  # by its report
        results = study.results()
    assert [t.status for t in results] == ["failed"] * 6
    assert math.isnan(results[5].reports[0].metrics["norm"])


def test_a_client_takes_the_numbers_of_numpy(server):
    with hpo.Client(server.url, server.secrets["editor"]).create_study("client-numpy", SPACE, num_trials=2) as study:
        one = study.ask()
        assert study.report(one, np.int64(1), np.float32(0.5)) == "continue"
        metrics = {"loss": np.array(0.25), "sure": np.True_, "each": np.arange(2)}
        assert study.report(one, np.array(2), metrics) == "continue"
        told = study.tell(one, {"loss": np.float16(0.125), "n": np.int64(7)}, duration_s=np.float32(2))
        assert (told["metrics"]["loss"], told["metrics"]["n"], told["duration_s"]) == (0.125, 7, 2.0)
        assert study.results()[0].reports[1].metrics == {"loss": 0.25, "sure": True, "each": [0, 1]}


def test_a_client_holds_a_trial_until_its_result_is_accepted(server, monkeypatch):
    client = hpo.Client(server.url, server.secrets["editor"])
    with client.create_study("client-holds", SPACE, num_trials=3) as study:
        one = study.ask()
        with pytest.raises(hpo.errors.HpoError, match="duration_s"):
            study.tell(one, 0.5, duration_s=-1)
        other = study.ask()
        assert (one.number, other.number) == (0, 1)  # not the same again
        assert study.tell(one, 0.5)["status"] == "completed"
        with pytest.raises(hpo.errors.HpoError, match="has ended as completed"):
            study.tell(one, 0.75)
        asked = []
        send = client.request
        monkeypatch.setattr(client, "request", lambda *sent, **how: asked.append(sent) or send(*sent, **how))
        study.ask()
        assert asked[0][2]["holding"] == [1]


def _sent(monkeypatch, client):
    """The requests of a client from now on, as method and path."""
    sent = []
    send = client.request
    monkeypatch.setattr(client, "request", lambda *what, **how: sent.append(what[:2]) or send(*what, **how))
    return sent


def test_a_client_that_is_used_again_after_its_close_shows_life_again(server, monkeypatch):
    client = hpo.Client(server.url, server.secrets["editor"])
    client.create_study("client-again", SPACE, num_trials=3)
    sent = _sent(monkeypatch, client)
    study = RemoteStudy(client, "client-again", ttl_s=5)
    for _ in range(2):
        with study:
            study._stopping.add(study.ask().number)  # what it was told of this attempt ends with it
            sent.clear()
            wait_until(lambda: any(method == "PUT" and "/leases/" in path for method, path in sent), 10)
    with study:
        assert not study.is_stopping(study.ask())


def test_a_client_asks_once_for_the_name_of_the_metric(server, monkeypatch):
    client = hpo.Client(server.url, server.secrets["editor"])
    with client.create_study("client-metric", SPACE, num_trials=3) as study:
        one = study.ask()
        sent = _sent(monkeypatch, client)
        for step in range(1, 4):
            study.report(one, step, 0.5)
        study.tell(one, 0.5)
    assert [method for method, _ in sent] == ["GET", "POST", "POST", "POST", "PUT"]


def test_a_client_explains_what_is_wrong(server):
    with pytest.raises(hpo.errors.SpecError, match="a token is needed"):
        hpo.Client(server.url, "")
    with pytest.raises(hpo.errors.HpoError, match="unknown or has expired"):
        hpo.Client(server.url, "hpo_x_y").study("none").ask()
    with pytest.raises(hpo.errors.StudyNotFound):
        hpo.Client(server.url, server.secrets["viewer"]).study("none").results()


def test_a_command_is_a_worker(server, tmp_path):
    server.create("command", space={"x": {"type": "choice", "values": ["; rm -rf ~", "$(id)", "a b"]}}, sampler="grid")
    script = tmp_path / "objective.py"
    script.write_text(
        "import json, os, sys\n"
        "assert sys.argv[1] == '--x=' + os.environ['HPO_x'], sys.argv\n"
        "assert 'RAYTUNE_HPO_TOKEN' not in os.environ\n"
        "print('.' * 70_000)\n"  # more than the service takes of an output
        "print('.' * 70_000, file=sys.stderr)\n"
        "print('about to fail' if 'id' in sys.argv[1] else 'fine')\n"
        "if 'id' in sys.argv[1]: sys.exit(3)\n"
        "print(json.dumps({'loss': len(sys.argv[1])}))\n"
    )
    command = [sys.executable, "-m", "raytune_hpo.cli", "worker", server.url, "command", "--"]
    done = subprocess.run(
        [*command, sys.executable, str(script), "--x={x}"],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert ": failed: the command ended with exit code 3\n" in done.stderr
    counts = status(server, "command")["counts"]
    assert (counts["completed"], counts["failed"]) == (2, 1)
    failed = server.api("viewer").get("/studies/command/trials?status=failed").json()["items"][0]
    assert failed["reason"] == "the command ended with exit code 3"


def test_a_command_may_name_parameters_that_are_not_in_every_configuration(server, tmp_path):
    branches = {
        "svm": {"c": {"type": "float", "low": 1, "high": 2}},
        "tree": {"depth": {"type": "int", "low": 3, "high": 3}},
    }
    points = [{"m": {"name": "svm", "c": 1.5}}, {"m": {"name": "tree", "depth": 3}}]
    server.create(
        "branched", space={"m": {"type": "branch", "options": branches}}, points=points, limits={"num_trials": 2}
    )

    def works(*places):
        echo = "import sys; print(len(sys.argv), file=open(sys.argv[1], 'a')); print(1)"
        command = [sys.executable, "-c", echo, str(tmp_path / "said"), *places]
        said = []
        with contextlib.suppress(hpo.errors.SpecError):
            work(server.url, "branched", command, say=said.append, worker="w")
        return said

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAYTUNE_HPO_TOKEN", server.secrets["worker"])
        assert works("--deep={deep}") == []
        assert works("--c={c}", "--depth={depth}", "--m={m/name}")[:2] == ["trial 0: completed", "trial 1: completed"]
    assert (tmp_path / "said").read_text().split() == ["4", "4"]


def test_a_client_sends_texts_of_any_length_and_letters(server):
    with hpo.Client(server.url, server.secrets["editor"]).create_study("texts", SPACE, num_trials=2) as study:
        assert study.fail(study.ask(), "no file \udcff", output="\udcff")["error"] == "no file \\udcff"
        assert study.tell(study.ask(), 1.0, output="begins" + "." * 200_000 + "ends")["status"] == "completed"
        output = server.api("viewer").get("/studies/texts/trials/1").json()["attempts"][0]["output"]
    assert output.startswith("begins") and output.endswith("ends") and "characters left out" in output


def test_a_worker_of_a_study_that_was_deleted_is_stopped_and_has_nothing_to_give_back(server):
    client = hpo.Client(server.url, server.secrets["editor"])
    client.create_study("dropped", SPACE, num_trials=2)
    with RemoteStudy(client, "dropped", ttl_s=1) as study:
        one = study.ask()
        server.api().post("/studies/dropped/stop")
        tag = server.api().get("/studies/dropped").headers["etag"]
        assert server.api().delete("/studies/dropped", headers={"If-Match": tag}).status_code == 204
        wait_until(lambda: study.is_stopping(one))


def test_a_worker_that_fails_everything_gets_nothing_for_a_while(server):
    server.create("quarantined", limits={"num_trials": 50})
    server.result("quarantined", server.lease("quarantined", "good")["assignments"][0], metrics={"loss": 1})
    for _ in range(5):
        given = server.lease("quarantined", "bad")["assignments"][0]
        server.result("quarantined", given, status="failed", error="no GPU")
    refused = server.api("worker").post("/studies/quarantined/leases", json={"worker": "bad", "wait_s": 0})
    assert (refused.status_code, refused.json()["type"]) == (429, "/problems/worker-quarantined")
    listed = server.api("viewer").get("/workers").json()["items"]
    assert [w["worker"] for w in listed if w["quarantined_for_s"] > 0] == ["bad"]
    assert server.api("editor").delete("/studies/quarantined/quarantine/bad").status_code == 204
    assert server.lease("quarantined", "bad")["assignments"]


@pytest.mark.slow
def test_workers_that_are_killed_lose_nothing(own_server):
    """Twenty clients ask and tell, some never tell: every trial is finished once."""
    own_server.create("crowd", limits={"num_trials": 200}, max_retries=50)

    def client(index: int) -> None:
        while True:
            answer = own_server.lease("crowd", f"w{index}", ttl_s=2, wait_s=2)
            if answer["over"]:
                return
            for given in answer["assignments"]:
                if (given["number"] + given["attempt"] + index) % 7 == 0:
                    index += 100  # it dies, and another one comes in its place
                    break
                own_server.result("crowd", given, metrics={"loss": given["config"]["x"]})

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(client, range(20)))  # raises what one of them has met
    results = hpo.load("crowd", str(own_server.storage))
    assert results.num_by_status["completed"] == 200
    assert all(t.metrics["loss"] == t.config["x"] for t in results)

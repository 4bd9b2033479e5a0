"""Reading over HTTP: what stands in the resources, pages, versions, formats."""

from __future__ import annotations

import json
import socket
import sqlite3
import time

import pytest

import raytune_hpo as hpo
from raytune_hpo.facts import Annotated, Finished, Released, Reported, Saved, Started, Status, StudyCreated, Verdict
from raytune_hpo.goals import Goal
from raytune_hpo.journal import open_storage
from raytune_hpo.service.app import ENDPOINTS
from raytune_hpo.service.openapi import document
from raytune_hpo.spec import Part, StudySpec


@pytest.fixture(scope="module")
def api(server):
    server.create("read", limits={"num_trials": 20})
    while True:
        given = server.lease("read", limit=8)
        if given["over"]:
            break
        for one in given["assignments"]:
            if one["number"] == 3:
                server.result(
                    "read", one, status="failed", error="Traceback\nValueError: =1+1 <script>", output="hello"
                )
            else:
                server.result("read", one, metrics={"loss": one["config"]["x"], "size": one["number"]}, duration_s=1.5)
    return server.api("viewer")


def test_a_study_says_where_it_stands(api):
    study = api.get("/studies/read").json()
    assert study["state"] == "ended"
    assert study["stopped"] == "num_trials"
    assert study["counts"]["completed"] == 19
    assert study["counts"]["failed"] == 1
    assert study["best"] == min(t["metrics"]["loss"] for t in trials(api))
    assert study["spec"]["sampler"]["name"] == "random"
    assert "read" in [line["name"] for line in api.get("/studies", params={"q": "READ"}).json()["items"]]


def trials(api, **params):
    """Those of all pages that have a result."""
    found, cursor = [], None
    while True:
        place = {} if cursor is None else {"cursor": cursor}
        page = api.get("/studies/read/trials", params={**params, **place, "limit": 7}).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            return [trial for trial in found if trial["metrics"]]


def test_pages_have_every_trial_once_in_every_order(api):
    numbers = [t["number"] for t in trials(api)]
    assert numbers == [n for n in range(20) if n != 3]
    assert [t["number"] for t in trials(api, sort="-number")] == numbers[::-1]
    losses = [t["metrics"]["loss"] for t in trials(api, sort="metric")]
    assert losses == sorted(losses) and len(losses) == 19
    assert len(trials(api, where="size >= 10")) == 10
    assert len(trials(api, where="x < 0.5", status="completed")) == sum(loss < 0.5 for loss in losses)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"where": "__import__('os')"}, "COLUMN OP NUMBER"),
        ({"where": "y < 1"}, "with one of the columns loss"),
        ({"cursor": "!!"}, "a cursor is the `next` of a page of the same list, got '!!'; begin again without one"),
        ({"limit": "0"}, "the query's limit must be at least 1; got '0'"),
        ({"limit": "all"}, "the query's limit must be a whole number; got 'all'"),
        ({"status": "done"}, "must be 'waiting', 'running', 'paused', 'completed', 'pruned' or 'failed'; got 'done'"),
        ({"sort": "loss"}, "the query's sort must be 'number', '-number', 'metric' or 'duration'; got 'loss'"),
        ({"sort": ["metric", "number"]}, "each name stands once in a query, got 'sort' 2 times"),
        ({"limt": "5"}, "the query's limt is not known; known: status, sort, where, limit, cursor"),
        ({"token": "x"}, "not into a query"),
    ],
)
def test_a_wrong_query_is_explained(api, params, said):
    answer = api.get("/studies/read/trials", params=params)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


def test_a_cursor_belongs_to_one_list(api):
    cursor = api.get("/studies/read/trials", params={"limit": 2}).json()["next"]
    assert api.get("/studies/read/trials", params={"limit": 2, "sort": "-number", "cursor": cursor}).status_code == 400


def test_a_trial_in_full_has_its_attempts_output_and_error(api):
    trial = api.get("/studies/read/trials/3").json()
    assert trial["status"] == "failed"
    assert trial["reason"] == "ValueError: =1+1 <script>"
    assert trial["attempts"][0]["output"] == "hello"
    assert trial["suggested"] and isinstance(trial["basis"], int)
    assert api.get("/studies/read/trials/20").status_code == 404
    assert api.get("/studies/read/trials/zero").status_code == 404


def test_what_has_not_changed_is_not_sent_again(api):
    tag = api.get("/studies/read").headers["etag"]
    again = api.get("/studies/read", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert api.get("/studies/read", headers={"If-None-Match": f"W/{tag}"}).status_code == 304  # as proxies make it
    other = api.get("/studies/read/trials", headers={"If-None-Match": tag, "Accept": "text/csv"})
    assert (other.status_code, other.text[:6]) == (200, "number")  # the same address had JSON


def test_the_head_of_an_event_stream_ends(server, api):
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as kept:
        asked = f"HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nAuthorization: Bearer {server.secrets['viewer']}\r\n"
        kept.sendall(f"HEAD /v1/studies/read/events {asked}\r\n".encode())
        kept.sendall(f"GET /v1/me {asked}Connection: close\r\n\r\n".encode())
        answers = b"".join(iter(lambda: kept.recv(4096), b""))
    assert b"text/event-stream" in answers and b'"role":"viewer"' in answers


def test_text_that_is_no_unicode_is_shown_escaped_and_hides_nothing(server, api):
    space = {"x": {"type": "choice", "values": ["name \udcff", "other"]}, "kept\udcff": 1}
    body = {"name": "not-unicode", "space": space, "metric": "l\udcff"}
    assert server.api().post("/studies", content=json.dumps(body)).status_code == 201
    server.lease("not-unicode")
    result = json.dumps({"attempt": 1, "metrics": {"l\udcff": 1}})
    assert server.api().put("/studies/not-unicode/trials/0/result", content=result).status_code == 200
    browser = server.browser("viewer")
    for page in ("", "/trials", "/trials/0", "/figures", "/best", "/trials.csv"):
        assert browser.get(f"/studies/not-unicode{page}").status_code == 200, page
    assert browser.get("/").status_code == 200
    table = api.get("/studies/not-unicode/trials", headers={"Accept": "text/csv"}).text
    assert "config/kept\\udcff" in table
    for language in ("python", "yaml", "command"):
        assert api.get(f"/studies/not-unicode/best/code?language={language}").status_code == 200


def test_tables_are_csv_and_json_lines_too(api):
    lines = api.get("/studies/read/trials", headers={"Accept": "text/csv"}).text.splitlines()
    assert lines[0].startswith("number,status,config/x,config/n,metrics/loss")
    assert len(lines) == 21
    rows = api.get("/studies/read/trials", headers={"Accept": "application/x-ndjson"}).text.splitlines()
    assert [json.loads(row)["number"] for row in rows] == list(range(20))


def test_the_best_the_front_and_the_importances(api):
    best = api.get("/studies/read/best").json()
    assert [best["number"]] == [t["number"] for t in api.get("/studies/read/front").json()["items"]]
    assert set(api.get("/studies/read/importances").json()["importances"]) == {"x", "n"}


def test_a_figure_is_that_of_the_package(api, server):
    figure = api.get("/studies/read/figures/history").json()
    own = json.loads(hpo.load("read", str(server.storage)).plot.history().to_json())
    assert figure["data"] == own["data"]
    assert "a figure is one of history" in api.get("/studies/read/figures/pie").json()["detail"]
    assert api.get("/studies/read/figures/slice?metric=loss").status_code == 200
    unheard = api.get("/studies/read/figures/history?metric=loss")
    assert unheard.status_code == 400 and "not history; leave out metric='loss'" in unheard.json()["detail"]


def test_facts_are_those_of_the_journal(api, server):
    with hpo.Client(server.url, server.secrets["viewer"]).study("read") as study:
        results = study.results()
    assert results.best_value == api.get("/studies/read").json()["best"]
    page = api.get("/studies/read/facts", params={"from": 1, "limit": 2}).json()
    assert [fact["seq"] for fact in page["items"]] == [1, 2]
    assert page["next"] == 3


def test_events_begin_with_the_state_and_end_with_the_study(api):
    with api.stream("GET", "/studies/read/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = list(stream.iter_lines())
    assert [line for line in lines if line.startswith("event")] == ["event: snapshot", "event: end"]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data")]
    assert data[0]["status"]["num_finished"] == 20
    assert data[1]["stopped"] == "num_trials"


def test_facts_are_resumed_where_a_stream_broke(api):
    total = api.get("/studies/read").json()["seq"]
    with api.stream("GET", "/studies/read/events?facts=1", headers={"Last-Event-ID": str(total - 2)}) as stream:
        ids = [line for line in stream.iter_lines() if line.startswith("id")]
    assert ids == [f"id: {total - 1}", f"id: {total}", f"id: {total}"]


def test_a_study_that_is_not_there(api):
    problem = api.get("/studies/nowhere").json()
    assert problem["status"] == 404
    assert problem["type"] == "/problems/not-found"
    assert problem["instance"] == "/v1/studies/nowhere"


def test_every_type_of_problem_has_a_page(api, server):
    assert "nothing here" in api.get(f"{server.url}/problems/not-found").text
    assert api.get(f"{server.url}/problems/none").status_code == 404


def test_the_document_has_every_route(api):
    served = api.get("/openapi.json").json()
    assert served == json.loads(json.dumps(document(ENDPOINTS)))
    operations = [o for path in served["paths"].values() for o in path.values()]
    assert len({o["operationId"] for o in operations}) == len(operations) == len(ENDPOINTS)


def test_parts_are_listed_with_their_options(api):
    samplers = {part["name"]: part for part in api.get("/samplers").json()["items"]}
    assert samplers["gp"]["summary"]
    assert "eta" in {p["name"]: p for p in api.get("/schedulers").json()["items"]}["asha"]["options"]


def written(server, name, *facts):
    """Write a study into the server's storage as another process would."""
    spec = StudySpec(
        name=name, space=hpo.Space({"x": hpo.uniform(0, 1)}), goals=(Goal("loss"),), sampler=Part(name="random")
    )
    store = open_storage(str(server.storage))
    journal = store.journal(name, create=True, owner="test")
    journal.append([StudyCreated(spec=spec.to_json(), at=time.time()), *facts], expect=0)
    journal.close()
    store.close()


def test_a_study_that_cannot_be_read_hides_no_other(own_server):
    for name in ("sound", "newer", "odd"):
        own_server.create(name)
    with sqlite3.connect(own_server.storage) as database:
        at = "study_id = (SELECT id FROM raytune_studies WHERE name = ?) AND seq = 0"
        database.execute(f"UPDATE raytune_facts SET version = 99 WHERE {at}", ["newer"])
        database.execute(f"UPDATE raytune_facts SET kind = 'Thawed' WHERE {at}", ["odd"])
    database.close()
    own_server.kill()
    own_server.start()
    api, browser = own_server.api("viewer"), own_server.browser("viewer")
    lines = {line["name"]: line for line in api.get("/studies").json()["items"]}
    assert lines["sound"]["state"] == "running"
    assert lines["newer"]["state"] == "unreadable" and "version 99" in lines["newer"]["detail"]
    problem = api.get("/studies/newer")
    assert (problem.status_code, problem.json()["type"]) == (500, "/problems/unreadable")
    assert "read it with the release that wrote it" in problem.json()["detail"]
    assert "cannot be read" in browser.get("/").text and "version 99" in browser.get("/studies/newer").text
    beside = {"study": ["sound", "newer", "odd"]}
    sound, newer, odd = api.get("/compare", params=beside).json()["items"]
    assert (sound["num_trials"], newer["state"], odd["state"]) == (0, "unreadable", "unreadable")
    assert "version 99" in newer["detail"]
    page = browser.get("/compare", params=beside).text
    assert "Compare 1 study" in page and "newer is left out: " in page and "version 99" in page
    assert api.get("/live").json()["items"] == [] and browser.get("/live").status_code == 200
    assert own_server.browser("editor").post("/live/freeze").status_code == 303


def test_a_trial_stands_once_in_a_sorted_list_whatever_follows_its_end(server):
    ended = [
        fact
        for n, status in enumerate((Status.COMPLETED, Status.FAILED))
        for fact in (
            Started(number=n, worker="w", at=1.0, config={"x": 0.5}, basis=1),
            Reported(number=n, attempt=1, step=1, metrics={"loss": 1.0}, verdict=Verdict.CONTINUE, at=1.5),
            Saved(number=n, attempt=1, step=1, at=1.5, checkpoint={"url": "/c"}),
            Finished(number=n, attempt=1, status=status, at=2.0, duration_s=1.0, metrics={"loss": 1.0}, error="no"),
            Released(number=n, step=1, reason="no longer needed", at=3.0),
            Annotated(number=n, name="user:who", value="me", at=3.0),
        )
    ]
    written(server, "noted", *ended)
    for sort, numbers in (("metric", [0]), ("duration", [0, 1])):
        page = server.api("viewer").get("/studies/noted/trials", params={"sort": sort}).json()
        assert [trial["number"] for trial in page["items"]] == numbers


def test_text_says_where_the_rest_of_a_list_is(api):
    for media in ("text/csv", "application/x-ndjson"):
        first = api.get("/studies/read/trials", params={"limit": 15}, headers={"Accept": media})
        rest = api.get(str(first.url.join(first.links["next"]["url"])), headers={"Accept": media})
        num = len(first.text.splitlines()) + len(rest.text.splitlines())
        assert num == (22 if media == "text/csv" else 20) and "next" not in rest.links

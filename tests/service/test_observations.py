"""Trials measured elsewhere, configurations taken back, and what a study has come to."""

from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
import time

import pytest
import yaml

SPACE = {"x": {"type": "float", "low": 0, "high": 1}, "act": {"type": "choice", "values": ["relu", "a b'c", "{x}"]}}


def row(x, **fields):
    return {"config": {"x": x, "act": "relu"}, "metrics": {"loss": x}, **fields}


def observe(server, study, rows, role="editor"):
    return server.api(role).post(f"/studies/{study}/observations", json={"observations": rows})


def test_observations_become_trials_that_the_sampler_is_told_of(server):
    server.create("observed", space=SPACE, sampler="tpe", limits={"num_trials": 9})
    (running,) = server.lease("observed")["assignments"]
    rows = [
        row(0.25, duration_s=3.5),
        row(0.5, status="failed", metrics={}, error="Traceback\nOSError: gone"),
        row(0.125),
    ]
    assert observe(server, "observed", rows).json() == {"numbers": [1, 2, 3]}
    api = server.api("viewer")
    trials = api.get("/studies/observed/trials").json()["items"]
    assert [(t["status"], t["worker"]) for t in trials[1:]] == [
        ("completed", "elsewhere"),
        ("failed", "elsewhere"),
        ("completed", "elsewhere"),
    ]
    assert (trials[1]["duration_s"], trials[2]["reason"]) == (3.5, "OSError: gone")
    assert api.get("/studies/observed/best").json()["number"] == 3
    server.result("observed", running, metrics={"loss": 1})
    assert server.lease("observed")["assignments"][0]["number"] == 4


def test_observations_pass_those_that_wait_in_the_queue(server):
    server.create("passing", space=SPACE)
    server.api("editor").post("/studies/passing/queue", json={"configs": [{"x": 0.75, "act": "relu"}]})
    observe(server, "passing", [row(0.5)])
    (given,) = server.lease("passing")["assignments"]
    assert (given["number"], given["config"]["x"]) == (1, 0.75)


def test_all_observations_are_taken_or_none(server):
    server.create("whole", space=SPACE, limits={"num_trials": 4})
    wrong = [row(0.5), row(7), row(0.5, metrics={}), row(0.5, metrics={"loss": "low"}), {"config": {}}]
    refused = observe(server, "whole", wrong)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [f"/observations/{i}" for i in (1, 2, 3, 4)]
    many = observe(server, "whole", [row(0.5)] * 5)
    assert (many.status_code, many.json()["type"]) == (409, "/problems/limit-too-small")
    assert server.api("viewer").get("/studies/whole").json()["num_trials"] == 0
    assert observe(server, "whole", [row(0.5)] * 2_501).status_code == 422
    assert observe(server, "whole", [row(0.5)] * 4).status_code == 201
    over = observe(server, "whole", [row(0.5)])
    assert (over.status_code, over.json()["type"]) == (409, "/problems/not-running")
    assert observe(server, "whole", [row(0.5)], "worker").status_code == 403


def test_a_number_of_an_observation_may_be_none_unless_it_is_the_goal(server):
    server.create("odd-numbers", space=SPACE)
    refused = observe(server, "odd-numbers", [row(0.5), row(0.5, metrics={"loss": {"$float": "inf"}})])
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/observations/1")
    assert "must be finite, got inf" in refused.text
    observe(server, "odd-numbers", [row(0.5, metrics={"loss": 0.5, "norm": {"$float": "-inf"}})])
    finished = server.api("viewer").get("/studies/odd-numbers/facts").json()["items"][-1]
    assert finished["metrics"] == {"loss": 0.5, "norm": {"$float": "-inf"}}


def test_the_largest_batch_of_observations_is_taken_in_one_go(server):
    server.create("largest-batch", space=SPACE, limits={"num_trials": 2_500})
    assert len(observe(server, "largest-batch", [row(i / 2_500) for i in range(2_500)]).json()["numbers"]) == 2_500
    assert server.api("viewer").get("/studies/largest-batch").json()["stopped"] == "num_trials"


def test_a_configuration_is_taken_back_while_it_waits(server):
    server.create("queued", space=SPACE)
    api = server.api("editor")
    configs = [{"x": x, "act": "relu"} for x in (0.1, 0.2, 0.3)]
    assert api.post("/studies/queued/queue", json={"configs": configs}).json()["positions"] == [0, 1, 2]
    assert api.delete("/studies/queued/queue/1").status_code == 204
    left = api.get("/studies/queued/queue").json()["items"]
    assert [(item["position"], item["config"]["x"]) for item in left] == [(0, 0.1), (2, 0.3)]
    (given,) = server.lease("queued")["assignments"]
    assert given["config"]["x"] == 0.1
    for position, status, kind in ((0, 409, "handed-out"), (1, 409, "handed-out"), (9, 404, "not-found")):
        refused = api.delete(f"/studies/queued/queue/{position}")
        assert (refused.status_code, refused.json()["type"]) == (status, f"/problems/{kind}")
    server.result("queued", given, metrics={"loss": 1})
    assert server.lease("queued")["assignments"][0]["config"]["x"] == 0.3


def test_what_was_taken_back_and_observed_survives_a_restart(own_server):
    own_server.create("kept", space=SPACE)
    api = own_server.api("editor")
    api.post("/studies/kept/queue", json={"configs": [{"x": 0.1, "act": "relu"}, {"x": 0.2, "act": "relu"}]})
    api.delete("/studies/kept/queue/0")
    observe(own_server, "kept", [row(0.5)])
    own_server.kill()
    own_server.start()
    (given,) = own_server.lease("kept")["assignments"]
    assert (given["number"], given["config"]["x"]) == (1, 0.2)
    done = own_server.api("viewer")
    assert done.get("/studies/kept/trials/0").json()["metrics"] == {"loss": 0.5}


# ------------------------------------------------------------------------------------------------ what it has come to


@pytest.fixture(scope="module")
def pair(server):
    for name, best in (("left", 0.25), ("right", 0.5)):
        server.create(name, space=SPACE, limits={"num_trials": 6})
        observe(server, name, [row(0.9), row(best), row(0.7)])
    return ("left", "right")


def test_stopping_says_what_is_left_and_whether_anything_better_was_found(server, pair):
    said = server.api("viewer").get("/studies/left/stopping").json()
    assert said["budget"]["num_trials"] == {"limit": 6, "used": 3, "left": 3}
    assert (said["num_trials_since_best"], said["stagnation"], said["stopped"]) == (1, False, None)
    server.create("stagnant", space=SPACE, limits={"num_trials": 100})
    observe(server, "stagnant", [row(i / 100) for i in range(40)])
    assert server.api("viewer").get("/studies/stagnant/stopping").json()["stagnation"] is True


def test_with_several_goals_a_new_point_of_the_front_is_progress(server):
    server.create("fronts", space=SPACE, metric=["a", "b"], limits={"num_trials": 10})
    # The second goal alone improves, then an equal of a point of the front comes, then a dominated one.
    for since, (a, b) in [(0, (1.0, 9.0)), (0, (5.0, 2.0)), (1, (5.0, 2.0)), (2, (6.0, 9.5))]:
        observe(server, "fronts", [{"config": {"x": 0.5, "act": "relu"}, "metrics": {"a": a, "b": b}}])
        assert server.api("viewer").get("/studies/fronts/stopping").json()["num_trials_since_best"] == since


def test_studies_are_compared_by_trials_and_by_time(server, pair):
    answer = server.api("viewer").get("/compare", params={"study": ["left", "right", "left"]}).json()
    left, right = answer["items"]
    assert (left["best"], left["by_trials"]) == (0.25, [[1, 0.9], [2, 0.25]])
    assert [value for _, value in right["by_time"]] == [0.9, 0.5]
    assert left["parameters"] == {"x": "0 to 1", "act": "relu, a b'c, {x}"}
    assert server.api("viewer").get("/compare").status_code == 400
    assert server.api("viewer").get("/compare", params={"study": ["left", "nothing"]}).status_code == 404


def test_a_token_for_one_study_compares_no_other(server, pair):
    import httpx

    secret = server.api().post("/tokens", json={"role": "viewer", "study": "left"}).json()["token"]
    with httpx.Client(base_url=f"{server.url}/v1", headers={"Authorization": f"Bearer {secret}"}) as own:
        assert own.get("/compare", params={"study": "left"}).status_code == 200
        assert own.get("/compare", params={"study": ["left", "right"]}).status_code == 404
        assert own.post("/studies/left/audit").status_code == 403


def test_the_best_is_there_as_code_in_every_language(server):
    server.create("coded", space=SPACE)
    observe(server, "coded", [row(0.5), {"config": {"x": 0.25, "act": "a b'c"}, "metrics": {"loss": 0.1}}])
    best = {"x": 0.25, "act": "a b'c"}

    def code(language):
        return server.api("viewer").get("/studies/coded/best/code", params={"language": language})

    assert json.loads(code("json").text) == best
    assert yaml.safe_load(code("yaml").text) == best
    assert code("yaml").headers["content-disposition"] == 'attachment; filename="best.yaml"'
    names = {}
    exec(code("python").text, names)
    assert names["config"] == best
    assert shlex.split(code("command").text) == ["--x=0.25", "--act=a b'c"]
    assert code("sklearn").status_code == 400
    assert code("perl").status_code == 400
    server.create("uncoded", space=SPACE)
    assert server.api("viewer").get("/studies/uncoded/best/code").json()["type"] == "/problems/no-result-yet"


def test_an_audit_is_a_job(server, pair):
    server.create("audited", space=SPACE, sampler="tpe", limits={"num_trials": 4})
    server.api("editor").post("/studies/audited/queue", json={"configs": [{"x": 0.5, "act": "relu"}]})
    assert server.api("editor").delete("/studies/audited/queue/0").status_code == 204
    observe(server, "audited", [row(0.5)])
    for _ in range(3):
        (given,) = server.lease("audited")["assignments"]
        server.result("audited", given, metrics={"loss": given["config"]["x"]})
    begun = server.api("editor").post("/studies/audited/audit")
    assert begun.status_code == 202
    deadline = time.monotonic() + 60
    while (job := server.api("editor").get(f"/jobs/{begun.json()['id']}").json())["state"] == "running":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (job["state"], job["result"]["is_clean"], job["result"]["num_suggestions"]) == ("done", True, 3)
    assert begun.headers["location"] == f"/v1/jobs/{job['id']}"
    assert server.api("editor").get("/jobs/none").status_code == 404
    assert server.api("editor").post("/studies/nothing/audit").status_code == 404


def test_the_command_line_of_the_best_is_what_a_shell_takes(server):
    server.create("shelled", space=SPACE)
    observe(server, "shelled", [{"config": {"x": 0.5, "act": "{x}"}, "metrics": {"loss": 0}}])
    line = server.api("viewer").get("/studies/shelled/best/code", params={"language": "command"}).text
    show = f"{shlex.quote(sys.executable)} -c 'import sys; print(sys.argv[1:])' {line}"
    assert subprocess.run(show, shell=True, capture_output=True, text=True).stdout.strip() == "['--x=0.5', '--act={x}']"


def test_a_study_measured_here_and_elsewhere_is_one_table(server, pair):
    text = server.api("viewer").get("/studies/left/trials", headers={"Accept": "text/csv"}).text
    assert [line["worker"] for line in csv.DictReader(io.StringIO(text))] == ["elsewhere"] * 3

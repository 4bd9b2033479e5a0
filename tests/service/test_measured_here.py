"""Studies that the service measures by itself: models on uploaded tables, installed objectives, limits, restarts."""

from __future__ import annotations

import random
import subprocess
import sys
import time

import psutil
import pytest

from raytune_hpo.service.bodies import MAX_BODY
from raytune_hpo.service.models.tables import MAX_BYTES

OBJECTIVE = '''
"""A bowl, and ways to fail."""
import os
import time

import raytune_hpo as hpo

space = {"x": hpo.uniform(-5, 5), "do": hpo.choice(["well", "raise", "die", "sleep", "grow", "boast"])}


def objective(config):
    print("x is", config["x"])
    if config["do"] == "raise":
        raise ValueError("as it was told")
    if config["do"] == "die":
        os._exit(3)
    if config["do"] == "sleep":
        time.sleep(60)
    if config["do"] == "grow":
        len(bytearray(1 << 33))
    if config["do"] == "boast":
        return {"loss": 1.0, **{f"word {i}": "x" * 10_000 for i in range(500)}}
    for step in range(3):
        hpo.report(loss=config["x"] ** 2 + 3 - step)
    return config["x"] ** 2
'''


def table(rows=60):
    draws = random.Random(5)
    lines = ["size,colour,kind"]
    for _ in range(rows):
        size, colour = draws.gauss(0, 1), draws.choice(["red", "blue"])
        lines.append(f"{size:.4f},{colour},{'good' if size + (colour == 'red') > 0.3 else 'bad'}")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def uploaded(server):
    answer = server.api("editor").post("/datasets", files={"file": ("../../kinds.csv", table(), "text/csv")})
    assert answer.status_code == 201, answer.text
    return answer.json()


def models(dataset, **changes):
    estimators = {"tree": {"max_depth": {"low": 1, "high": 5}}, "logistic_regression": None}
    here = {
        "kind": "sklearn",
        "dataset": dataset,
        "target": "kind",
        "folds": 3,
        "estimators": estimators,
        "num_workers": 2,
    }
    return {"objective": {**here, **changes}, "space": None}


def make(server, name, **fields):
    body = {"name": name, "sampler": "random", "seed": 1, "limits": {"num_trials": 4}, **fields}
    return server.api("editor").post("/studies", json={key: value for key, value in body.items() if value is not None})


def ended(server, name, timeout_s=90):
    deadline = time.monotonic() + timeout_s
    while (study := server.api("viewer").get(f"/studies/{name}").json())["state"] != "ended":
        assert time.monotonic() < deadline, study["counts"]
        time.sleep(0.2)
    return study


def test_a_table_comes_and_goes(server, uploaded):
    api = server.api("editor")
    assert (uploaded["name"], uploaded["num_rows"], uploaded["num_columns"]) == ("kinds.csv", 60, 3)
    assert [(c["name"], c["type"]) for c in uploaded["columns"]][:2] == [("size", "number"), ("colour", "text")]
    assert uploaded["id"] in [item["id"] for item in api.get("/datasets").json()["items"]]
    assert "bundled:iris" in [item["id"] for item in api.get("/datasets").json()["items"]]
    other = api.post("/datasets", files={"file": ("b.csv", "a,b\n1,2\n", "text/csv")}).json()
    assert api.get(f"/datasets/{other['id']}").json() == other
    assert api.delete(f"/datasets/{other['id']}").status_code == 204
    assert api.get(f"/datasets/{other['id']}").status_code == 404
    assert api.delete("/datasets/bundled:iris").status_code == 404


@pytest.mark.parametrize(
    ("files", "status", "said"),
    [
        ({"file": ("a.csv", "a,b\n1,2,3\n", "text/csv")}, 422, "line 2 has 3"),
        ({"other": ("a.csv", "a,b\n1,2\n", "text/csv")}, 422, "comes as the file 'file'"),
        ({"file": ("a.csv", b"a,b\n" + b"1,2\n" * (MAX_BYTES // 4 + 10_000), "text/csv")}, 413, "at most"),
    ],
)
def test_what_is_no_table_is_refused(server, files, status, said):
    answer = server.api("editor").post("/datasets", files=files)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert str(server.storage.parent) not in answer.text


def test_forms_have_limits_too(server):
    api = server.api("editor")
    assert api.post("/datasets", json={}).status_code == 400
    assert api.post("/datasets", files={"file": ("a", "b")}, data={"field": "x" * (MAX_BODY + 1)}).status_code == 400
    many = {f"f{i}": "" for i in range(5_001)}
    assert api.post("/datasets", files={"file": ("a", "b")}, data=many).status_code == 400
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    assert api.post("/datasets", content=b"nothing of the sort", headers=headers).status_code in (400, 422)


@pytest.mark.slow
def test_the_service_trains_models_and_the_script_gives_the_value_again(server, uploaded, tmp_path):
    answer = make(server, "kinds", metric="accuracy", **models(uploaded["id"]))
    assert answer.status_code == 201, answer.text
    in_use = server.api("editor").delete(f"/datasets/{uploaded['id']}")
    study = ended(server, "kinds")
    assert in_use.json()["type"] == "/problems/in-use"
    assert (study["counts"]["completed"], study["metric"], study["mode"]) == (4, "accuracy", "max")
    trial = server.api("viewer").get("/studies/kinds/trials/0").json()
    assert len(trial["reports"]) == 3 and trial["metrics"]["std"] >= 0
    assert {
        t["worker"].partition(".")[0] for t in server.api("viewer").get("/studies/kinds/trials").json()["items"]
    } <= {
        "http-local-1",
        "http-local-2",
    }
    script = server.api("viewer").get("/studies/kinds/best/code", params={"language": "sklearn"}).text
    (tmp_path / "best.py").write_text(script)
    (tmp_path / "kinds.csv").write_text(table())
    command = [sys.executable, "-I", "-W", "ignore", "best.py", "kinds.csv"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=150)
    assert done.stdout.strip() == f"{study['best']:.6g}", done.stderr


def test_the_very_same_study_is_found_and_another_is_not(server, uploaded):
    fields = {"metric": "accuracy", "limits": {"num_trials": 1}}
    assert make(server, "same", **fields, **models(uploaded["id"])).status_code == 201
    ended(server, "same")
    assert make(server, "same", **fields, **models(uploaded["id"])).status_code == 200
    assert make(server, "same", **fields, **models(uploaded["id"], folds=4)).json()["type"] == "/problems/spec-mismatch"


def test_wrong_objectives_are_refused_field_by_field(server, uploaded):
    wrong = make(server, "wrong", **models(uploaded["id"], target="knd", folds=1))
    assert [error["pointer"] for error in wrong.json()["errors"]] == ["/objective/target"]
    wrong = make(server, "wrong", metric="auc", **models(uploaded["id"], folds=1, estimators={"tree": {}, "tre": None}))
    pointers = [error["pointer"] for error in wrong.json()["errors"]]
    assert pointers == ["/metric", "/objective/folds", "/objective/estimators/tre"]
    assert make(server, "wrong", **models("nothing")).status_code == 422
    assert make(server, "wrong", **{**models(uploaded["id"]), "space": {"x": 1}}).status_code == 422
    assert make(server, "wrong").status_code == 422
    assert make(server, "wrong", objective={"kind": "pickle"}).status_code == 422


def test_the_models_are_listed_with_their_ranges(server):
    answer = server.api("viewer").get("/estimators").json()
    (forest,) = [item for item in answer["items"] if item["name"] == "random_forest"]
    assert forest["parameters"]["n_estimators"] == {
        "type": "int", "low": 20, "high": 500, "log": True, "default": 100, "least": 1, "most": 2_000,
    }  # fmt: skip
    assert {"name": "roc_auc", "mode": "max", "task": "classification"} in answer["metrics"]
    assert len(answer["items"]) == len({item["name"] for item in answer["items"]})


# ------------------------------------------------------------------------------------------------ installed objectives


@pytest.fixture
def with_objectives(start, tmp_path):
    folder = tmp_path / "objectives"
    folder.mkdir()
    (folder / "bowl.py").write_text(OBJECTIVE)
    (folder / "broken.py").write_text("import nothing_of_the_sort\n")
    return start("--objectives", str(folder))


def bowl(**changes):
    return {"objective": {"kind": "entry_point", "name": "bowl", **changes}}


def points(*words):
    return [{"x": 0.5, "do": word} for word in words]


def test_an_installed_objective_may_fail_in_every_way_and_the_study_goes_on(with_objectives):
    server = with_objectives
    listed = server.api("viewer").get("/objectives").json()["items"]
    assert {**listed[0], "error": None} == listed[0]
    assert (listed[0]["name"], listed[0]["summary"]) == ("bowl", "A bowl, and ways to fail.")
    assert listed[0]["parameters"] == ["x", "do"]
    assert "nothing_of_the_sort" in listed[1]["error"]
    here = bowl(num_workers=2, trial_timeout_s=3, memory_mb=256)
    ways = points("raise", "die", "sleep", "grow", "boast", "well")
    assert make(server, "bowl", points=ways, limits={"num_trials": 6}, **here).status_code == 201
    study = ended(server, "bowl")
    assert (study["counts"]["failed"], study["best"]) == (5, 0.25)
    trials = server.api("viewer").get("/studies/bowl/trials").json()["items"]
    reasons = {t["config"]["do"]: t["reason"] for t in trials}
    assert reasons["raise"] == "ValueError: as it was told"
    assert "exit code 3" in reasons["die"]
    assert "trial_timeout_s=3" in reasons["sleep"]
    assert reasons["grow"] == "MemoryError"
    assert "more than a message may hold, 4 MiB" in reasons["boast"]
    number = next(t["number"] for t in trials if t["config"]["do"] == "well")
    well = server.api("viewer").get(f"/studies/bowl/trials/{number}").json()
    assert [r["metrics"]["loss"] for r in well["reports"]] == [3.25, 2.25, 1.25]
    assert well["attempts"][0]["output"] == "x is 0.5\n"


@pytest.mark.slow
def test_a_study_measured_here_goes_on_after_a_restart(with_objectives):
    server = with_objectives
    server_points = points(*["well"] * 3, "sleep", *["well"] * 4)
    assert (
        make(server, "again", points=server_points, limits={"num_trials": 8}, **bowl(trial_timeout_s=3)).status_code
        == 201
    )
    deadline = time.monotonic() + 30
    while server.api("viewer").get("/studies/again").json()["counts"]["completed"] < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    measuring = psutil.Process(server.process.pid).children(recursive=True)
    server.kill()
    _, left = psutil.wait_procs(measuring, timeout=10)
    assert measuring and left == []
    server.start()
    study = ended(server, "again")
    assert (study["counts"]["completed"], study["counts"]["failed"]) == (7, 1)


def test_an_objective_that_cannot_be_imported_makes_no_study(with_objectives):
    answer = make(with_objectives, "broken", objective={"kind": "entry_point", "name": "broken"})
    assert answer.status_code == 422 and "No module named 'nothing_of_the_sort'" in answer.text
    assert str(with_objectives.storage.parent) not in answer.text
    assert make(with_objectives, "none", objective={"kind": "entry_point", "name": "os"}).status_code == 422

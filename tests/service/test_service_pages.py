"""Pages: what stands on them, who sees what, what forms do."""

from __future__ import annotations

import re
from html import escape, unescape
from urllib.parse import quote

import httpx
import pytest

import raytune_hpo as hpo

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browsers(server):
    """Clients with the cookies of roles, that say what a browser says."""
    return {role: server.browser(role) for role in ("viewer", "editor", "admin")}


@pytest.fixture(scope="module")
def paged(server):
    space = {"x": {"type": "float", "low": 0, "high": 1}, "kind": {"type": "choice", "values": [NASTY, "plain"]}}
    server.create("paged", space=space, limits={"num_trials": 60})
    for _ in range(55):
        (given,) = server.lease("paged")["assignments"]
        if given["number"] == 4:
            server.result("paged", given, status="failed", error=f"Traceback\nValueError: {NASTY}", output=NASTY)
        else:
            server.result("paged", given, metrics={"loss": given["config"]["x"], NASTY: 1.0}, duration_s=2)
    server.lease("paged", "runs")
    return "paged"


PAGES = [
    "/",
    "/studies/paged",
    "/studies/paged/trials",
    "/studies/paged/trials/4",
    "/studies/paged/trials/0",
    "/studies/paged/figures",
    "/studies/paged/best",
    "/studies/paged/best?language=python",
    "/compare?study=paged&study=fetched",
    "/compare",
    "/studies/fetched",
    "/studies/fetched/best",
    "/workers",
]
FOR_EDITORS = ["/new", "/new/model", "/new/model?data={table}", "/new/workers", "/new/installed", "/system"]
FOR_ADMINS = ["/tokens"]


@pytest.fixture(scope="module")
def addresses(server, paged):
    """Every page, each with the least role that may see it."""
    server.create("fetched")
    cells = f'"{NASTY}","{NASTY}!","a"'
    content = f'"{NASTY}","b","kind {NASTY}"\n' + f"{cells}\n" * 6
    made = server.api("editor").post("/datasets", files={"file": (f"{NASTY}.csv", content)}).json()
    found = [*((path, "viewer") for path in PAGES), *((path, "editor") for path in FOR_EDITORS)]
    found += [(path, "admin") for path in FOR_ADMINS]
    server.api("admin").post("/tokens", json={"role": "viewer", "label": NASTY, "study": NASTY})
    return [(path.format(table=made["id"]), role) for path, role in found]


def test_pages_show_nasty_text_as_text_and_hold_no_code(browsers, addresses):
    for path, role in addresses:
        answer = browsers[role].get(path)
        assert answer.status_code == 200, path
        assert NASTY not in answer.text, path
        assert not re.search(r"\sstyle=|\son\w+=|<script(?! src=)|javascript:", answer.text.replace(escape(NASTY), ""))
        assert len(answer.content) < 60_000, path
        assert answer.text.count("<h1>") == 1, path
        ids = re.findall(r'\sid="([^"]*)"', answer.text)
        assert len(ids) == len(set(ids)), path


def test_every_page_asks_for_its_role(browsers, addresses):
    roles = ["viewer", "editor", "admin"]
    for path, role in addresses:
        for other in roles[: roles.index(role)]:
            assert browsers[other].get(path).status_code == 403, (path, other)


def test_links_lead_somewhere(browsers, addresses):
    """Every link and every form's address on a page of ours, for an admin, is one that there is."""
    found = set()
    for path, _ in addresses:
        text = browsers["admin"].get(path).text
        found |= {
            unescape(link).partition("#")[0]
            for link in re.findall(r'(?:href|data-figure|data-plotly)="(/[^"]*)"', text)
        }
    pages = sorted(link for link in found if "/figures/" not in link)
    assert len(pages) > len(addresses) / 2
    for link in pages:
        assert browsers["admin"].get(link).status_code == 200, link


@pytest.mark.parametrize("name", ["a/b", "/", "a/trials/0", "team/run 1%2F"])
def test_a_study_with_a_slash_in_its_name_is_shown(server, browsers, name):
    space = {"x": hpo.Float(0, 1)}
    with hpo.Study(space, name=name, storage=str(server.storage), sampler="random", num_trials=2) as study:
        study.tell(study.ask(), 0.5)
    path, api = f"/studies/{quote(name, safe='')}", server.api("viewer")
    assert f'href="{path}"' in browsers["viewer"].get("/").text
    page = browsers["viewer"].get(path)
    assert (page.status_code, f'href="{path}/trials"' in page.text) == (200, True)
    assert browsers["viewer"].get(f"{path}/trials/0").status_code == 200
    assert name in [item["name"] for item in api.get("/studies").json()["items"]]
    assert api.get(path).json()["name"] == name
    assert api.get(f"{path.replace('%2F', '%2f')}/trials/0").json()["metrics"] == {"loss": 0.5}
    client = hpo.Client(server.url, server.secrets["viewer"])
    assert client.study(name).results().best_value == 0.5
    missing = api.get(f"{path}%2Fmore")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not-found")
    assert f"{name}/more" in missing.json()["detail"]
    assert missing.json()["instance"].endswith("%2Fmore")
    assert browsers["viewer"].get(f"{path}%2Fmore").status_code == 404
    assert api.get("/no%2Fsuch").status_code == browsers["viewer"].get("/no%2Fsuch").status_code == 404


def test_without_a_token_every_page_is_the_log_in(server, addresses):
    for path, _ in addresses:
        answer = httpx.get(f"{server.url}{path}")
        assert answer.status_code == 401
        assert "Paste a token" in answer.text
    wrong = httpx.post(f"{server.url}/login", data={"secret": "hpo_a_b"})
    assert "its token is unknown" in wrong.text and wrong.text.count("<title>Error: ") == 1


def test_a_study_shows_where_it_stands(browsers, paged):
    text = browsers["viewer"].get("/studies/paged").text
    assert "55<span" in text.replace("\n", "")  # of 60
    assert "54 completed" in text and "1 failed" in text and "1 running" in text
    assert "Trial 55 began on runs." in text
    assert 'data-events="/v1/studies/paged/events"' in text


def test_trials_are_filtered_by_the_address_and_what_is_wrong_is_said(browsers, paged):
    viewer = browsers["viewer"]
    failed = viewer.get("/studies/paged/trials", params={"status": "failed"}).text
    assert re.findall(r'/trials/(\d+)"', failed) == ["4"]
    first = viewer.get("/studies/paged/trials").text
    assert len(re.findall(r'/trials/(\d+)"', first)) == 50
    following = unescape(re.search(r'href="([^"]*cursor=[^"]*)"', first)[1])
    assert re.findall(r'/trials/(\d+)"', viewer.get(following).text) == [str(n) for n in range(5, -1, -1)]
    wrong = viewer.get("/studies/paged/trials", params={"where": "y < 1"}).text
    assert "<title>Error: " in wrong and "with one of the columns" in wrong


def test_a_failed_trial_shows_its_traceback_first(browsers, paged):
    text = browsers["viewer"].get("/studies/paged/trials/4").text
    assert text.index("Traceback") < text.index("Configuration")
    assert browsers["viewer"].get("/studies/paged/trials/99").status_code == 404


def test_a_viewer_sees_no_buttons_and_can_change_nothing(browsers, paged):
    assert "Stop the study" not in browsers["viewer"].get("/studies/paged").text
    assert browsers["viewer"].post("/studies/paged/stop").status_code == 403
    assert "Stop the study" in browsers["editor"].get("/studies/paged").text


def test_forms_do_what_they_say(server, browsers):
    server.create("formed")
    editor = browsers["editor"]
    assert editor.post("/studies/formed/enqueue", data={"config": '{"x": 0.25, "n": 3}'}).status_code == 303
    assert server.lease("formed")["assignments"][0]["config"] == {"x": 0.25, "n": 3}
    wrong = editor.post("/studies/formed/enqueue", data={"config": '{"x": 7}'})
    assert wrong.status_code == 422 and "Go back to where you were" in wrong.text
    assert editor.post("/studies/formed/extend", data={"num_trials": "77"}).headers["location"] == "/studies/formed"
    assert editor.post("/studies/formed/stop").status_code == 303
    text = editor.get("/studies/formed").text
    assert "ended: stopped by the user" in text and "/77" in text
    assert editor.post("/studies/formed/continue").status_code == 303
    editor.post("/studies/formed/enqueue", data={"config": '{"x": 0.5, "n": 3}'})
    assert "Take back" in editor.get("/studies/formed").text
    assert editor.post("/studies/formed/withdraw", data={"position": "1"}).status_code == 303
    assert "Take back" not in editor.get("/studies/formed").text
    assert "taken out of the queue" in editor.get("/studies/formed").text
    assert editor.post("/studies/formed/delete").status_code == 403
    assert browsers["admin"].post("/studies/formed/delete").status_code == 409  # it runs
    editor.post("/studies/formed/stop")
    assert browsers["admin"].post("/studies/formed/delete").headers["location"] == "/"
    assert editor.get("/studies/formed").status_code == 404


def test_a_study_of_own_workers_is_made_by_a_form(server, browsers):
    fields = {
        "name": "by-form",
        "metric": "loss",
        "mode": "min",
        "num_trials": "5",
        "sampler": "random",
        "scheduler": "none",
    }
    wrong = browsers["editor"].post(
        "/new/workers", data={**fields, "space": '{"x": {"type": "float", "low": 2, "high": 1}}'}
    )
    assert wrong.status_code == 422 and "<title>Error: " in wrong.text
    assert 'aria-invalid="true"' in wrong.text and 'value="by-form"' in wrong.text
    wrong = browsers["editor"].post("/new/workers", data={**fields, "num_trials": "many", "space": "{"})
    assert "Trials: a whole number; got &#39;many&#39;" in wrong.text
    space = '{"x": {"type": "float", "low": 0, "high": 1}}'
    made = browsers["editor"].post("/new/workers", data={**fields, "space": space})
    assert (made.status_code, made.headers["location"]) == (303, "/studies/by-form")
    assert len(server.lease("by-form")["assignments"]) == 1
    assert browsers["viewer"].post("/new/workers", data={**fields, "space": space}).status_code == 403


def test_a_wrong_form_of_models_comes_back_with_what_was_typed(browsers, addresses):
    page = browsers["editor"].get("/new/model?data=bundled:iris").text
    assert "histogram gradient boosting" in page and "linear regression" not in page
    assert "linear regression" in browsers["editor"].get("/new/model?data=bundled:iris&task=regression").text
    fields = {
        "data": "bundled:iris", "target": "target", "task": "classification", "metric": "accuracy", "folds": "50",
        "model": "tree", "tune": "tree.max_depth", "low.tree.max_depth": "9", "high.tree.max_depth": "2", "name": "wrong",
        "num_trials": "3", "num_workers": "1", "memory_mb": "512", "trial_timeout": "60", "seed": "1",
        "sampler": "random", "scheduler": "none", "do": "start",
    }  # fmt: skip
    text = browsers["editor"].post("/new/model", data=fields).text
    assert "Not started: 2 things need a change." in text
    for field, message in (("folds", "Folds: must be 2 to 20; got 50"), ("low-tree-max_depth", "it goes from 9 to 2")):
        assert re.search(f'<a href="#{field}">[^<]*{re.escape(message)}', text), field
        assert re.search(f'id="{field}"[^>]*aria-invalid="true"', text), field
    assert 'name="low.tree.max_depth" value="9"' in text


def test_a_configuration_is_tried_and_the_shown_program_makes_the_same_study(server, browsers, monkeypatch):
    fields = {
        "data": "bundled:iris", "target": "target", "task": "classification", "metric": "accuracy", "folds": "2",
        "model": ["tree", "naive_bayes"], "tune": ["tree.max_depth"], "low.tree.max_depth": "1", "high.tree.max_depth": "4",
        "name": "it's <shown>", "num_trials": "2", "num_workers": "1", "memory_mb": "512", "trial_timeout": "1m",
        "seed": "1", "sampler": "random", "scheduler": "none", "time": "1h",
    }  # fmt: skip
    page = browsers["editor"].post("/new/model", data={**fields, "do": "check"})
    assert page.status_code == 200
    assert re.search(r"One configuration ran: [^,]+, accuracy 0\.\d+\.</b> 2 trials on 1 worker take about", page.text)
    code = unescape(re.search(r"<pre[^>]*>(import raytune_hpo.*?)</pre>", page.text, re.DOTALL)[1])
    assert server.api("viewer").get("/studies/it's <shown>").status_code == 404
    monkeypatch.setenv("RAYTUNE_HPO_TOKEN", server.secrets["editor"])
    exec(code, {})
    found = server.api("viewer").get("/studies/it's <shown>").json()
    started = browsers["editor"].post("/new/model", data={**fields, "do": "start"})  # the very same one: it is found
    assert started.status_code == 303
    assert (found["metric"], found["limits"]["num_trials"], found["limits"]["time_budget_s"]) == ("accuracy", 2, 3600)


def test_a_table_is_uploaded_by_a_form(browsers):
    sent = browsers["editor"].post("/new/table", files={"file": ("few.csv", "a,b\n1,x\n2,y\n")})
    assert sent.status_code == 303 and sent.headers["location"].startswith("/new/model?data=")
    wrong = browsers["editor"].post("/new/table", files={"file": ("few.csv", "a,b\n1\n")})
    assert wrong.status_code == 422 and "line 2 has 1" in wrong.text


def test_a_token_is_shown_once(server, browsers):
    made = browsers["admin"].post("/tokens", data={"role": "worker", "study": "paged", "expires": "1h", "label": "gpu"})
    secret = re.search(r"hpo_[\w-]+", unescape(made.text))[0]
    assert secret not in browsers["admin"].get("/tokens").text
    headers = {"Authorization": f"Bearer {secret}"}
    me = httpx.get(f"{server.url}/v1/me", headers=headers).json()
    assert (me["role"], me["study"], me["label"]) == ("worker", "paged", "gpu")
    assert browsers["admin"].post(f"/tokens/{me['id']}/revoke").status_code == 303
    assert httpx.get(f"{server.url}/v1/me", headers=headers).status_code == 401
    wrong = browsers["admin"].post("/tokens", data={"role": "king", "expires": "soon"})
    assert wrong.status_code == 422


def test_the_best_page_has_the_code_that_is_downloaded(server, browsers, paged):
    page = browsers["viewer"].get("/studies/paged/best?language=yaml").text
    shown = unescape(re.search(r'<pre[^>]*id="code">(.*?)</pre>', page, re.DOTALL)[1])
    assert shown == server.api("viewer").get("/studies/paged/best/code", params={"language": "yaml"}).text
    best = server.api("viewer").get("/studies/paged/best").json()
    assert f"{best['metrics']['loss']:.6g}" in page


def test_studies_of_different_goals_are_not_ranked(server, browsers, paged):
    server.create("other-goal", metric="error")
    text = browsers["viewer"].get("/compare?study=paged&study=other-goal").text
    assert "different goals" in text and "leads with" not in text
    alone = browsers["viewer"].get("/compare?study=paged&study=fetched").text
    assert "paged leads with loss" in alone
    assert browsers["viewer"].get("/compare?study=nothing").status_code == 404


def test_forms_of_other_sites_are_refused(server, browsers, paged):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert browsers["editor"].post("/studies/paged/stop", headers=headers).status_code == 403

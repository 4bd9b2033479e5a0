"""Pages: what stands on them, who sees what, what forms do."""

from __future__ import annotations

import csv
import io
import re
import time
from html import escape, unescape
from urllib.parse import quote

import httpx
import pytest

import raytune_hpo as hpo
from raytune_hpo.core.snapshot import History, Point
from raytune_hpo.facts import StudyCreated
from raytune_hpo.goals import Goal
from raytune_hpo.journal import open_storage
from raytune_hpo.service.web import pictures
from raytune_hpo.spec import Part, StudySpec

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
        assert len(answer.content) < 60_000 + 1_500 * answer.text.count("<tr"), path  # the first page lists all studies
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
    without = browsers["viewer"].get("/compare?study=paged&study=fetched").text
    assert "paged leads with loss" in without and "the others have no result" in without
    alone = browsers["viewer"].get("/compare?study=paged").text
    assert "The best loss of paged is" in alone and "leads" not in alone and "others" not in alone
    assert browsers["viewer"].get("/compare?study=nothing").status_code == 404


def test_forms_of_other_sites_are_refused(server, browsers, paged):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert browsers["editor"].post("/studies/paged/stop", headers=headers).status_code == 403


def text_of(client, path):
    """What a page says, without its markup."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[-500:]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())


def told(server, name, results, **settings):
    """A stored study of these results."""
    spec = {"metric": "loss", "sampler": "random", "num_trials": len(results), **settings}
    with hpo.Study({"x": hpo.Float(0, 1)}, name=name, storage=str(server.storage), **spec) as study:
        for result in results:
            study.tell(study.ask(), result)
    return f"/studies/{name}"


@pytest.fixture(scope="module")
def bounded(server):
    """Trials 0 and 3 have lower losses than the best, trial 1, but break a constraint."""
    results = [{"loss": loss, "size": size} for loss, size in ((0.5, 9), (2, 1), (4, 3), (1, 7), (2.25, 2))]
    return told(server, "bounded", results, outcome_constraints=["size <= 3"])


def test_behind_the_best_stand_feasible_trials_with_their_distance_from_it(browsers, bounded):
    text = text_of(browsers["viewer"], f"{bounded}/best")
    assert "Trial 1 is the best, with loss 2" in text
    assert text.endswith("Behind it trial loss behind 4 2.25 0.25 2 4 2")


def test_trials_sorted_by_metric_have_feasible_ones_first_page_by_page(server, browsers, bounded):
    page = browsers["viewer"].get(f"{bounded}/trials?sort=metric").text
    assert re.findall(r'/trials/(\d+)"', page) == ["1", "4", "2", "0", "3"]
    found, query = [], {"sort": "metric", "limit": 2}
    while query.get("cursor", "") is not None:
        answer = server.api("viewer").get(f"{bounded}/trials", params=query).json()
        found += [item["number"] for item in answer["items"]]
        query["cursor"] = answer["next"]
    assert found == [1, 4, 2, 0, 3]


def test_a_trial_says_which_constraint_it_breaks_and_by_how_much(browsers, bounded):
    table = text_of(browsers["viewer"], f"{bounded}/trials")
    assert table.count("completed breaks size <= 3") == 2 and "needs size <= 3" in table
    broken, kept = (text_of(browsers["viewer"], f"{bounded}/trials/{n}") for n in (0, 1))
    assert "completed breaks size <= 3" in broken and "size <= 3 9 broken by 6" in broken
    assert "breaks" not in kept and "size <= 3 1 holds" in kept


def test_the_history_marks_what_breaks_a_constraint_and_the_page_counts_the_others(browsers, bounded):
    page = browsers["viewer"].get(bounded).text
    assert page.count('class="dots infeasible"') == 1 and 'class="dots completed"' in page
    text = text_of(browsers["viewer"], bounded)
    assert "completed breaks a constraint pruned" in text and "feasible of the completed 3 /5" in text


def test_a_trial_without_the_metric_of_a_constraint_has_pages(server, browsers):
    """It was completed at its scheduler's last step, where it had reported only its loss."""
    scheduler, path = {"name": "asha", "max_steps": 2}, "/studies/unknown"
    settings = {"metric": "loss", "sampler": "random", "outcome_constraints": ["size <= 3"], "scheduler": scheduler}
    with hpo.Study({"x": hpo.Float(0, 1)}, name="unknown", storage=str(server.storage), **settings) as study:
        trial = study.ask()
        assert [study.report(trial, step, {"loss": 1.0}) for step in (1, 2)] == ["continue", "complete"]
    text = text_of(browsers["viewer"], f"{path}/trials/0")
    assert "completed breaks size <= 3" in text
    assert "not known to hold: the trial has no such metric" in text
    assert "completed breaks size <= 3" in text_of(browsers["viewer"], f"{path}/trials")


def test_the_option_none_is_no_empty_cell(server, browsers):
    point = {"kind": None, "x": 0.5}
    space = {"kind": hpo.choice([None, "a"]), "x": hpo.Float(0, 1)}
    settings = {"metric": "loss", "sampler": "random", "points_to_evaluate": [point], "num_trials": 1}
    with hpo.Study(space, name="optional", storage=str(server.storage), **settings) as study:
        study.tell(study.ask(), {"loss": 1.0})
    assert "0 completed 1 None 0.5" in text_of(browsers["viewer"], "/studies/optional/trials")


def test_a_table_has_feasibility_and_no_parameters_among_metrics(server, bounded):
    def table(path):
        answer = server.api("viewer").get(f"{path}/trials", headers={"accept": "text/csv"})
        return list(csv.DictReader(io.StringIO(answer.text)))

    assert [row["feasible"] for row in table(bounded)] == ["False", "True", "True", "False", "True"]
    rows = table(told(server, "alike", [{"loss": 1.0, "x": 7.0}, {"loss": 1.0}]))  # x is a parameter as well
    assert [row["metrics/x"] for row in rows] == ["7.0", ""] and all(row["config/x"] for row in rows)
    assert "feasible" not in rows[0]


def test_a_study_without_a_feasible_trial_says_so_on_every_page(server, browsers, bounded):
    path = told(server, "hopeless", [{"loss": 1, "size": 9}] * 2, outcome_constraints=["size <= 3"])
    why = "0 of 2 completed trials are feasible; broken: size <= 3 by 2"
    for page in (path, f"{path}/best", "/compare?study=hopeless&study=bounded"):
        text = text_of(browsers["viewer"], page)
        assert why in text and "none yet" not in text and "only" not in text.partition("Where they stand")[0], page
    assert why in server.api("viewer").get(f"{path}/best").json()["detail"]


def test_a_study_of_several_metrics_shows_its_front_and_is_not_ranked_by_one_metric(server, browsers):
    results = [{"loss": loss, "ms": ms, "acc": 0.5} for loss, ms in ((1, 90), (2, 20), (3, 10), (4, 95), (2.5, 15))]
    settings = {"metric": ["loss", "ms", "acc"], "mode": ["min", "min", "max"], "thresholds": {"ms": 50}}
    path, viewer = told(server, "traded", results, **settings), browsers["viewer"]
    overview = text_of(viewer, path)
    assert "minimises loss, minimises ms past 50, maximises acc" in overview
    assert "trials on the Pareto front 4 of these past the thresholds 3" in overview
    assert "3 of 4 past the thresholds: ms <= 50" in overview
    assert "trial loss ms acc remark 1 2 20 0.5 best loss" in overview and "best loss, trial" not in overview
    assert "with loss 2.5, ms 15, acc 0.5" in overview  # the newest event
    best = text_of(viewer, f"{path}/best?trial=2&language=yaml")
    assert "Below is trial 2 , with loss 3, ms 10, acc 0.5" in best and "is the best" not in best
    assert "# traded, trial 2: loss 3, ms 10, acc 0.5" in best and "Behind it" not in best
    assert "trial=2" in viewer.get(f"{path}/best?trial=2").text
    assert "front of 4 loss min , ms min , acc max" in text_of(viewer, "/")
    told(server, "traded-too", results, **settings)
    compared = text_of(viewer, "/compare?study=traded&study=traded-too")
    assert "not ranked by one of them" in compared and "leads" not in compared and "front of 4" in compared
    table = viewer.get(f"{path}/trials").text
    assert len(re.findall(r'<tr class="best">', table)) == 4
    assert ">best</th>" not in viewer.get(f"{path}/trials/3").text


def test_a_study_that_nobody_may_run_any_more_has_no_running_clock(server, browsers):
    study = hpo.Study({"x": hpo.Float(0, 1)}, name="given-up", storage=str(server.storage), sampler="random")
    study.ask()
    viewer, api = browsers["viewer"], server.api("viewer")
    assert "given-up running or interrupted" in text_of(viewer, "/studies/given-up")
    elapsed = [api.get("/studies/given-up").json()["status"]["elapsed_s"] for _ in range(2)]
    assert elapsed[0] == elapsed[1] < 1
    assert re.search(r"running or interrupted \d+", text_of(viewer, "/"))
    names = re.findall(r'value="([^"]*)" aria-label="Compare', viewer.get("/?state=running+or+interrupted").text)
    assert "given-up" in names and "paged" not in names
    assert "given-up running or interrupted" in text_of(viewer, "/compare?study=given-up")


def test_times_say_their_zone(browsers, paged):
    times = re.findall(r"<time [^>]*data-clock>([^<]*)</time>", browsers["viewer"].get("/studies/paged").text)
    assert times and all(re.fullmatch(r"(\d\d:|\d\d \w{3} )\d\d:\d\d UTC", time) for time in times)


def test_an_address_that_has_no_page_is_said_on_a_page_to_browsers_and_in_json_to_programs(browsers):
    viewer, html = browsers["viewer"], {"Accept": "text/html,*/*;q=0.8"}
    for path in ("/studis", "/studies/paged/trials/first"):
        page = viewer.get(path, headers=html)
        assert page.status_code == 404 and "<h1>There is nothing here</h1>" in page.text and path in page.text
        assert viewer.get(path).json()["status"] == 404
    assert "takes only what a form sends" in viewer.get("/studies/paged/stop", headers=html).text
    assert viewer.get("/v1/studis", headers=html).json()["status"] == 404


def test_a_trial_shows_what_was_measured_on_each_instance(server, browsers):
    def length(config, instance):
        return len(instance) * (1 + config["x"])

    words = ["tree", NASTY]
    settings = {"metric": "loss", "sampler": "random", "runtime": "local", "progress": False, "num_trials": 1}
    found = hpo.tune(
        length, {"x": hpo.Float(0, 1)}, name="words", storage=str(server.storage), instances=words, **settings
    )
    text = text_of(browsers["viewer"], "/studies/words/trials/0")
    for word in words:
        assert f"{word} {found[0].per_instance[word]['loss']:.6g}" in text
    assert "by instance, the mean so far" in text


@pytest.mark.parametrize(("length", "labels"), [(1, ["0", "1"]), (15, ["0", "7", "15"]), (2, ["0", "1", "2"])])
def test_labels_of_the_history_stand_where_their_numbers_are(length, labels):
    points = (Point(length, 1.0, True),)
    drawn = History(metric="loss", mode="min", points=points, best=((length, 1.0),), length=length)
    axis = pictures.history(drawn, Goal("loss"), None)["x"]
    assert [label["text"] for label in axis] == labels
    assert [float(label["at"]) for label in axis] == pytest.approx([100 * int(n) / length for n in labels], abs=0.1)


def test_the_best_studies_have_the_lines_of_a_comparison(server, browsers):
    for n in range(5):
        server.create(f"line-{n}", limits={"num_trials": 2})
        seen = [{"config": {"x": 0.5, "n": 1}, "metrics": {"loss": 9.0 - n}}]
        assert server.api("editor").post(f"/studies/line-{n}/observations", json={"observations": seen}).is_success
    page = browsers["viewer"].get("/compare?" + "&".join(f"study=line-{n}" for n in range(5))).text
    assert re.findall(r"</svg>(line-\d)</li>", page)[:4] == ["line-1", "line-2", "line-3", "line-4"]
    assert "1 more has no line: only the four with the best values are drawn." in page


def test_a_line_comes_into_a_comparison_from_values_that_it_does_not_show():
    for mode, first in (("min", 3.0), ("max", -3.0)):
        drawn = pictures.lines([pictures.Line(name="a", corners=((1, first), (4, 1.0)), end=10)], Goal("loss", mode))
        y = float(re.match(r"M\S+ (\S+?)H", drawn["lines"][0]["path"])[1])
        assert y < 0 if mode == "min" else y > 100
        assert all(0 <= float(tick["at"]) <= 100 for tick in drawn["y"])


def test_all_trials_of_the_table_come_as_csv(server, browsers, paged):
    page = browsers["viewer"].get("/studies/paged/trials?status=completed&sort=metric").text
    link = unescape(re.search(r'href="([^"]*trials\.csv[^"]*)"', page)[1])
    answer = browsers["viewer"].get(link)
    assert answer.headers["content-disposition"] == 'attachment; filename="trials.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    counts = server.api("viewer").get("/studies/paged").json()["counts"]
    losses = [float(row["metrics/loss"]) for row in rows]
    assert len(rows) == counts["completed"] and losses == sorted(losses)
    refused = browsers["viewer"].get("/studies/paged/trials.csv?where=bogus")
    assert refused.status_code == 400 and "where is COLUMN OP NUMBER" in refused.text


def test_a_fact_of_a_clock_that_is_ahead_lies_in_the_future(server, browsers):
    spec = StudySpec(
        name="ahead", space=hpo.Space({"x": hpo.uniform(0, 1)}), goals=(Goal("loss"),), sampler=Part(name="random")
    )
    store = open_storage(str(server.storage))
    journal = store.journal("ahead", create=True, owner="test")
    journal.append([StudyCreated(spec=spec.to_json(), at=time.time() + 7_200.0)], expect=0)
    journal.close()
    store.close()
    page = text_of(browsers["viewer"], "/?q=ahead")
    assert re.search(r"1h 59m in the future|2h in the future", page) and not re.search(r"-\d+s ago", page)

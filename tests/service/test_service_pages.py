"""Pages: what stands on them, who sees what, what forms do; and in a browser, that they go on by themselves."""

from __future__ import annotations

import re
import shutil
from html import escape, unescape

import httpx
import pytest

CHROMIUM = shutil.which("chromium")
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browsers(server):
    """Clients with the cookies of roles, that say what a browser says."""
    found = {}
    for role in ("viewer", "editor"):
        client = httpx.Client(base_url=server.url, headers={"Sec-Fetch-Site": "same-origin"}, verify=False, timeout=30)
        answer = client.post("/login", data={"secret": server.secrets[role]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        found[role] = client
    return found


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
    "/workers",
]


@pytest.mark.parametrize("path", PAGES)
def test_pages_show_nasty_text_as_text_and_hold_no_code(browsers, paged, path):
    answer = browsers["viewer"].get(path)
    assert answer.status_code == 200
    assert NASTY not in answer.text
    assert not re.search(r"\sstyle=|\son\w+=|<script(?! src=)|javascript:", answer.text.replace(escape(NASTY), ""))
    assert len(answer.content) < 60_000
    assert answer.text.count("<h1>") == 1


def test_without_a_token_every_page_is_the_log_in(server, paged):
    for path in PAGES:
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


def test_forms_of_other_sites_are_refused(server, browsers, paged):
    headers = {"Sec-Fetch-Site": "cross-site", "Origin": "http://evil.example"}
    assert browsers["editor"].post("/studies/paged/stop", headers=headers).status_code == 403


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_in_a_browser_pages_fit_and_go_on_by_themselves(server, paged, scheme):
    from playwright.sync_api import sync_playwright

    server.create(f"live-{scheme}")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        page = browser.new_page(viewport={"width": 320, "height": 700}, color_scheme=scheme)
        refused, foreign = [], []
        page.on("console", lambda message: refused.append(message.text) if "Content Security" in message.text else None)
        page.on(
            "request", lambda request: foreign.append(request.url) if not request.url.startswith(server.url) else None
        )
        page.goto(server.url)
        page.fill("#secret", server.secrets["editor"])
        page.keyboard.press("Enter")
        page.wait_for_selector("table")
        for path in PAGES:
            page.goto(server.url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 320, path
            assert page.evaluate("document.querySelectorAll('*').length") < 1_000
        page.goto(f"{server.url}/studies/live-{scheme}")
        page.get_by_text("live", exact=True).wait_for()
        (given,) = server.lease(f"live-{scheme}")["assignments"]
        server.result(f"live-{scheme}", given, metrics={"loss": 0.125})
        page.locator("#card").get_by_text("0.125").wait_for(timeout=5_000)
        page.locator("summary", has_text="Stop").focus()
        page.keyboard.press("Enter")
        page.get_by_role("button", name="Stop the study").wait_for()
        page.keyboard.press("Escape")
        assert page.locator("details.menu[open]").count() == 0
        foreign = [url for url in foreign if not url.startswith(("data:", "blob:"))]
        assert (refused, foreign) == ([], [])
        browser.close()

"""Pages in a browser: they fit, go on by themselves, draw figures, ask nobody else, and lead from a table to a script."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone

import live_story
import pytest

playwright_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here"),
]
# From the first moment of every page: what the content security policy refuses, as the browser tells it.
WATCH = "window.refused = []; addEventListener('securitypolicyviolation', e => refused.push(e.violatedDirective))"

# What plotly tries and is refused without harm: styles beside its empty element, and eval, to see whether it may.
PLOTLY_TRIES = {"style-src-elem", "style-src-attr", "script-src"}


def sign_in(page, server):
    """As the administrator; the page then shows the list of studies."""
    page.goto(server.url)
    page.fill("#secret", server.secrets["admin"])
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:has-text('Studies')")


@pytest.fixture(scope="module")
def chromium():
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, server, request):
    """A page that is logged in as an admin, at the width and in the colours that are asked for; it asks nobody else."""
    foreign = []

    def opening(*, width=1280, scheme="light", script=True):
        context = chromium.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,
            java_script_enabled=script,
            accept_downloads=True,
        )
        request.addfinalizer(context.close)
        page = context.new_page()
        page.add_init_script(WATCH)
        page.on(
            "request", lambda r: None if r.url.startswith((server.url, "data:", "blob:")) else foreign.append(r.url)
        )
        sign_in(page, server)
        return page

    yield opening
    assert foreign == []


@pytest.fixture(scope="module")
def drawn(server):
    """A study with something on every page, and one beside it."""
    space = {"x": {"type": "float", "low": 0, "high": 1}, "kind": {"type": "choice", "values": ["a", "b"]}}
    for name in ("drawn", "beside"):
        server.create(name, space=space, limits={"num_trials": 40})
        for n in range(30):
            (given,) = server.lease(name)["assignments"]
            path, worker = f"/studies/{name}/trials/{given['number']}/reports", server.api("worker")
            if n == 4:
                server.result(name, given, status="failed", error="Traceback\nValueError: no", output="hello")
                continue
            for step in (1, 2):
                rows = [{"step": step, "metrics": {"loss": given["config"]["x"] + 1 / step}}]
                worker.post(path, json={"attempt": given["attempt"], "reports": rows})
            server.result(name, given, metrics={"loss": given["config"]["x"]}, duration_s=2 + n % 3)
        server.lease(name, "runs")
    live_story.tell(str(server.storage), server.storage.with_name("shop-seat"), "shop", time.time())
    server.api("viewer").get("/live/shop")  # it is read by then
    return "drawn"


PAGES = [
    "/",
    "/studies/drawn",
    "/studies/drawn/trials",
    "/studies/drawn/trials/4",
    "/studies/drawn/figures",
    "/studies/drawn/best",
    "/compare?study=drawn&study=beside",
    "/new",
    "/new/model",
    "/new/model?data=bundled:iris",
    "/new/workers",
    "/new/installed",
    "/live",
    "/live/shop",
    "/live/shop?hours=168&at=never",
    "/live/shop/diff?one=0&other=1",
    "/workers",
    "/tokens",
    "/system",
]


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_every_page_fits_and_breaks_no_rule_of_accessibility(opened, server, drawn, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    page, broken = opened(width=width, scheme=scheme), {}
    for path in PAGES:
        page.goto(server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.evaluate("document.querySelectorAll('*').length") < 1_200, path
        found = axe.run(page).response["violations"]
        if found:
            broken[path] = [(v["id"], [node["html"][:120] for node in v["nodes"]][:3]) for v in found]
        assert set(page.evaluate("refused")) <= (PLOTLY_TRIES if "figures" in path else set()), path
    assert broken == {}


def test_every_figure_is_drawn_when_it_is_seen(opened, server, drawn):
    page = opened()
    page.goto(f"{server.url}/studies/drawn/figures")
    places = page.locator("[data-figure]")
    assert places.count() >= 10
    assert page.locator("[data-figure] .main-svg").count() < 2 * places.count()  # not all at once
    for index in range(places.count()):
        place = places.nth(index)
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for(timeout=120_000)
    assert page.locator(".plot.failed").count() == 0
    kinds = page.evaluate("[...document.querySelectorAll('.plot')].flatMap(p => p._fullData.map(d => d.type))")
    assert "parcoords" in kinds
    assert set(page.evaluate("refused")) <= PLOTLY_TRIES


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_goes_on_by_itself_and_by_keyboard_alone(opened, server, scheme):
    name = f"live-{scheme}"
    server.create(name)
    page = opened(width=320, scheme=scheme)
    page.goto(f"{server.url}/studies/{name}")
    page.get_by_text("live", exact=True).wait_for()
    (given,) = server.lease(name)["assignments"]
    server.result(name, given, metrics={"loss": 0.125})
    page.locator("#card").get_by_text("0.125").wait_for(timeout=5_000)
    page.locator("summary", has_text="Stop").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Stop the study").wait_for()
    page.keyboard.press("Escape")
    assert page.locator("details.menu[open]").count() == 0
    assert page.evaluate("refused") == []


def test_from_a_table_to_a_script_that_gives_the_value_again(opened, server, tmp_path):
    """Create by form, watch it change, enqueue, stop, download the code, run that in a folder of its own."""
    draws = random.Random(1)
    lines = ["size;colour;kind"]
    for _ in range(80):
        size, colour = draws.gauss(0, 1), draws.choice(["red", "blue"])
        lines.append(f"{size:.4f};{colour};{'good' if size + (colour == 'red') > 0.3 else 'bad'}")
    table = tmp_path / "kinds of things.csv"
    table.write_text("\n".join(lines))

    page = opened()
    page.get_by_role("link", name="New study").first.click()
    page.get_by_role("link", name="Choose a table").click()
    page.set_input_files("#file", table)
    page.get_by_role("button", name="Upload and preview").click()
    page.get_by_role("heading", name="New study from kinds of things.csv").wait_for()
    assert page.locator("#target").input_value() == "kind"
    for name in ("hist_gradient_boosting", "random_forest"):
        page.uncheck(f"#model-{name}")
    page.check("#model-tree")
    page.fill("#folds", "3")
    page.fill("#num_trials", "100000")
    page.fill("#name", "things")
    page.select_option("#sampler", "random")
    page.get_by_role("button", name="Check with one configuration").click()
    page.get_by_text("One configuration ran:").wait_for(timeout=120_000)
    page.get_by_role("button", name="Start the study").click()
    page.wait_for_url("**/studies/things")
    finished = page.locator("#card dd").first
    page.locator("#card").get_by_text("trial").first.wait_for()
    before = finished.inner_text()
    playwright_api.expect(finished).not_to_have_text(before, timeout=120_000)  # without a reload
    page.locator("summary", has_text="Enqueue").click()
    page.fill("#js", '{"model": {"name": "tree", "max_depth": 3, "min_samples_leaf": 2}}')
    page.get_by_role("button", name="Enqueue 1").click()
    page.locator("#log", has_text="A configuration was enqueued.").or_(page.locator("#card")).first.wait_for()
    page.locator("summary", has_text="Stop").click()
    page.get_by_role("button", name="Stop the study").click()
    page.get_by_text("ended: stopped by the user").first.wait_for()
    page.get_by_role("link", name="Best and code").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download best.py").click()
    said = page.locator(".said").inner_text()
    download.value.save_as(tmp_path / "best.py")
    command = [sys.executable, "-I", "-W", "ignore", "best.py", table.name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in said
    assert page.evaluate("refused") == []


def test_no_title_of_a_figure_is_cut_off_on_a_narrow_screen(opened, server, drawn):
    page = opened(width=320)
    page.goto(f"{server.url}/studies/drawn/figures")
    for name in ("importances", "distribution", "timeline"):
        place = page.locator(f"#{name} [data-figure]")
        place.scroll_into_view_if_needed()
        place.locator(".main-svg").first.wait_for(timeout=120_000)
        right = place.bounding_box()["x"] + place.bounding_box()["width"]
        titles = place.locator(".annotation-text, .gtitle, .xtitle")
        ends = [titles.nth(index).bounding_box() for index in range(titles.count())]
        assert ends, name
        assert [end for end in ends if end["x"] + end["width"] > right + 1] == [], name


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_best_is_confirmed_by_keyboard_alone(opened, server, scheme):
    name = f"iris-{scheme}"
    trees = {"tree": {"max_depth": {"low": 2, "high": 4}}}
    objective = {"kind": "sklearn", "dataset": "bundled:iris", "target": "target", "folds": 3, "estimators": trees}
    body = {"name": name, "metric": "accuracy", "limits": {"num_trials": 5}, "objective": objective}
    assert server.api().post("/studies", json=body).status_code == 201
    page = opened(width=320, scheme=scheme)
    page.goto(f"{server.url}/studies/{name}")
    page.get_by_text("ended").first.wait_for(timeout=120_000)
    page.goto(f"{server.url}/studies/{name}/best")
    page.get_by_text("measured once").wait_for()
    page.locator("summary", has_text="Confirm").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("2")
    page.keyboard.press("Tab")
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    page.get_by_text("that were run again").wait_for(timeout=120_000)
    assert page.get_by_text("measured once").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert page.evaluate("refused") == []


def test_a_failed_trial_s_traceback_is_two_clicks_from_the_list(opened, server, drawn):
    page = opened()
    page.get_by_role("link", name="drawn", exact=True).click()
    page.locator("#failures a").first.click()
    page.locator("pre", has_text="ValueError: no").wait_for()


def test_pages_work_without_script(opened, server, drawn):
    page = opened(script=False)
    page.check("input[aria-label='Compare drawn']")
    page.check("input[aria-label='Compare beside']")
    page.get_by_role("button", name="Compare ticked").click()
    page.get_by_role("heading", name="Compare 2 studies").wait_for()
    page.goto(f"{server.url}/studies/drawn/figures")
    page.get_by_text("Figures are drawn by a script when they scroll into view.").wait_for()
    page.goto(f"{server.url}/new/model?data=bundled:diabetes")
    assert page.locator("#metric option").first.inner_text().startswith("r2")
    page.select_option("#kind", "classification")
    page.get_by_role("button", name="Take this target").click()
    assert page.locator("#metric option").first.inner_text().startswith("accuracy")


def test_a_live_page_goes_on_by_itself_and_freezes_at_a_key(opened, server):
    live_story.tell(str(server.storage), server.storage.with_name("till-seat"), "till", time.time(), hours=4)
    page = opened(width=320)
    page.goto(f"{server.url}/live")
    page.get_by_role("link", name="till").click()
    page.get_by_text("live", exact=True).wait_for()
    assert page.locator(".lanes .fig").count() == 4
    assert "Trial 12 broke a guard." in page.locator("#log").inner_text()
    server.api("editor").post("/live/till/freeze", json={"reason": "by another"})
    page.locator("#card", has_text="by another").wait_for()  # without a reload
    page.get_by_role("button", name="Thaw").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Freeze now").wait_for()
    assert "thawed it." in page.locator("#log").inner_text()
    page.goto(server.url)
    page.get_by_role("button", name="Freeze live tuning").click()
    page.wait_for_selector("h1:has-text('Live tuning')")
    assert server.api("viewer").get("/live/till").json()["state"] == "frozen"
    server.api().post("/live/till/thaw")


def test_times_are_those_of_the_readers_zone_also_in_parts_that_come_later(chromium, server):
    """Kiritimati is 14 hours ahead, so the date is another one than in UTC for most of the day."""
    server.create("zoned")
    context = chromium.new_context(timezone_id="Pacific/Kiritimati", viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sign_in(page, server)
    page.goto(f"{server.url}/studies/zoned")
    page.get_by_text("live", exact=True).wait_for()
    (given,) = server.lease("zoned")["assignments"]
    server.result("zoned", given, metrics={"loss": 0.125})
    page.locator("#log", has_text="Trial 0 completed").wait_for(timeout=10_000)
    for time_of in page.locator("#log time").all():
        utc = datetime.fromisoformat(time_of.get_attribute("datetime").replace("Z", "+00:00"))
        own = utc.astimezone(timezone(timedelta(hours=14)))
        assert time_of.inner_text() == own.strftime("%H:%M:%S")
        assert own.strftime("%Y %H:%M:%S GMT+14") in time_of.get_attribute("title")
    parts = page.evaluate("document.getElementById('log').innerHTML")
    page.evaluate("document.getElementById('log').dataset.mine = 'kept'; refresh()")
    page.wait_for_timeout(500)
    assert page.evaluate("document.getElementById('log').innerHTML") == parts
    assert page.locator("#log[data-mine]").count() == 1  # nothing has changed, so nothing is replaced
    context.close()


def test_what_ran_is_asked_for_in_the_readers_zone(chromium, server, drawn):
    context = chromium.new_context(timezone_id="Pacific/Kiritimati")
    page = context.new_page()
    sign_in(page, server)
    page.goto(f"{server.url}/live/shop")
    page.get_by_label("What ran at (your time)").fill("2026-11-28 14:30")
    page.get_by_role("button", name="Show").click()
    page.wait_for_url("**at=**")
    assert page.locator("#at").input_value() == "2026-11-28 14:30+14:00"
    assert page.locator("#at-error").count() == 0 or "Nothing had run" in page.locator("#at-error").inner_text()
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_long_names_of_parameters_hide_no_value(opened, server, width):
    name = f"long-{width}"
    long = "a_name_that_somebody_chose_for_the_dropout_probability_of_the_first_layer_of_their_network"
    server.create(name, space={key: {"type": "float", "low": 0, "high": 1} for key in (long, f"{long}2")})
    (given,) = server.lease(name)["assignments"]
    server.result(name, given, metrics={"loss": 0.5})
    page = opened(width=width)
    for path in ("", "/best", "/trials/0"):
        page.goto(f"{server.url}/studies/{name}{path}")
        cell = page.locator("td.value").first.bounding_box()
        box = page.locator(".scroll", has=page.locator("td.value")).first.bounding_box()
        assert cell["x"] + cell["width"] <= box["x"] + box["width"] + 1, path
    page.goto(f"{server.url}/studies/{name}/trials")
    hidden = page.evaluate("(box => box.scrollWidth - box.clientWidth)(document.querySelector('.scroll'))")
    assert hidden <= (0 if width == 1280 else 600)


def test_a_long_name_pushes_no_column_out_of_sight(opened, server):
    server.create("n" * 200)
    for width in (1280, 320):
        page = opened(width=width)
        box = page.locator("th", has_text=re.compile("^best$")).bounding_box()
        assert box is not None and box["x"] + box["width"] <= width


def test_the_buttons_are_those_of_the_state_when_a_study_ends_before_the_eyes(opened, server):
    server.create("ended-before-the-eyes")
    page = opened()
    page.goto(f"{server.url}/studies/ended-before-the-eyes")
    page.wait_for_selector("summary:has-text('Stop')")
    server.api("editor").post("/studies/ended-before-the-eyes/stop")
    page.wait_for_selector("button:has-text('Continue')", timeout=10_000)
    assert page.locator("summary", has_text="Stop").count() == 0

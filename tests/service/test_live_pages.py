"""Pages of running systems: the story of a study, who sees which buttons, and what forms do without a controller."""

from __future__ import annotations

import re
import time
from html import unescape

import live_story
import pytest

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def shop(server):
    """A live study whose name would be markup, if anybody let it; its folder is here, its controller is gone."""
    folder = server.storage.with_name("nasty-seat")
    live_story.tell(str(server.storage), folder, NASTY, time.time())
    while server.api("viewer").get(f"/live/{NASTY}").status_code == 202:
        time.sleep(0.2)
    return f"/live/{NASTY}", folder


@pytest.fixture(scope="module")
def browsers(server):
    return {role: server.browser(role) for role in ("viewer", "editor", "admin")}


def shown(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[-500:]
    assert "<img" not in answer.text and "style=" not in answer.text
    return unescape(re.sub(r"<[^>]*>", " ", answer.text))


def test_a_page_says_what_runs_what_changed_and_why(browsers, shop):
    text = shown(browsers["viewer"], shop[0])
    assert "holding" in text and "33 at 100 %" in text
    assert "broke a guard" in text and "Rolled back to the baseline, read back and confirmed." in text
    assert "20 went to 100 %." in text and "% better than control in 3 windows." in text
    assert "ann froze it." in text and "a sale" in text
    assert re.search(r"p99\s+≤ 150\s+9\d\.\d+\s+19\d\.\d+\s+tripped", text)
    assert re.search(r"threads\s+16\s+24\s+± 5 %", text)
    assert len(re.findall("rollbacks in a day", text)) > 0 and "against the baseline at this load" in text
    assert "NaN" not in browsers["viewer"].get(shop[0]).text


def test_the_list_names_every_live_study_and_what_it_runs(browsers, shop):
    text = shown(browsers["viewer"], "/live")
    assert NASTY in text and "holding" in text and "33 at 100 %" in text


def test_what_ran_at_a_time_is_asked_for_in_the_address(browsers, shop):
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    text = shown(browsers["viewer"], f"{shop[0]}?at={when}")
    assert re.search(r"control\s+ran\s+threads=24, timeout=0.45", text)
    assert 'A time is like "2026-11-28 14:30"' in shown(browsers["viewer"], f"{shop[0]}?at=noon")
    assert "Nothing had run by then" in shown(browsers["viewer"], f"{shop[0]}?at=1999-01-01")


def test_two_windows_stand_side_by_side(browsers, shop):
    text = shown(browsers["viewer"], f"{shop[0]}/diff?one=10&other=12")
    assert re.search(r"threads\s+16\s+8\s+differs", text) and re.search(r"timeout\s+0.5\s+0.5", text)
    assert browsers["viewer"].get(f"{shop[0]}/diff?one=1&other=99999").status_code == 404
    assert browsers["viewer"].get(f"{shop[0]}/diff?one=1&other=x").status_code == 400


def test_viewers_see_no_buttons_and_editors_cannot_thaw(browsers, shop):
    viewer, editor, admin = (browsers[role] for role in ("viewer", "editor", "admin"))
    assert "Freeze now" not in viewer.get(shop[0]).text and viewer.post(f"{shop[0]}/freeze").status_code == 403
    assert "Freeze live tuning" in editor.get("/").text and "Freeze live tuning" not in viewer.get("/").text
    assert editor.post(f"{shop[0]}/freeze", data={"reason": NASTY}).status_code == 303
    assert (shop[1] / "frozen.json").exists()  # at the applier, whoever controls it
    assert NASTY in shown(editor, shop[0]) and "An admin can thaw it" in shown(editor, shop[0])
    assert editor.post(f"{shop[0]}/thaw").status_code == 403
    assert admin.post(f"{shop[0]}/thaw").status_code == 303 and not (shop[1] / "frozen.json").exists()
    assert admin.post(f"{shop[0]}/adopt").status_code == 422  # nobody has changed anything by hand
    assert editor.post(f"{shop[0]}/approve", data={"number": "7"}).status_code == 422
    assert editor.post("/live/freeze").headers["location"] == "/live"
    assert (shop[1] / "frozen.json").exists()
    assert admin.post(f"{shop[0]}/thaw").status_code == 303


def test_all_decisions_are_computed_again(server, browsers, shop):
    begun = browsers["editor"].post(f"{shop[0]}/replay")
    assert begun.status_code == 303
    text = ""
    for _ in range(120):
        text = shown(browsers["editor"], begun.headers["location"])
        if "are being computed again" not in text:
            break
        time.sleep(0.25)
    assert "decisions come out" in text  # the story's own sampler has no name by which it could be made again
    assert browsers["editor"].get(f"{shop[0]}/replay?job=0").status_code == 404


def test_rolling_back_works_without_a_controller(browsers, shop):
    assert browsers["editor"].post(f"{shop[0]}/rollback").status_code == 303
    text = shown(browsers["viewer"], shop[0])
    assert "baseline at 100 %" in text and "set the baseline: threads=16, timeout=0.5." in text

"""``hpo.Live`` and ``raytune-hpo live``, as people use them, on the real clock with short windows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

import raytune_hpo as hpo
from raytune_hpo.cli import main
from raytune_hpo.errors import SpaceError, SpecError, SpecMismatch
from raytune_hpo.journal import open_storage
from raytune_hpo.live.appliers import StaleChange, is_running
from raytune_hpo.live.live import default_seat
from raytune_hpo.live.pull_applier import PullApplier
from raytune_hpo.live.seat import AgeByChange, Seat, SeatedApplier, age_at, fall_back
from tests.live.running_system import BASELINE, FAST, SPACE, Scripted, System

SHORT = {"window_s": 0.2, "check_s": 0.05, "observe": 4, "looks": [4], "changes_per_hour": 1000, "exploration": 0.9}


def make(tmp_path, **more):
    given = {"goal": "cost", "guards": ["p99 <= 150"], "baseline": BASELINE, "context": ["rps"], "name": "shop"}
    given |= {"storage": f"sqlite:///{tmp_path}/s.db", "seat": tmp_path / "seat", "tell": lambda text: None}
    return hpo.Live(SPACE, **{**given, **SHORT, **more})


def cli(tmp_path, *words):
    name = ["live", words[0], *(words[1:2] if words[0] == "baseline" else ())]
    rest = words[len(name) - 1 :]
    return CliRunner().invoke(main, [*name, "shop", *rest, "--storage", f"sqlite:///{tmp_path}/s.db"])


def test_a_better_configuration_is_promoted_and_everything_can_be_asked(tmp_path):
    system = System()
    live = make(tmp_path, applier=system, sampler=Scripted(configs=(FAST,)))
    live.start()
    wait(lambda: system.runs == {"control": FAST, "canary": FAST} and live.status().incumbent == FAST, most_s=30.0)
    live.stop()
    assert system.runs == {"control": FAST, "canary": FAST}


def test_the_sampler_of_the_house_runs_a_study_that_replays(tmp_path):
    system = System()
    with make(tmp_path, applier=system, seed=1, step=0.1) as live:
        live.run(4.0)
        status = live.status()
    assert status.windows > 10
    found = cli(tmp_path, "replay")
    assert found.exit_code == 0, found.output
    assert "all are as journalled" in found.output
    for verb in ("status", "show"):
        said = cli(tmp_path, verb)
        assert said.exit_code == 0, said.output
        assert "threads=" in said.output
        assert json.loads(cli(tmp_path, verb, "--json").output)
    assert "observe" in cli(tmp_path, "show", "--trial", "0").output
    assert cli(tmp_path, "show", "--at", "2020-01-01").output == "nothing had run by then\n"
    assert "trial 0 -> trial 2" in cli(tmp_path, "diff", "0", "2").output
    assert cli(tmp_path, "replay", "--until", "9").exit_code == 0
    assert "until is a whole number of at least 0, got -3" in cli(tmp_path, "replay", "--until", "-3").output
    assert cli(tmp_path, "replay", "--without-context", "rps").exit_code in (0, 1)
    assert "no column 'rpm'" in cli(tmp_path, "replay", "--without-context", "rpm").output


def test_a_freeze_by_another_process_takes_effect_within_a_second(tmp_path):
    system = System()
    live = make(tmp_path, applier=system, sampler=Scripted(configs=(FAST,)), looks=[200])
    live.start()
    wait(lambda: system.runs["canary"] == FAST)
    assert cli(tmp_path, "freeze", "--reason", "sale", "--by", "ann").exit_code == 0
    began = time.monotonic()
    wait(lambda: system.runs["canary"] == BASELINE)
    assert time.monotonic() - began < 2.0
    wait(lambda: "frozen by ann: sale" in cli(tmp_path, "status").output)
    assert cli(tmp_path, "thaw").exit_code == 0
    wait(lambda: "frozen" not in cli(tmp_path, "status").output)
    live.stop()


@pytest.mark.parametrize("verb", ["stop", "freeze", "roll_back", "adopt"])
def test_what_another_thread_asks_for_waits_until_the_turn_is_over(tmp_path, verb):
    began, applying, overlaps, turns = threading.Event(), threading.Lock(), [], []

    class Slow(System):
        def apply(self, config, group, seq):
            overlaps.append(not applying.acquire(blocking=False))
            began.set()
            time.sleep(0.1)
            super().apply(config, group, seq)
            if not overlaps[-1]:
                applying.release()

    def ask():
        began.wait(10.0)
        with suppress(SpecError):  # there is nothing to adopt
            getattr(live, verb)()
        turns.append(len(system.log))

    system = Slow()
    live = make(tmp_path, applier=system, sampler=Scripted(), window_s=60.0)
    asking = threading.Thread(target=ask)
    asking.start()
    live.run(1.0)
    asking.join()
    live.stop()
    num_changes = len(system.log)
    live.stop()
    assert turns[0] >= 2 and not any(overlaps) and len(system.log) == num_changes


def test_without_a_controller_requests_are_put_on_record(tmp_path):
    with make(tmp_path, applier=System()) as live:
        live.run(0.3)
    assert cli(tmp_path, "freeze", "--reason", "night").exit_code == 0
    assert "frozen" in cli(tmp_path, "status").output
    assert Seat(tmp_path / "seat").frozen["reason"] == "night"
    assert cli(tmp_path, "baseline", "set", '{"threads": 20, "timeout": 0.5}').exit_code == 0
    assert "threads=20" in cli(tmp_path, "status").output
    assert "none waits" in cli(tmp_path, "approve", "7").output
    assert cli(tmp_path, "rollback").exit_code == 0
    assert cli(tmp_path, "thaw").exit_code == 0
    assert "observing" in cli(tmp_path, "status").output


def test_the_flag_goes_up_when_the_database_is_gone(tmp_path):
    seat = tmp_path / "seat"
    seat.mkdir()
    words = ["live", "freeze", "shop", "--storage", f"sqlite:///{tmp_path}/none.db", "--seat", str(seat)]
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    assert Seat(seat).frozen is not None


def test_requests_ask_for_their_configuration(tmp_path):
    live = make(tmp_path, guards=["errors <= 0.5"], goal="latency", sampler=Scripted(configs=(FAST,)))
    over = threading.Event()

    def serve():
        while not over.is_set():
            with live.decide({"rps": 100.0}) as choice:
                choice.feedback(latency=1.0 / choice.config["threads"])
            time.sleep(0.001)

    client = threading.Thread(target=serve)
    client.start()
    try:
        live.start()
        wait(lambda: live.status().incumbent == FAST, most_s=20.0)
    finally:
        over.set()
        client.join()
        live.stop()
    metrics = live.status()
    assert metrics.state in ("holding", "observing", "canary")


def test_the_same_name_goes_on_and_other_rules_are_refused(tmp_path):
    make(tmp_path, applier=System()).stop()
    make(tmp_path, applier=System()).stop()
    with pytest.raises(SpecMismatch, match="window_s"):
        make(tmp_path, applier=System(), window_s=60.0)


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"baseline": {"threads": 100, "timeout": 0.5}}, SpaceError, "threads"),
        ({"guards": ["p99 < 5"]}, SpecError, "guard"),
        ({"guards": "p99 <= 5"}, SpecError, "list"),
        ({"guards": ["p99 <= -1x"]}, SpecError, "factor"),
        ({"windows": 3}, SpecError, "window_s"),
        ({"window_s": 0}, SpecError, "window_s"),
        ({"shares": [0.5, 0.1]}, SpecError, "ascending"),
        ({"looks": [1]}, SpecError, "looks"),
        ({"context": {"rps": [5, 1]}}, SpecError, "edges"),
        ({"quiet_hours": [[25, 3]]}, SpecError, "hours"),
        ({"sampler": "random", "step": 0.1}, SpecError, "options of the sampler live"),
        ({"tunable": ["cores"]}, SpecError, "tunable"),
        ({"goal": 3}, SpecError, "goal"),
        ({"applier": PullApplier(patience_s=60.0)}, SpecError, "here 60 s, got patience_s=60; lower it"),
    ],
)
def test_bad_settings_are_refused_before_anything_is_touched(tmp_path, given, error, says):
    system = System()
    with pytest.raises(error, match=says):
        make(tmp_path, **{"applier": system, **given})
    assert not system.log


def test_a_mistake_in_an_option_of_the_sampler_does_not_take_the_name(tmp_path):
    with pytest.raises(SpecError, match="tunable='thread'"):
        make(tmp_path, applier=System(), tunable=["thread"])
    with make(tmp_path, applier=System(), tunable=["threads"]) as live:
        assert live.plan.window_s == SHORT["window_s"]


@pytest.mark.parametrize("name", ["shop", "mein shop", "kühl", "team/shop", "v1.2"])
def test_the_seat_of_an_ordinary_name_is_where_it_always_was(name):
    assert default_seat(name) == Path("~/.raytune_hpo/live").expanduser() / name


@pytest.mark.parametrize("name", ["../esc", "a/../../esc", "..", ".", "./", "/etc", "//etc"])
def test_no_name_leads_out_of_the_folder_of_all_seats(name):
    everywhere = Path("~/.raytune_hpo/live").expanduser()
    seat = default_seat(name)
    assert seat.parent == everywhere and seat.resolve().parent == everywhere.resolve()


def test_a_study_that_was_interrupted_before_it_began_says_so_and_the_way_out(tmp_path):
    storage = f"sqlite:///{tmp_path}/s.db"
    for name in ("shop", "stall"):
        open_storage(storage).journal(name, create=True, owner="me").close()
        for words in (["show"], ["live", "status"], ["live", "replay"], ["live", "thaw"]):
            found = CliRunner().invoke(main, [*words, name, "--storage", storage])
            assert found.exit_code and "interrupted before it began" in found.output, found.output
    with make(tmp_path, applier=System()) as live:
        live.run(0.1)
    assert cli(tmp_path, "status").exit_code == 0
    assert CliRunner().invoke(main, ["delete", "stall", "--yes", "--storage", storage]).exit_code == 0
    hpo.Study({"x": hpo.uniform(0, 1)}, metric="loss", num_trials=1, name="stall", storage=storage).close()


def test_an_old_change_is_refused_at_the_applier(tmp_path):
    seat, system = Seat(tmp_path / "seat"), System()
    SeatedApplier(system, seat).apply(BASELINE, "control", 7)
    with pytest.raises(StaleChange, match="fact 5"):
        SeatedApplier(System(), Seat(tmp_path / "seat")).apply(FAST, "control", 5)


def test_while_the_flag_is_up_no_candidate_is_applied(tmp_path):
    seat, system = Seat(tmp_path / "seat"), System()
    applier = SeatedApplier(system, seat)
    applier.apply(BASELINE, "control", 1)
    for reason, said in (("sale", "frozen by ann: sale; thaw"), ("", "frozen by ann; thaw")):
        seat.freeze("ann", reason, 0.0)
        with pytest.raises(hpo.errors.HpoError, match=said):
            applier.apply(FAST, "canary", 2)
    applier.apply(BASELINE, "canary", 3)


@pytest.mark.parametrize(
    ("read", "config", "same"),
    [
        ({"bins": [1, 2]}, {"bins": (1, 2)}, True),
        ({"bins": [[1, 0.30000000000000004], 2]}, {"bins": ((1, 0.3), 2)}, True),
        ({"bins": [1, 2, 3]}, {"bins": (1, 2)}, False),
        ({"bins": "12"}, {"bins": ("1", "2")}, False),
        ({"bins": [1, 2], "host": "a"}, {"bins": (1, 2)}, True),
        ({}, {"bins": (1, 2)}, False),
    ],
)
def test_what_comes_back_as_json_is_what_was_applied(tmp_path, read, config, same):
    assert is_running(read, config) is same
    pull = PullApplier(patience_s=0.05)
    pull.sit(tmp_path)
    pull.board.tell_running("canary", read, 1.0)
    with nullcontext() if same else pytest.raises(hpo.errors.HpoError, match="has not said"):
        pull.apply(config, "canary", 1)


def test_tuples_are_proven_although_the_seat_keeps_lists(tmp_path):
    seat, system = Seat(tmp_path / "seat"), System()
    applier = SeatedApplier(system, seat)
    applier.apply({"bins": (1, 2)}, "control", 1)
    seat.freeze("ann", "sale", 0.0)
    applier.apply({"bins": (1, 2)}, "canary", 2)
    assert fall_back(system, seat, age_at(10.0), 30.0) is None  # the canary group runs what control runs


def test_the_dead_man_brings_the_baseline_back_after_two_terms(tmp_path):
    seat, system = Seat(tmp_path / "seat"), System()
    applier = SeatedApplier(system, seat)
    assert fall_back(system, seat, age_at(0.0), 30.0) is None
    seat.keep_baseline(BASELINE)
    applier.apply(FAST, "control", 1)
    applier.apply({**FAST, "threads": 30}, "canary", 2)
    seat.give_heartbeat(100.0)
    assert fall_back(system, seat, age_at(159.0), 30.0) is None
    assert "baseline" in fall_back(system, seat, age_at(161.0), 30.0)
    assert system.runs == {"control": BASELINE, "canary": BASELINE}
    assert fall_back(system, seat, age_at(500.0), 30.0) is None  # once is enough


@pytest.mark.parametrize("down", ["canary", "control"])
def test_a_group_that_is_down_does_not_keep_the_other_from_its_baseline(tmp_path, down):
    class HalfDown(System):
        is_up = False

        def apply(self, config, group, seq):
            if group == down and not self.is_up:
                raise OSError(f"{down} is down")
            super().apply(config, group, seq)

    seat, system = Seat(tmp_path / "seat"), HalfDown()
    system.runs = {"control": FAST, "canary": FAST}
    seat.keep_baseline(BASELINE)
    seat.give_heartbeat(100.0)
    with pytest.raises(OSError, match=f"{down} is down"):
        fall_back(system, seat, age_at(161.0), 30.0)
    (up,) = {"control", "canary"} - {down}
    assert system.runs == {up: BASELINE, down: FAST} and (seat.control == BASELINE) == (up == "control")
    system.is_up = True
    # It tries on until both have it, and each gets it once.
    assert "baseline" in fall_back(system, seat, age_at(162.0), 30.0)
    assert [(group, config) for group, config, _ in system.log] == [(up, BASELINE), (down, BASELINE)]
    assert system.runs == {"control": BASELINE, "canary": BASELINE}


def test_a_controller_whose_applier_is_slow_is_not_taken_for_dead(tmp_path):
    """Each change takes more than a term, and a turn has several of them; the watchdog waits for each, and then judges."""
    seat, at, waited = Seat(tmp_path / "seat"), [100.0], threading.Event()

    class Slow(System):
        def apply(self, config, group, seq):
            at[0] += 50.0
            if group == "canary":
                waits.start()
                time.sleep(0.2)
            super().apply(config, group, seq)

    system, helped = Slow(), []

    def watch():
        helped.append(fall_back(system, seat, age_at(100.0 + 61.0), 30.0))
        waited.set()

    waits = threading.Thread(target=watch)
    applier = SeatedApplier(system, seat, now=lambda: at[0])
    applier.apply(BASELINE, "control", 1)
    assert seat.heartbeat_at is None  # a change alone is no heartbeat
    seat.keep_baseline({**BASELINE, "threads": 1})
    at[0] = 100.0
    seat.give_heartbeat(at[0])
    applier.apply(FAST, "canary", 2)
    applier.apply(FAST, "control", 2)
    assert waited.wait(10.0) and helped == [None]
    assert fall_back(system, seat, age_at(at[0]), 30.0) is None and seat.heartbeat_at == at[0] == 200.0
    assert system.runs == {"control": FAST, "canary": FAST}


@pytest.mark.parametrize("ahead_s", [-3_600.0, 3_600.0])
def test_a_clock_that_was_set_makes_a_controller_neither_dead_nor_alive(tmp_path, ahead_s):
    seat, system, now = Seat(tmp_path / "seat"), System(), [0.0]
    age = AgeByChange(lambda: now[0])
    seat.keep_baseline(BASELINE)
    for _ in range(10):
        seat.give_heartbeat(time.time() + ahead_s + now[0])
        assert fall_back(system, seat, age, 30.0) is None
        now[0] += 59.0
    assert fall_back(system, seat, age, 30.0) is None
    now[0] += 2.0
    assert "for 61 s: the baseline is applied" in fall_back(system, seat, age, 30.0)


@pytest.mark.parametrize("ahead_s", [-3_600.0, 3_600.0])
def test_a_flag_whose_clock_was_set_is_heeded_as_soon(tmp_path, ahead_s):
    seat, system, now = Seat(tmp_path / "seat"), System(), [0.0]
    age = AgeByChange(lambda: now[0])
    applier = SeatedApplier(system, seat)
    applier.apply(BASELINE, "control", 1)
    applier.apply(FAST, "canary", 2)
    seat.freeze("ann", "sale", time.time() + ahead_s)
    assert fall_back(system, seat, age, 30.0) is None
    now[0] += 4.0
    assert "taken back" in fall_back(system, seat, age, 30.0)


def test_a_heartbeat_that_comes_while_the_watchdog_acts_is_kept(tmp_path):
    class Slow(System):
        def apply(self, config, group, seq):
            seat.give_heartbeat(170.0)
            super().apply(config, group, seq)

    seat = Seat(tmp_path / "seat")
    seat.keep_baseline(BASELINE)
    seat.give_heartbeat(100.0)
    assert "baseline" in fall_back(Slow(), seat, age_at(161.0), 30.0)
    assert seat.heartbeat_at == 170.0


def test_the_dead_man_heeds_the_flag(tmp_path):
    seat, system = Seat(tmp_path / "seat"), System()
    applier = SeatedApplier(system, seat)
    applier.apply(BASELINE, "control", 1)
    applier.apply(FAST, "canary", 2)
    seat.give_heartbeat(100.0)
    seat.freeze("ann", "sale", 100.0)
    assert fall_back(system, seat, age_at(102.0), 30.0) is None
    assert "taken back" in fall_back(system, seat, age_at(104.0), 30.0)
    assert system.runs["canary"] == BASELINE


PROGRAM = """
import json, os, sys
from pathlib import Path
verb, folder = sys.argv[1], Path(sys.argv[2])
file = folder / os.environ["HPO_GROUP"]
if verb == "apply":
    file.write_text(os.environ["HPO_CONFIG"])
elif verb == "read":
    print(file.read_text())
else:
    config = json.loads(file.read_text())
    print(json.dumps({"metrics": {"cost": 200.0 - config["threads"], "p99": 100.0}, "context": {"rps": 100.0}}))
"""


@pytest.mark.slow
def test_a_system_behind_programs_is_run_from_a_file(tmp_path):
    program = tmp_path / "system.py"
    program.write_text(PROGRAM)
    argv = [[sys.executable, str(program), verb, str(tmp_path)] for verb in ("apply", "read", "measure")]
    spec = tmp_path / "shop.toml"
    spec.write_text(
        f"""
goal = "min cost"
guards = ["p99 <= 150"]
window_s = 0.5
check_s = 0.5
observe = 4
context = ["rps"]
[parameters]
threads = {{int = [1, 64]}}
[baseline]
threads = 16
[applier]
kind = "command"
apply = {json.dumps(argv[0])}
read = {json.dumps(argv[1])}
measure = {json.dumps(argv[2])}
"""
    )
    words = ["live", "run", str(spec), "--for", "4", "--seat", str(tmp_path / "seat"), "--no-watch"]
    found = CliRunner().invoke(main, [*words, "--storage", f"sqlite:///{tmp_path}/s.db"])
    assert found.exit_code == 0, found.output
    assert "threads=16" in cli(tmp_path, "status").output
    assert json.loads((tmp_path / "control").read_text()) == {"threads": 16}
    Seat(tmp_path / "seat").give_heartbeat(1.0)
    (tmp_path / "control").write_text('{"threads": 60}')
    watched = CliRunner().invoke(main, ["live", "watch", str(spec), "--seat", str(tmp_path / "seat"), "--once"])
    assert "the baseline is applied" in watched.output
    assert json.loads((tmp_path / "control").read_text()) == {"threads": 16}


def test_what_a_hand_has_set_is_adopted_by_one_word_of_the_command_line(tmp_path):
    system = System()
    live = make(tmp_path, applier=system, sampler=Scripted())
    live.start()
    wait(lambda: live.status().windows >= 4)
    system.runs["control"] = {"threads": 33, "timeout": 0.5}
    wait(lambda: live.status().state == "frozen")
    assert "`live adopt` makes it the baseline" in cli(tmp_path, "status").output
    adopted = cli(tmp_path, "adopt", "--reason", "it is better", "--by", "ann")
    assert adopted.output.startswith("the baseline of shop is threads=33")
    wait(lambda: live.status().baseline == {"threads": 33, "timeout": 0.5} and live.status().state != "frozen")
    live.stop()
    assert " UTC  ann set the baseline: threads=33, timeout=0.5.  it is better" in cli(tmp_path, "log").output
    assert "nothing happened then" in cli(tmp_path, "log", "--from", "2001-01-01", "--to", "2001-01-02").output


def wait(is_so, most_s=10.0):
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < most_s, "it never came to pass"
        time.sleep(0.05)


def run_behind_programs(tmp_path, seat):
    """``live run`` of a system behind programs, in a process of its own, once it has applied the baseline."""
    program = tmp_path / "system.py"
    program.write_text(PROGRAM)
    argv = [[sys.executable, str(program), verb, str(tmp_path)] for verb in ("apply", "read", "measure")]
    spec = tmp_path / "shop.toml"
    spec.write_text(
        'goal = "min cost"\nwindow_s = 2.0\nterm_s = 1.0\n[parameters]\nthreads = {int = [1, 64]}\n'
        f'[baseline]\nthreads = 16\n[applier]\nkind = "command"\napply = {json.dumps(argv[0])}\n'
        f"read = {json.dumps(argv[1])}\nmeasure = {json.dumps(argv[2])}\n"
    )
    words = [sys.executable, "-m", "raytune_hpo.cli", "live", "run", str(spec), "--seat", str(seat.folder)]
    words += ["--storage", f"sqlite:///{tmp_path}/s.db"]
    controller = subprocess.Popen(words, start_new_session=True, stdout=subprocess.PIPE, text=True)
    try:
        wait(lambda: (tmp_path / "control").exists() and (seat.folder / "watch.pid").exists(), most_s=60.0)
    except BaseException:
        controller.kill()
        raise
    return controller


@pytest.mark.slow
def test_when_the_controller_is_killed_its_watch_brings_the_baseline_back(tmp_path):
    seat = Seat(tmp_path / "seat")
    controller = run_behind_programs(tmp_path, seat)
    try:
        (tmp_path / "canary").write_text('{"threads": 60}')
    finally:
        controller.kill()
        controller.wait()
    try:
        wait(lambda: json.loads((tmp_path / "canary").read_text()) == {"threads": 16}, most_s=60.0)
    finally:
        os.kill(int((seat.folder / "watch.pid").read_text()), signal.SIGTERM)


@pytest.mark.slow
def test_a_controller_that_is_told_to_end_stops_in_order_and_takes_its_watch_along(tmp_path):
    seat = Seat(tmp_path / "seat")
    controller = run_behind_programs(tmp_path, seat)
    controller.terminate()
    said, _ = controller.communicate(timeout=60.0)  # which the watch would keep open
    assert controller.returncode == 0 and "shop" in said and seat.heartbeat_at is None
    with pytest.raises(ProcessLookupError):
        os.kill(int((seat.folder / "watch.pid").read_text()), 0)

"""The progress line: what it says, and that it stays one line."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios
from dataclasses import replace

import pytest

import raytune_hpo as hpo
from raytune_hpo.display.text import cut_apart, numbers, table, terminal_columns
from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.progress import Progress
from raytune_hpo.progress.card import card
from raytune_hpo.progress.pace import MAX_PAUSE_S, MIN_PAUSE_S, Pace
from raytune_hpo.progress.terminal import InPlace, cut_to_columns
from raytune_hpo.progress.words import line, time_left
from raytune_hpo.spec import Limits
from tests.faces.snapshots import STATUS, snapshot


def test_the_line_says_what_one_wants_to_know():
    assert line(STATUS, 0.5) == (
        "mnist: 37/100 trials, best loss=0.0123457 (trial 29), 4 running, 5 pruned, 2 failed, 30/min, 1m 15s, 2m 6s left"
    )


def test_the_line_counts_what_breaks_a_constraint():
    none = replace(STATUS, best={}, best_number=None, counts={"completed": 30}, num_infeasible=30)
    assert line(none, None).startswith("mnist: 30/100 trials, 30 infeasible, ")
    assert "30 completed, 30 infeasible, " in str(none)


def test_the_line_of_a_study_that_has_just_begun_and_of_one_that_has_ended():
    new = replace(STATUS, counts={"running": 1}, best={}, best_number=None, limits=Limits())
    assert line(new, None) == "mnist: 0 trials, 1 running, 1m 15s"
    ended = replace(STATUS, stopped="num_trials")
    assert line(ended, 0.5).endswith("2 failed, 1m 15s, ended by num_trials")


def test_several_metrics_are_all_named():
    status = replace(STATUS, best={"loss": 0.5, "size": 12.0})
    assert "best loss=0.5, best size=12" in line(status, None)


def test_the_nearest_limit_says_how_much_time_is_left():
    assert time_left(STATUS, 1.0) == 63
    assert time_left(STATUS, None) is None
    both = replace(STATUS, limits=Limits(num_trials=100, time_budget_s=80.0))
    assert time_left(both, 1.0) == 5


def test_wide_characters_take_two_columns():
    assert cut_to_columns("学习abc", 5) == "学习a"
    assert cut_to_columns("abc", 5) == "abc"


def on_terminal(columns, statuses):
    """What a terminal of that width receives."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(slave, "w") as stream:
        with Progress(stream=stream) as progress:
            for status in statuses:
                progress.update(snapshot(status))
        received = b""
        while not received.endswith(b"\n"):  # a terminal gives what it got piece by piece
            received += os.read(master, 100_000)
    os.close(master)
    return received.decode()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_shows_exactly_one_line(columns):
    counts = [replace(STATUS, counts={"completed": n, "running": 4}) for n in range(20)]
    text = on_terminal(columns, [*counts, replace(counts[-1], stopped="num_trials")])
    assert text.count("\n") == 1
    assert text.endswith("\r\n")
    states = text.rstrip("\r\n").split("\r")[1:]
    assert len(states) > 10
    assert all(len(state) < columns for state in states)
    assert states[-1].startswith("mnist: 19/100 trials")


def test_a_shorter_line_wipes_what_stood_there():
    text = on_terminal(200, [STATUS, replace(STATUS, best={}, counts={"completed": 1})])
    first, second = text.rstrip("\r\n").split("\r")[1:]
    assert len(second) >= len(first.rstrip())


def test_a_log_gets_a_plain_line_now_and_then_and_the_last_one(monkeypatch):
    stream = io.StringIO()
    with Progress(stream=stream) as progress:
        for n in range(50):
            progress.update(snapshot(replace(STATUS, counts={"completed": n})))
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().startswith("mnist: 49/100 trials")
    assert "\r" not in stream.getvalue()
    monkeypatch.setattr("raytune_hpo.progress.terminal.LOG_EVERY_S", 0.0)
    eager = io.StringIO()
    with Progress(stream=eager) as progress:
        for num in range(3):
            progress.update(snapshot(replace(STATUS, counts={"completed": num})))
    assert eager.getvalue().count("\n") == 3  # the last one is not said again at the end


def test_switched_off_it_says_nothing_and_so_does_a_run_that_never_began(capsys):
    with Progress(enabled=False) as progress:
        progress.update(snapshot())
    with Progress():
        pass
    assert capsys.readouterr() == ("", "")


def test_an_error_leaves_the_last_state_and_ends_the_line():
    stream = io.StringIO()
    with pytest.raises(RuntimeError), Progress(stream=stream) as progress:
        progress.update(snapshot())
        raise RuntimeError
    assert stream.getvalue().endswith("\n")


def test_a_notebook_gets_one_display_that_is_updated():
    pytest.importorskip("IPython")
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    publisher = shell.display_pub = CapturingDisplayPublisher(parent=shell)
    shell.kernel = object()  # what Jupyter, VS Code and Colab have in common
    try:
        stream = io.StringIO()
        with Progress(stream=stream) as progress:
            for n in range(3):
                progress.update(snapshot(replace(STATUS, counts={"completed": n})))
    finally:
        InteractiveShell.clear_instance()
    assert stream.getvalue() == ""
    first, *others = publisher.outputs
    assert not first.get("update")
    assert all(output["update"] for output in others)
    assert len({output["transient"]["display_id"] for output in publisher.outputs}) == 1
    assert "2/100" in others[-1]["data"]["text/html"]
    assert "2/100 trials" in others[-1]["data"]["text/plain"]


def test_ipython_is_not_imported_to_look_for_a_notebook():
    code = "import sys, raytune_hpo.progress as p\nwith p.Progress(): pass\nassert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_look_that_takes_long_is_taken_seldom(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("raytune_hpo.progress.pace.time.monotonic", lambda: now[0])
    pace, pauses = Pace(), []
    for took_s in (0.001, 0.2, 60.0):
        with pace:
            now[0] += took_s
        pauses.append(pace.pause_s)
    assert pauses == [MIN_PAUSE_S, pytest.approx(1.8), MAX_PAUSE_S]


def test_a_sentence_stands_where_the_state_will_be_and_is_wiped_where_there_is_none():
    log = io.StringIO()
    with Progress(stream=log) as progress:
        progress.say("starting")
        progress.update(snapshot())
        progress.say("too late")
    assert log.getvalue().splitlines()[0] == "starting" and len(log.getvalue().splitlines()) == 2
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, Progress(stream=stream) as progress:
        progress.say("starting")
        progress.close()
        received = b""
        while not received.endswith(b" \r"):  # a terminal hands on what it was told piece by piece
            received += os.read(master, 1000)
        assert received.decode().rsplit("\r", 2)[1:] == [" " * 8, ""]
    os.close(master)


def test_a_status_reads_as_a_line():
    text = str(STATUS)
    assert text.startswith("mnist: 4 running, 30 completed, 5 pruned, 2 failed, best loss=0.0123457, 1m 15s, running")


def test_a_shorter_line_wipes_wide_characters_too():
    stream = io.StringIO()
    line = InPlace(stream)
    line.write("学习" * 5)
    line.write("abc")
    assert stream.getvalue().split("\r")[-1] == "abc" + 17 * " "


def test_columns_of_wide_characters_stand_below_each_other():
    lines = table(["study", "best"], [["名前🎉", 1.5], ["abc", 2.5]]).splitlines()
    assert len({terminal_columns(line) for line in lines}) == 1


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.1234567, 2.0], ["0.123457", "2"]),
        ([1e14, 1e14 + 1, 3.0], ["100000000000000", "100000000000001", "3"]),
        ([1.0, 1 + 1e-9], ["1", "1.000000001"]),
        ([0.3, 0.1 + 0.2], ["0.3", "0.3"]),
        ([float("nan"), float("nan"), float("inf")], ["nan", "nan", "inf"]),
        ([-0.0, 0.0, -1e-7], ["0", "0", "-1e-07"]),
    ],
)
def test_numbers_have_as_many_digits_as_tell_them_apart(values, texts):
    assert numbers(values) == texts


@pytest.mark.parametrize(
    ("texts", "width", "expected"),
    [
        (["relu", "tanh"], 5, ["relu", "tanh"]),
        (["opt_000", "opt_024"], 5, ["00", "24"]),
        (["a long beginning 1", "a long beginning 2"], 14, ["...1", "...2"]),
        (["cat/aaaaaaaaaaaaaaa1", "cat/aaaaaaaaaaaaaaa2", "dog"], 12, ["cat/a...aaa1", "cat/a...aaa2", "dog"]),
        (["a" * 9 + "b" + "c" * 9, "a" * 9 + "d" + "c" * 9, "e"], 9, ["1: aaa...", "2: aaa...", "3: e"]),
    ],
)
def test_texts_are_cut_so_that_they_differ(texts, width, expected):
    assert cut_apart(texts, width) == expected


def test_a_study_that_is_called_again_after_its_end_says_that_nothing_is_new(capsys):
    space, settings = {"x": hpo.uniform(0, 1)}, dict(name="again", seed=1, runtime="local", storage=MemoryStorage())
    for num_trials, said in ((3, "3/3 trials, best"), (3, "3/3 trials, none new (raise num_trials for more), best")):
        hpo.tune(lambda config: config["x"], space, num_trials=num_trials, **settings)
        assert said in capsys.readouterr().err
    hpo.tune(lambda config: config["x"], space, num_trials=4, **settings)
    assert "4/4 trials, best" in capsys.readouterr().err
    again = replace(STATUS, stopped="stagnation", session_start=3, num_finished_before=37)
    assert "37/100 trials, none new, best" in line(again, None)
    assert "trials finished, none new" in card(snapshot(again), None)

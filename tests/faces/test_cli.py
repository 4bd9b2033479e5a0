"""Every command, on studies that a command has run."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from click import ClickException
from click.testing import CliRunner

import raytune_hpo as hpo
from raytune_hpo.cli import main
from raytune_hpo.cli.app import seconds
from raytune_hpo.cluster.head_here import head_here
from raytune_hpo.progress.terminal import LogLines

FILE = """
from dataclasses import dataclass
import raytune_hpo as hpo

@dataclass
class Model:
    lr: float = 0.1

space = {"lr": hpo.loguniform(1e-5, 1e-1), "depth": hpo.randint(2, 6)}
settings = dict(num_trials=8, runtime="local", sampler="random", seed=1, max_concurrent=1)

def objective(config):
    print("depth is", config["depth"])
    for step in range(3):
        hpo.report(loss=config["lr"] + 1 / (step + 1), step=step)
    if config["depth"] == 5:
        raise ValueError("five is bad")
    return {"loss": config["lr"]}
"""
FAILING = FILE.replace('if config["depth"] == 5:', "if True:")
CONSTRAINED = (
    FILE.replace("space = {", "space = hpo.Space({")
    .replace("6)}", "6)}, constraints=[fits])")
    .replace("@dataclass", "def fits(config):\n    return config['depth'] < 5\n\n@dataclass")
)


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Calls a command in a folder with FILE.py; its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAYTUNE_HPO_STORAGE", f"sqlite:///{tmp_path}/studies.db")
    (tmp_path / "file.py").write_text(FILE)

    def run(*arguments, **more):
        result = CliRunner().invoke(main, arguments, prog_name="raytune-hpo", **more)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return run


@pytest.fixture
def studied(call):
    """The same, with a study named s."""
    assert call("run", "file.py", "--name", "s", "--quiet").exit_code == 0
    return call


def test_run_prints_the_best_and_where_to_look_next(call):
    result = call("run", "file.py", "--name", "s", "--quiet")
    assert result.exit_code == 0
    assert "8 trials" in result.stdout
    assert "raytune-hpo show s" in result.stdout
    assert result.stderr == ""


def test_a_job_says_how_to_look_from_elsewhere(call, monkeypatch):
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    shown = call("run", "file.py", "--name", "s", "--quiet").stdout
    assert "raytune-hpo report s OUT.html --address ADDRESS, from your machine" in shown


def test_flags_win_over_settings_and_the_same_name_continues(call):
    call("run", "file.py", "--name", "s", "--num-trials", "3", "--quiet")
    result = call("run", "file.py", "--name", "s", "--num-trials", "5", "--json")
    assert sum(json.loads(result.stdout)["num_by_status"].values()) == 5
    other = call("run", "file.py", "--name", "s", "--seed", "2", "--quiet")
    assert other.exit_code == 2
    assert "seed=1" in other.stderr


def test_parts_may_be_given_with_options(call):
    call("run", "file.py", "--name", "s", "--quiet", "--sampler", '{"name": "hyperopt", "n_startup_jobs": 2}')
    assert "hyperopt(n_startup_jobs=2" in call("show", "s").stdout


def test_a_study_without_a_completed_trial_exits_with_1(call, tmp_path):
    (tmp_path / "file.py").write_text(FAILING)
    result = call("run", "file.py", "--name", "s", "--quiet")
    assert result.exit_code == 1
    assert "five is bad" in result.stdout
    best = call("best", "s")
    assert best.exit_code == 1
    assert "five is bad" in best.stderr and best.stdout == ""
    assert json.loads(call("best", "s", "--json").stdout) == []


def test_failures_end_a_run_and_are_tried_again_where_that_is_asked_for(call, tmp_path):
    (tmp_path / "file.py").write_text(FAILING)
    result = call("run", "file.py", "--name", "s", "--json", "--max-failures", "3")
    assert result.exit_code == 1 and json.loads(result.stdout)["num_by_status"]["failed"] == 3
    (tmp_path / "file.py").write_text(FILE)
    result = call("run", "file.py", "--name", "s", "--json", "--retry-failed")
    assert sum(json.loads(result.stdout)["num_by_status"].values()) == 8 + 3


def test_one_trial_of_a_running_study_can_be_stopped(call, monkeypatch):
    stopped = []
    running = SimpleNamespace(stop_trial=stopped.append)
    monkeypatch.setattr("raytune_hpo.cli.control.attached", lambda name, address: running)
    result = call("stop", "s", "--trial", "3")
    assert result.stdout == "stopped trial 3 of s\n" and stopped == [3]


def test_the_last_line_of_a_log_is_written_once():
    stream = io.StringIO()
    line = LogLines(stream)
    line._said_at -= 60
    line.write("3/3 trials")
    line.end("3/3 trials")
    assert stream.getvalue() == "3/3 trials\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero (line 1)"),
        ("def x(:", "SyntaxError"),
        ("space = {}", "no 'objective'"),
        (FILE.replace("num_trials=8", "num_trails=8"), "did you mean 'num_trials'"),
        (FILE.replace("randint(2, 6)", "randint(6, 2)"), "lower < upper"),
        (FILE.replace("settings = dict(", "settings = list("), "file.py cannot be run"),
    ],
)
def test_a_bad_file_is_one_clear_line_and_exit_code_2(call, tmp_path, text, said):
    (tmp_path / "file.py").write_text(text)
    result = call("run", "file.py", "--quiet")
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_bad_usage_exits_with_2(studied):
    for arguments in (
        ["show", "unknown"],
        ["show", "s", "--trial", "99"],
        ["trials", "s", "--status", "done"],
        ["export", "s", "out.xlsx"],
        ["export", "s", "no/such/folder/out.csv"],
        ["studies", "--storage", "oracle://x"],
        ["run", "nofile.py"],
        ["run", "file.py", "--time-budget", "soon"],
        ["enqueue", "s", "[1]"],
        ["nonsense"],
    ):
        result = studied(*arguments)
        assert result.exit_code == 2, arguments
        assert result.stderr, arguments
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("noted", [None, "127.0.0.1:1", "nonsense"])
def test_a_cluster_that_is_not_there_is_said_at_once(call, tmp_path, monkeypatch, noted):
    monkeypatch.setattr("raytune_hpo.cluster.addresses._NOTE", tmp_path / "ray_current_cluster")
    monkeypatch.setattr("raytune_hpo.cluster.head_here._PROCESSES", tmp_path)
    if noted:
        (tmp_path / "ray_current_cluster").write_text(noted)
    for arguments in (["stop", "s"], ["enqueue", "s", '{"lr": 0.1}']):
        result = call(*arguments)
        assert result.exit_code == 2
        assert "no Ray cluster runs on this machine" in result.stderr


def test_of_several_clusters_one_must_be_named(call, tmp_path, monkeypatch):
    monkeypatch.setattr("raytune_hpo.cluster.addresses._NOTE", tmp_path / "ray_current_cluster")
    monkeypatch.setattr("raytune_hpo.cluster.head_here._PROCESSES", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        for number, server in enumerate((one, other)):
            address = f"127.0.0.1:{server.getsockname()[1]}"
            (tmp_path / str(number)).mkdir()
            (tmp_path / str(number) / "cmdline").write_bytes(f"raylet\0--gcs-address={address}\0--x=1".encode())
        result = call("stop", "s")
    assert result.exit_code == 2
    assert address in result.stderr


def test_studies_are_listed(studied):
    assert studied("studies").stdout.splitlines()[1].startswith("s ")
    (row,) = json.loads(studied("studies", "--long", "--json").stdout)
    assert (row["name"], row["trials"], row["state"]) == ("s", 8, "ended: num_trials")


def test_a_study_of_several_metrics_is_listed_by_its_front(call, tmp_path):
    settings = {"metric": ["loss", "ms"], "sampler": "random", "num_trials": 3, "storage": f"{tmp_path}/studies.db"}
    with hpo.Study({"x": hpo.uniform(0, 1)}, name="traded", **settings) as study:
        for loss, ms in ((1, 2), (2, 1), (3, 3)):
            study.tell(study.ask(), {"loss": loss, "ms": ms})
    header, row = call("studies").stdout.splitlines()
    assert "front of 2" in row and "front" not in header
    (record,) = json.loads(call("studies", "--long", "--json").stdout)
    assert (record["front"], record["best"]) == (2, 1)


def test_no_studies_are_no_error(call):
    assert call("studies").stdout == "no studies\n"
    assert json.loads(call("studies", "--json").stdout) == []
    assert "studies.db yet, which RAYTUNE_HPO_STORAGE names" in call("studies").stderr


def test_a_storage_that_is_not_there_is_told_from_an_empty_one(call, tmp_path):
    for storage in ("/nonexistent/x.db", f"sqlite:///{tmp_path}/misspelt.db"):
        result = call("studies", "--storage", storage)
        assert result.exit_code == 2 and "is --storage spelt right?" in result.stderr


def test_show_best_and_trials(studied):
    assert "sampler: random" in studied("show", "s").stdout
    data = json.loads(studied("show", "s", "--json").stdout)
    assert data["settings"]["seed"] == 1
    (best,) = json.loads(studied("best", "s", "--json").stdout)
    assert best == data["best"]
    assert str(best["config"]["lr"]) in studied("best", "s").stdout
    assert len(studied("trials", "s").stdout.splitlines()) == 9
    failed = json.loads(studied("trials", "s", "--status", "failed", "--json").stdout)
    assert failed
    assert all("five is bad" in trial["error"] for trial in failed)
    assert json.loads(studied("trials", "s", "--limit", "1", "--json").stdout)[0] == best


def test_one_trial_is_shown_with_its_reports_output_and_traceback(studied):
    number = json.loads(studied("trials", "s", "--status", "failed", "--json").stdout)[0]["number"]
    text = studied("show", "s", "--trial", str(number)).stdout
    assert "depth is 5" in text
    assert 'raise ValueError("five is bad")' in text
    assert "reports:" in text
    data = json.loads(studied("show", "s", "--trial", str(number), "--json").stdout)
    assert len(data["reports"]) == 3
    assert data["attempts"][0]["output"] == "depth is 5\n"


PORTFOLIO = '{"name": "portfolio", "arms": ["random", "tpe"], "strategy": "SEQ", "n_initial": 1}'


def test_arms_are_shown_of_a_study_and_of_a_trial(call):
    assert call("run", "file.py", "--name", "s", "--quiet", "--sampler", PORTFOLIO).exit_code == 0
    assert "suggested by: " in call("show", "s").stdout and "(the best)" in call("show", "s").stdout
    arms = json.loads(call("show", "s", "--json").stdout)["arms"]
    assert sum(arms.values()) == 8
    header = call("trials", "s").stdout.splitlines()[0]
    assert header.split()[-2:] == ["arm", "error"]
    arm = json.loads(call("show", "s", "--trial", "7", "--json").stdout)["arm"]
    assert f"suggested by the sampler's arm {arm}" in call("show", "s", "--trial", "7").stdout


def test_export_and_report(studied, tmp_path):
    assert studied("export", "s", "out.csv").exit_code == 0
    with (tmp_path / "out.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    assert json.loads(studied("export", "s", "out.json", "--json").stdout) == {"path": "out.json", "trials": 8}
    assert len(json.loads((tmp_path / "out.json").read_text())["trials"]) == 8
    pytest.importorskip("plotly")
    assert studied("report", "s", "out.html").exit_code == 0
    assert (tmp_path / "out.html").read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("num", [2, 3, 4])
def test_the_report_of_several_metrics_is_written(call, tmp_path, num):
    pytest.importorskip("plotly")
    metrics = ["a", "b", "c", "d"][:num]
    study = hpo.Study(
        {"x": hpo.uniform(0, 1)},
        name="s",
        storage=f"sqlite:///{tmp_path}/studies.db",
        metric=metrics,
        sampler="random",
        seed=1,
    )
    for trial in study.ask_batch(6):
        study.tell(trial, {metric: abs(trial.config["x"] - place / 4) for place, metric in enumerate(metrics)})
    study.close()
    assert json.loads(call("report", "s", "out.html", "--json").stdout) == {"path": "out.html", "trials": 6}
    assert "The best trials" in (tmp_path / "out.html").read_text()


def test_a_watched_report_follows_a_running_study_to_its_end(call, tmp_path):
    """While the study runs the page reads itself again; the last one has all trials and does not."""
    pytest.importorskip("plotly")
    seen = []

    def tune():
        with hpo.Study({"x": hpo.uniform(0, 1)}, sampler="random", num_trials=3, name="live") as study:
            started.set()
            for _ in range(3):
                trial = study.ask()
                until = time.monotonic() + 60
                while "refreshSeconds = 0.1;" not in page_text() and time.monotonic() < until:
                    time.sleep(0.05)
                seen.append(page_text())
                study.tell(trial, trial.config["x"])

    def page_text():
        return (tmp_path / "out.html").read_text() if (tmp_path / "out.html").exists() else ""

    started, thread = threading.Event(), threading.Thread(target=tune)
    thread.start()
    assert started.wait(60)
    result = call("report", "live", "out.html", "--watch", "--every", "0.1", "--json")
    thread.join(60)
    assert json.loads(result.stdout) == {"path": "out.html", "trials": 3}
    assert all("refreshSeconds = 0.1;" in text and text.endswith("</html>") for text in seen)
    assert "refreshSeconds = null;" in page_text()
    assert call("report", "live", "out.html", "--watch").exit_code == 0  # it has ended: written once
    assert "above 0" in call("report", "live", "out.html", "--watch", "--every", "0").stderr


def test_delete_asks_first(studied):
    assert studied("delete", "s", input="n\n").exit_code == 2
    assert "s" in studied("studies").stdout
    assert studied("delete", "s", "--yes").exit_code == 0
    assert studied("show", "s").exit_code == 2


def damaged(*statements):
    with contextlib.closing(sqlite3.connect("studies.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def test_a_damaged_study_can_be_deleted(studied):
    damaged("UPDATE raytune_facts SET body = '{' WHERE seq = 7")
    asked = studied("delete", "s", input="n\n")
    assert "Delete study 's', which cannot be read (fact 7 of study 's'" in asked.stderr
    deleted = json.loads(studied("delete", "s", "--yes", "--json").stdout)
    assert deleted["facts"] > 8
    assert studied("show", "s").exit_code == 2


def test_an_audit_checks_the_digests_of_a_study_that_it_cannot_recompute(studied):
    newer = """replace(body, '"options":{},"version":1', '"options":{},"version":9')"""
    damaged(f"UPDATE raytune_facts SET body = {newer} WHERE seq = 0")
    assert "random version 9, this audit has random version 1" in (said := studied("audit", "s").stderr)
    assert said.rstrip().endswith("fact 0 is not the one that was written")


def test_an_audit_of_a_stored_study(studied):
    result = studied("audit", "s")
    assert result.exit_code == 0
    assert "8 suggestions" in result.stdout
    assert "no fact was changed, taken away or added since it was written" in result.stdout
    assert json.loads(studied("audit", "s", "--json").stdout)["differences"] == []


def test_an_audit_finds_a_result_that_was_changed(studied):
    with (
        contextlib.closing(sqlite3.connect(os.environ["RAYTUNE_HPO_STORAGE"].removeprefix("sqlite:///"))) as connection,
        connection,
    ):
        (seq,) = connection.execute("SELECT max(seq) FROM raytune_facts WHERE kind = 'Finished'").fetchone()
        connection.execute("UPDATE raytune_facts SET body = replace(body, ':', ': ') WHERE seq = ?", (seq,))
    result = studied("audit", "s")
    assert result.exit_code == 1
    assert "not the one that was written" in result.stdout or "are not those that were written" in result.stdout
    assert json.loads(studied("audit", "s", "--json").stdout)["integrity"]["broken"]


def test_an_audit_of_a_space_with_functions_needs_the_file(call, tmp_path):
    (tmp_path / "file.py").write_text(CONSTRAINED)
    assert call("run", "file.py", "--name", "s", "--quiet").exit_code == 0
    without = call("audit", "s")
    assert without.exit_code == 2
    assert "--file FILE.py" in without.stderr
    assert call("audit", "s", "--file", "file.py").exit_code == 0


def test_what_is_installed_is_listed_with_a_line_each(call):
    assert any(line.startswith("random ") for line in call("samplers").stdout.splitlines())
    parts = json.loads(call("schedulers", "--json").stdout)
    assert all(part["about"].endswith(".") for part in parts)


def test_a_stream_that_is_closed_takes_nothing(studied, monkeypatch):
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    main(["trials", "s"], standalone_mode=False)  # asks how wide the terminal is
    assert not sys.stdout.isatty() and not sys.stderr.isatty()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full is Linux's")
def test_output_to_a_disk_that_is_full_is_one_line_and_exit_code_2(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(ClickException, match="the output cannot be written: No space left on device") as caught:
            main(["samplers"], standalone_mode=False)
        assert caught.value.exit_code == 2
        with contextlib.suppress(OSError):
            full.close()


def test_labs_into_a_folder_that_cannot_be_written_are_refused_in_a_line(call, tmp_path):
    (tmp_path / "file").write_text("")
    done = call("labs", str(tmp_path / "file" / "below"))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "cannot be copied to" in done.stderr


def test_every_command_has_help_and_json(call):
    for words, command in all_commands(main):
        assert call(*words, "--help").exit_code == 0
        assert any(parameter.name == "as_json" for parameter in command.params), words


def test_every_option_says_what_it_is_and_no_help_becomes_a_broken_link_in_the_docs():
    for words, command in all_commands(main):
        options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
        assert [option.name for option in options if not option.help] == [], words
        for text in (command.help, *(option.help for option in options)):  # Markdown: [a][b] is a link to b
            assert "][" not in text, words


def all_commands(group, *before):
    """Every command with the words that call it, those of groups too."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from all_commands(command, *before, name)
        else:
            yield (*before, name), command


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("2d", 172_800)]
)
def test_durations(text, expected):
    assert seconds(None, None, text) == expected


@pytest.mark.parametrize("text", ["", "m", "1h30", "10 m", "-5", "1w"])
def test_durations_that_are_none(text):
    import click

    with pytest.raises(click.BadParameter):
        seconds(None, None, text)


def test_help_comes_at_once_and_loads_nothing_heavy():
    code = (
        "import sys, time\nfrom raytune_hpo.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'ray', 'pandas', 'numpy', 'plotly', 'sqlalchemy'} & set(sys.modules), sorted(sys.modules)\n"
        "print(time.process_time())"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert float(said.split()[-1]) < 0.6  # of the processor's seconds; 0.1 where nothing else runs


# ------------------------------------------------------------------------------------------------ a head node here


@pytest.fixture
def head(tmp_path, monkeypatch):
    """A head node of this user at 10.0.0.1:6379, as far as /proc tells, with a study in its user's home."""
    proc = tmp_path / "proc"
    monkeypatch.setattr("raytune_hpo.cluster.head_here._PROCESSES", proc)
    monkeypatch.setattr("raytune_hpo.cluster.connecting.connect", lambda *args, **kwargs: pytest.fail("Ray is asked"))
    monkeypatch.delenv("RAYTUNE_HPO_STORAGE", raising=False)
    commands = {
        "11": "raylet --gcs-address=10.0.0.1:6379 --head",
        "12": "python -m ray.util.client.server --address=10.0.0.1:6379 --host=10.0.0.1 --port=10001",
        "13": "raylet --gcs-address=10.0.0.9:6379",  # of somebody else's head node
        "14": "python ray start --head --block --port=6379",  # by which it was started
    }
    for pid, command in commands.items():
        (proc / pid / "ns").mkdir(parents=True)
        (proc / pid / "ns/mnt").symlink_to("/proc/self/ns/mnt")
        (proc / pid / "cmdline").write_text(command.replace(" ", "\0"))
        (proc / pid / "environ").write_text(f"HOME={tmp_path}\0RAY=1")
    (tmp_path / ".raytune_hpo").mkdir()
    study = hpo.Study({"x": hpo.uniform(0, 1)}, name="there", storage=tmp_path / ".raytune_hpo/studies.db")
    study.tell(study.ask(), 0.5)
    study.close()
    return proc / "11"


@pytest.mark.parametrize(
    "address", ["10.0.0.1:6379", "127.0.0.1:6379", "localhost:6379", "ray://127.0.0.1:10001", "auto"]
)
def test_studies_of_a_head_node_on_this_machine_are_read_without_ray(call, head, address):
    assert call("best", "there", "--address", address).exit_code == 0
    assert [row["name"] for row in json.loads(call("studies", "--address", address, "--json").stdout)] == ["there"]


@pytest.mark.parametrize("address", ["10.0.0.1:6380", "10.0.0.2:6379", "ray://10.0.0.1:10002", "10.0.0.9:6379"])
def test_other_head_nodes_are_asked_through_ray(head, address):
    assert head_here(address) is None


def test_a_head_node_says_where_its_studies_are(head):
    (head / "environ").write_text("HOME=/home/ann\0RAYTUNE_HPO_STORAGE=postgresql://db/hpo")
    assert head_here("auto").storage == "postgresql://db/hpo"
    (head / "environ").write_text("HOME=/home/ann\0RAYTUNE_HPO_STORAGE=here.db")  # in a folder that nobody here knows
    assert head_here("auto").storage is None


def test_a_head_node_in_a_container_has_other_files(head):
    (head / "ns/mnt").unlink()
    (head / "ns/mnt").touch()
    assert head_here("auto") is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_head_node_of_another_user_is_asked_through_ray(head):
    os.chown(head, 65534, 65534)
    assert head_here("10.0.0.1:6379") is None


NAMES = """
import raytune_hpo as hpo
space = {"größe": hpo.choice(["名前", "b"])}
settings = dict(num_trials=4, runtime="local", sampler="grid", max_concurrent=1, instances=["tree", "of"])

def objective(config, instance):
    if config["größe"] == "b":
        raise ValueError("x" * 60 + " and here is the useful end")
    return {"loss": float(len(instance))}
"""


def test_letters_of_any_script_and_instances_are_shown(call, tmp_path):
    (tmp_path / "names.py").write_text(NAMES, encoding="utf-8")
    assert call("run", "names.py", "--name", "s", "--quiet").exit_code == 0
    for shown in (call("best", "s").stdout, call("show", "s", "--trial", "0").stdout):
        assert '"größe": "名前"' in shown
    assert json.loads(call("show", "s", "--trial", "0", "--json").stdout)["per_instance"]["tree"] == {"loss": 4.0}
    lines = call("show", "s", "--trial", "0").stdout.splitlines()
    assert sorted(lines[lines.index("instances:") + 2 :][:2]) == ["  of           2", "  tree         4"]
    listed = call("trials", "s").stdout
    assert "duration " in listed and "duration_s" not in listed and "the useful end" in listed
    narrow = CliRunner(charset="latin-1").invoke(main, ["best", "s"])
    assert narrow.exit_code == 0 and "\\u540d" in narrow.stdout
    zone = time.strftime("%Z", time.localtime())
    assert f" {zone} " in call("studies").stdout.splitlines()[1]


def test_trials_say_which_constraint_they_break_and_none_is_no_empty_cell(call, tmp_path):
    storage = f"sqlite:///{tmp_path}/own.db"
    space = {"kind": hpo.choice([None, "a"]), "x": hpo.uniform(0, 1)}
    points = [{"kind": None, "x": 0.5}, {"kind": "a", "x": 0.5}]
    settings = {"sampler": "random", "points_to_evaluate": points, "outcome_constraints": ["mb <= 1", "s <= 9"]}
    with hpo.Study(space, name="s", storage=storage, **settings) as study:
        for mb in (3.0, 1.0):
            study.tell(study.ask(), {"loss": 1.0, "mb": mb, "s": 1.0})
    header, *rows = (line.split() for line in call("trials", "s", "--storage", storage).stdout.splitlines())
    assert header[-2:] == ["breaks", "error"] and rows[0][-1] == "mb" and rows[1][-1] != "mb"
    assert [row[2] for row in rows] == ["None", "a"]
    shown = call("show", "s", "--trial", "0", "--storage", storage).stdout
    assert "breaks the outcome constraint on mb, by 2" in shown
    assert "breaks" not in call("show", "s", "--trial", "1", "--storage", storage).stdout


def test_the_package_is_the_command_line_where_its_script_is_not_found():
    done = subprocess.run([sys.executable, "-m", "raytune_hpo", "shwo"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Usage: raytune-hpo" in done.stderr and "No such command 'shwo'. Did you mean 'show'" in done.stderr

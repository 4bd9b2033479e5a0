"""A live study as a file: what is wrong in it is told in a sentence, before anything is touched."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from raytune_hpo.cli import main
from raytune_hpo.live.spec_file import read_spec

SPEC = """
goal = "min cost"
seat = "SEAT"
[parameters]
threads = {int = [1, 64]}
[baseline]
threads = 16
[applier]
kind = "command"
apply = ["true"]
read = ["true"]
measure = ["true"]
"""
HTTP = 'kind = "http"\nurl = "http://localhost:1"\n'
FILE = 'kind = "file"\npath = "{group}.json"\n'
METER = '[applier.prometheus]\nurl = "http://localhost:1"\n'


@pytest.mark.parametrize(
    ("was", "entry", "says"),
    [
        ('goal = "min cost"', "", 'with a goal like "min cost"'),
        ('"SEAT"', "5", "seat is text"),
        ("goal", 'tell = "ann"\ngoal', "without tell"),
        ("goal", 'seed = "q"\ngoal', "seed is a whole number"),
        ("goal", 'approve = "no"\ngoal', "approve is True or False, got 'no'"),
        ("goal", 'drift = "no"\ngoal', "drift is a number"),
        ("goal", 'term_s = "q"\ngoal', "term_s is a number of seconds"),
        ("goal", 'tunable = "threads"\ngoal', "a list of names as tunable"),
        ("{int = [1, 64]}", "{int = 5}", "a list after int"),
        ("{int = [1, 64]}", "{choice = 5}", "a list after choice"),
        ("{int = [1, 64]}", '{int = [1, 64], log = "no"}', "log = true or false"),
        ("{int = [1, 64]}", "{int = [1]}", "cannot be made"),
        ('measure = ["true"]', "measure = 5", "measure is a program"),
        ('measure = ["true"]', 'measure = ["true"]\ntimeout_s = "q"', "timeout_s is a number of seconds"),
        (SPEC[SPEC.index("kind") :], f"{HTTP}timeout_s = 0", "timeout_s is a number of seconds"),
        (SPEC[SPEC.index("kind") :], HTTP.replace('"http://localhost:1"', "5"), "an address is like"),
        (SPEC[SPEC.index("kind") :], f"{HTTP}prometheus = 5", "a table with url and queries"),
        (
            SPEC[SPEC.index("measure") :],
            f"measure = ['true']\n{METER}queries = {{cost = 'q'}}",
            "one of kind command measures by itself",
        ),
        (SPEC[SPEC.index("kind") :], f"kind = 'pull'\n{METER}queries = {{cost = 'q'}}", "of kind pull measures by"),
        (SPEC[SPEC.index("kind") :], f"{FILE}pid_file = 5\n{METER}queries = {{cost = 'q'}}", "pid_file is text"),
        (SPEC[SPEC.index("kind") :], f"{FILE}{METER}queries = {{cost = 5}}", "a query of Prometheus is text"),
        (SPEC[SPEC.index("kind") :], f"{FILE}{METER}queries = 'cost'", "queries are by metric"),
    ],
    ids=lambda value: value.strip().replace("\n", " ")[-30:],
)
def test_what_is_wrong_in_a_file_is_told_and_nothing_is_created(tmp_path, was, entry, says):
    spec = tmp_path / "shop.toml"
    spec.write_text(SPEC.replace(was, entry, 1).replace("SEAT", str(tmp_path / "seat")))
    found = CliRunner().invoke(main, ["live", "run", str(spec), "--no-watch", "--storage", f"{tmp_path}/s.db"])
    assert type(found.exception) is SystemExit and says in found.output
    assert not (tmp_path / "s.db").exists()
    if "term_s" in entry:
        watched = CliRunner().invoke(main, ["live", "watch", str(spec), "--once"])
        assert type(watched.exception) is SystemExit and says in watched.output


def test_a_file_gives_what_live_takes(tmp_path):
    spec = tmp_path / "shop.toml"
    spec.write_text(SPEC)
    assert read_spec(spec).keys() == {"goal", "seat", "name", "space", "baseline", "applier"}

"""The views say of every trial what trial.evolve says."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import create_engine

from raytune_hpo.codec import to_jsonable
from raytune_hpo.facts import Reported, Started
from raytune_hpo.goals import Goal
from raytune_hpo.journal import open_storage
from raytune_hpo.trial import evolve
from tests.journal.story import AT, completed, created, eventful_study, reported, short_study, started

COLUMNS = "number status attempt worker created_at started_at finished_at duration_s error config metrics".split()


def query(url, sql):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.exec_driver_sql(sql)]
    engine.dispose()
    return rows


def folded(facts):
    trials = {}
    for fact in facts:
        if (number := getattr(fact, "number", None)) is not None:
            trials[number] = evolve(trials.get(number), fact, [Goal("loss")])
    return trials


def plain(value):
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def write(url, facts, name="mnist"):
    with_right = open_storage(url).journal(name, create=True, owner="me")
    with_right.append(facts, expect=0)
    with_right.close()


@pytest.mark.parametrize("seed", range(3))
def test_trials_are_what_their_facts_add_up_to(database_url, seed):
    facts = eventful_study(seed)
    write(database_url, facts)
    write(database_url, eventful_study(seed + 100), "another")
    trials = folded(facts)
    rows = query(database_url, "SELECT * FROM trials WHERE study = 'mnist' ORDER BY number")
    assert [row["number"] for row in rows] == sorted(trials)
    for row in rows:
        trial = trials[row["number"]]
        error = row.pop("error")
        assert (error is None) == (trial.error is None)
        assert error is None or error.startswith("ValueError: ") and error.endswith("\U0001f600")
        expected = {name: getattr(trial, name) for name in COLUMNS if name != "error"}
        expected |= {name: to_jsonable(expected[name]) for name in ("config", "metrics")}
        assert {"study": "mnist", **expected} == {name: plain(value) for name, value in row.items()}


def test_studies_count_their_trials_by_status(database_url):
    facts = eventful_study(seed=5)
    write(database_url, facts)
    write(database_url, [created("young")], "young")
    open_storage(database_url).journal("empty", create=True, owner="me").close()
    statuses = [str(trial.status) for trial in folded(facts).values()]
    busy, young, empty = query(database_url, "SELECT * FROM studies ORDER BY created_at")
    for status in ("waiting", "running", "completed", "pruned", "failed"):
        assert busy[status] == statuses.count(status)
    assert busy["num_trials"] == len(statuses)
    assert busy["last_fact_at"] == facts[-1].at
    assert (young["name"], young["num_trials"], young["running"], young["last_fact_at"]) == ("young", 0, 0, AT)
    assert (empty["name"], empty["num_trials"], empty["last_fact_at"]) == ("empty", 0, None)


def test_reports_are_listed_with_their_verdicts(database_url):
    facts = eventful_study(seed=6)
    write(database_url, facts)
    rows = query(database_url, "SELECT * FROM reports")
    key = ("number", "attempt", "step", "verdict", "at")
    seen = sorted(tuple(row[name] for name in key) for row in rows)
    assert seen == sorted((f.number, f.attempt, f.step, str(f.verdict), f.at) for f in facts if isinstance(f, Reported))
    assert all(plain(row["metrics"])["loss"] == 1 / row["step"] for row in rows)


def test_numbers_beyond_what_a_database_counts_spoil_no_query(database_url):
    steps = [1, 3_000_000_000, 2**63 - 1, 10**30, 10**400, -(10**30)]
    facts = [created(), started(0), *(replace(reported(0, 1), step=step, attempt=2**40) for step in steps)]
    late = completed(0, attempt=10**20)
    facts += [replace(late, duration_s=float("inf"), started_at=float("nan")), started(1, at=float("inf"))]
    write(database_url, facts)
    rows = query(database_url, "SELECT step, attempt FROM reports ORDER BY step")
    assert [row["step"] for row in rows][1:] == [1, 3_000_000_000] + [2**63 - 1] * 3
    assert rows[0]["step"] <= -(2**63) + 1 and rows[0]["attempt"] == 2**40
    assert [row["status"] for row in query(database_url, "SELECT * FROM trials ORDER BY number")] == [
        "completed",
        "running",
    ]
    assert query(database_url, "SELECT * FROM studies")[0]["num_trials"] == 2


def test_text_that_a_database_cannot_hold_spoils_no_query(database_url):
    write(database_url, short_study())  # has an enqueued configuration with NUL and half a surrogate pair
    odd = Started(number=0, worker="w\u0000\udcff.", at=AT, config={"act": "\\u0000"})
    write(database_url, [created("odd"), odd], "odd")
    (row,) = query(database_url, "SELECT config, worker FROM trials WHERE study = 'odd'")
    assert "act" in plain(row["config"])
    assert row["worker"][0] + row["worker"][-1] == "w."
    assert len(query(database_url, "SELECT * FROM trials")) == 4

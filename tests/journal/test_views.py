"""The views say of every trial what trial.evolve says."""

import json
import re
from dataclasses import replace

import pytest
from sqlalchemy import create_engine

from raytune_hpo.codec import is_trial_fact, to_jsonable
from raytune_hpo.facts import Finished, Paused, Reported, Requeued, Started, Status, StopAsked
from raytune_hpo.goals import Goal
from raytune_hpo.journal import open_storage, views
from raytune_hpo.trial import evolve
from tests.journal.story import AT, completed, created, eventful_study, reported, short_study, started
from tests.journal.test_digests import change

COLUMNS = (
    "number status attempt worker created_at started_at finished_at duration_s error reason config metrics "
    "parent until from_trial from_step"
).split()


def query(url, sql):
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        rows = [dict(row._mapping) for row in connection.exec_driver_sql(sql)]
    engine.dispose()
    return rows


def folded(facts):
    trials = {}
    for fact in facts:
        if is_trial_fact(fact):
            number = fact.number
            trials[number] = evolve(trials.get(number), fact, [Goal("loss")])
    return trials


def plain(value):
    return json.loads(value) if isinstance(value, str) and value.startswith("{") else value


def write(url, facts, name="mnist"):
    with_right = open_storage(url).journal(name, create=True, owner="me")
    with_right.append(facts, expect=0)
    with_right.close()


BOUNDS = [Goal("size", "min", threshold=0.1 + 0.2), Goal('a "b".c', "max", threshold=-1e-300)]


def test_trials_that_break_an_outcome_constraint_are_told_from_the_others(database_url):
    name = BOUNDS[1].metric
    told = [{"size": 0.1 + 0.2, name: 0}, {"size": 0.3, name: -1e-300}, {"size": 0.30000000000000010, name: 1}]
    told += [{"size": 0, name: -1}, {"size": 0}, {}]
    spec = {"name": "mnist", "constraints": [to_jsonable(vars(bound)) for bound in BOUNDS]}
    facts = [replace(created(), spec=spec)]
    for number, metrics in enumerate(told):
        facts += [started(number), replace(completed(number), metrics={"loss": 1.0, **metrics})]
    facts += [started(len(told)), reported(len(told), 1)]
    write(database_url, facts)
    trials = {}
    for fact in facts[1:]:
        trials[fact.number] = evolve(trials.get(fact.number), fact, [Goal("loss")], BOUNDS)
    rows = query(database_url, "SELECT feasible FROM trials ORDER BY number")
    is_known = [trial.status is Status.COMPLETED for trial in trials.values()]
    expected = [trial.is_feasible if known else None for trial, known in zip(trials.values(), is_known, strict=True)]
    assert [row["feasible"] for row in rows] == expected
    assert {True, False, None} == set(expected)


FEW_SEEDS = [seed if seed < 2 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(6)]


@pytest.mark.parametrize("seed", FEW_SEEDS)
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
        expected["step"] = trial.last_step
        expected["feasible"] = trial.is_feasible if trial.status is Status.COMPLETED else None
        assert {"study": "mnist", **expected} == {name: plain(value) for name, value in row.items()}


@pytest.mark.parametrize("seed", FEW_SEEDS)
def test_checkpoints_are_those_that_are_kept(database_url, seed):
    facts = eventful_study(seed, num_events=600)
    write(database_url, facts)
    kept = {(t.number, step): record for t in folded(facts).values() for step, record in t.checkpoints.items()}
    assert kept
    rows = query(database_url, "SELECT * FROM checkpoints")
    assert sorted((row["number"], row["step"]) for row in rows) == sorted(kept)
    for row in rows:
        record = kept[row["number"], row["step"]]
        assert (row["url"], row["bytes"], row["node"]) == (record.get("url"), record.get("bytes"), record.get("node"))


def test_studies_count_their_trials_by_status(database_url):
    facts = eventful_study(seed=5)
    write(database_url, facts)
    write(database_url, [created("young")], "young")
    open_storage(database_url).journal("empty", create=True, owner="me").close()
    statuses = [str(trial.status) for trial in folded(facts).values()]
    busy, young, empty = query(database_url, "SELECT * FROM studies ORDER BY created_at")
    for status in ("waiting", "running", "paused", "completed", "pruned", "failed"):
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


def test_what_is_no_number_where_a_number_belongs_spoils_no_query(database_url):
    odd = [started(0), replace(started(1), parent="a"), replace(started(2), parent=[1], until={"a": 1})]
    write(database_url, [created(), *odd, replace(started(3), parent=2)])
    rows = query(database_url, "SELECT number, parent, until FROM trials ORDER BY number")
    assert [(row["parent"], row["until"]) for row in rows] == [(None, None)] * 3 + [(2, None)]
    assert query(database_url, "SELECT * FROM studies")[0]["num_trials"] == 4


def test_text_that_a_database_cannot_hold_spoils_no_query(database_url):
    write(database_url, short_study())  # has an enqueued configuration with NUL and half a surrogate pair
    odd = Started(number=0, worker="w\u0000\udcff.", at=AT, config={"act": "\\u0000"})
    write(database_url, [created("odd"), odd], "odd")
    (row,) = query(database_url, "SELECT config, worker FROM trials WHERE study = 'odd'")
    assert "act" in plain(row["config"])
    assert row["worker"][0] + row["worker"][-1] == "w."
    assert len(query(database_url, "SELECT * FROM trials")) == 4


def test_a_trial_that_waits_or_was_adopted_is_shown_with_the_reports_that_still_hold(database_url):
    facts = [created()]
    for number in range(4):
        facts += [started(number), reported(number, 1), reported(number, 2)]
        facts.append(Requeued(number=number, attempt=1, reason="worker lost", spent=False, at=AT))
    facts += [
        replace(started(1, attempt=2, worker="adopted"), from_step=2),
        Finished(number=1, attempt=2, status=Status.FAILED, at=AT, error="no", reason="ValueError: no"),
        replace(started(2, attempt=2), from_step=1),
        started(3, attempt=2),
        Requeued(number=3, attempt=2, reason="worker lost", spent=False, at=AT),
        replace(started(3, attempt=3), from_step=9),  # of nothing: the attempt before had dropped them
        StopAsked(number=3, at=AT),
    ]
    write(database_url, facts)
    rows = query(database_url, "SELECT * FROM trials ORDER BY number")
    seen = [(row["status"], row["worker"], row["reason"], plain(row["metrics"])) for row in rows]
    assert seen == [
        ("waiting", None, None, {"loss": 0.5}),
        ("failed", "adopted", "ValueError: no", {"loss": 0.5}),
        ("running", "worker-1", None, {"loss": 1.0}),
        ("running", "worker-1", None, {}),
    ]
    assert [dict(trial.metrics) for trial in folded(facts).values()] == [metrics for *_, metrics in seen]


FIRST_COLUMNS = "study number status attempt config metrics worker created_at started_at finished_at duration_s error"


def test_views_of_an_earlier_version_learn_what_is_new_and_keep_what_is_built_on_them(database_url):
    write(database_url, short_study())
    earlier = ["DROP VIEW studies", "DROP VIEW checkpoints"]
    columns = ", ".join(FIRST_COLUMNS.split())
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    (query_of_trials,) = [s.partition("*/")[2] for s in views.statements(kind) if " trials AS " in s]
    earlier += ["DROP VIEW trials", f"CREATE VIEW trials AS SELECT {columns} FROM ({query_of_trials}) all_of_them"]
    earlier += ["CREATE VIEW mine AS SELECT number, status FROM trials", "CREATE TABLE checkpoints (path text)"]
    earlier += ["DROP TABLE raytune_digests", "UPDATE raytune_schema SET version = 1"]
    change(database_url, *earlier)
    facts = list(open_storage(database_url).read("mnist"))
    assert list(query(database_url, "SELECT * FROM trials")[0]) == FIRST_COLUMNS.split()
    journal = open_storage(database_url).journal("mnist", create=False, owner="me")
    journal.append([started(3), reported(3, 1), Paused(number=3, attempt=1, step=1, at=AT)], expect=len(facts))
    journal.close()
    assert list(query(database_url, "SELECT * FROM trials")[0])[:12] == FIRST_COLUMNS.split()
    assert [row["status"] for row in query(database_url, "SELECT * FROM mine ORDER BY number")][3] == "paused"
    assert query(database_url, "SELECT paused FROM studies") == [{"paused": 1}]
    assert query(database_url, "SELECT * FROM checkpoints") == []  # somebody else's


def resume(url, name="mnist"):
    open_storage(url).journal(name, create=False, owner="me").close()


def test_views_that_are_defined_otherwise_are_made_anew_when_a_study_is_resumed(database_url):
    write(database_url, short_study())
    kind = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    (query_of_trials,) = [s.partition("*/")[2] for s in views.statements(kind) if " trials AS " in s]
    other = f"VIEW trials AS {query_of_trials} AND created.number > 0"
    if kind == "sqlite":
        change(database_url, "DROP VIEW trials", f"CREATE {other}")
    else:
        change(database_url, f"CREATE OR REPLACE {other}", "COMMENT ON VIEW trials IS NULL")
    assert len(query(database_url, "SELECT * FROM trials")) == 2
    resume(database_url)
    assert len(query(database_url, "SELECT * FROM trials")) == 3
    views_before = query(database_url, DEFINITIONS[kind])
    resume(database_url)
    assert query(database_url, DEFINITIONS[kind]) == views_before  # which are left alone


DEFINITIONS = {
    "sqlite": "SELECT name, sql, rootpage FROM sqlite_master WHERE type = 'view'",
    "postgresql": "SELECT relname, xmin::text FROM pg_class WHERE relkind = 'v' AND relname IN ('trials', 'studies')",
}
OF_0_1_0 = (
    "DROP VIEW studies",
    "DROP VIEW checkpoints",
    "DROP VIEW reports",
    "DROP VIEW trials",
    "CREATE VIEW trials AS SELECT s.name AS study, f.number, f.kind AS status, 1::integer AS attempt "
    "FROM raytune_facts f JOIN raytune_studies s ON s.id = f.study_id WHERE f.kind = 'Started'",
    "UPDATE raytune_schema SET version = 1",
    "DROP TABLE raytune_digests",
)


def test_a_column_of_another_type_does_not_keep_a_study_from_being_resumed(postgres_schema, caplog):
    write(postgres_schema, short_study())
    change(postgres_schema, *OF_0_1_0, "CREATE VIEW mine AS SELECT number FROM trials")
    resume(postgres_schema)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "view mine depends on view trials" in said
    assert "drop what is built on them" in said
    assert len(query(postgres_schema, "SELECT * FROM mine")) == 3
    change(postgres_schema, "DROP VIEW mine")
    resume(postgres_schema)
    assert query(postgres_schema, "SELECT completed FROM studies") == [{"completed": 3}]
    assert len(caplog.records) == 1


def test_a_role_that_does_not_own_the_views_resumes_studies(postgres_schema, caplog):
    write(postgres_schema, short_study())
    schema = postgres_schema.rpartition("%3D")[2]
    change(
        postgres_schema,
        f"CREATE ROLE {schema} LOGIN",
        f"GRANT USAGE ON SCHEMA {schema} TO {schema}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO {schema}",
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA {schema} TO {schema}",
    )
    as_guest = re.sub(r"//\w+@", f"//{schema}@", postgres_schema)
    resume(as_guest)
    assert not caplog.records
    change(postgres_schema, "COMMENT ON VIEW trials IS NULL")
    resume(as_guest)
    assert "let their owner resume a study" in caplog.text


def test_a_paused_trial_that_a_user_stops_has_no_worker_and_the_seconds_of_all_its_attempts(database_url):
    facts = [created(), started(0), reported(0, 1), Paused(number=0, attempt=1, step=1, at=AT, duration_s=2.0)]
    facts += [replace(started(0, attempt=2), from_step=1), reported(0, 2, attempt=2)]
    facts.append(Paused(number=0, attempt=2, step=2, at=AT, duration_s=0.5))
    stopped = Finished(number=0, attempt=2, status=Status.PRUNED, at=AT, metrics={"loss": 0.5})
    write(database_url, [*facts, StopAsked(number=0, at=AT), stopped])
    (row,) = query(database_url, "SELECT status, worker, step, duration_s FROM trials")
    assert row == {"status": "pruned", "worker": None, "step": 2, "duration_s": 2.5}

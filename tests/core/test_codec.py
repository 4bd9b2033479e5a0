"""Facts on their way to the journal and back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from raytune_hpo import codec
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import JournalCorrupt
from raytune_hpo.facts import Enqueued, Finished, Reported, Started, Status, Verdict

GOLDEN = Path(__file__).parents[1] / "golden"


def there_and_back(fact):
    return codec.decode(type(fact).__name__, codec.VERSION, codec.encode(fact))


@pytest.mark.parametrize(
    "fact",
    [
        Started(number=0, worker="w", at=1.5, config={"a": {"b": [1, 2.5, None, "x"]}}, basis=3, meta={"index": 4}),
        Started(number=0, worker="w", at=1.5, attempt=2),
        Reported(number=1, attempt=1, step=3, metrics={"loss": float("nan")}, verdict=Verdict.STOP, at=2.0),
        Finished(number=1, attempt=2, status=Status.FAILED, at=3.0, error="boom"),
        Enqueued(config={"x": float("inf"), "y": [float("-inf")]}, at=0.0),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_a_fact_comes_back_equal(fact):
    again = there_and_back(fact)
    assert repr(again) == repr(fact)  # nan is not equal to itself
    assert type(getattr(again, "status", None)) is type(getattr(fact, "status", None))


def test_a_float_comes_back_to_the_last_bit():
    values = {f"v{i}": 0.1 * 3**i for i in range(-30, 30)}
    assert there_and_back(Enqueued(config=values, at=0.1)).config == values


def test_a_usual_body_is_small():
    config = {f"parameter_{i}": 0.1234567890123456 * (i + 1) for i in range(10)}
    started = codec.encode(Started(number=99_999, worker="crew1234-12", at=1.8e9 + 0.123, config=config, basis=123456))
    finished = codec.encode(
        Finished(
            number=99_999,
            attempt=1,
            status=Status.COMPLETED,
            at=1.8e9 + 0.456,
            metrics={"loss": 0.123456789},
            started_at=1.8e9 + 0.2,
            duration_s=0.25,
        )
    )
    assert len(started) + len(finished) < 700


@pytest.mark.parametrize(
    ("kind", "version", "body"),
    [
        ("Vanished", 1, "{}"),
        ("Started", 99, "{}"),
        ("Started", 0, "{}"),
        ("Started", 1, "{not json"),
        ("Started", 1, '{"number": 1}'),
        ("Started", 1, "[]"),
        ("Finished", 1, '{"number":1,"attempt":1,"status":"lost","at":0}'),
        ("Enqueued", 1, '{"config": {}, "at": 0, "colour": "red"}'),
    ],
)
def test_what_this_release_did_not_write_is_refused(kind, version, body):
    with pytest.raises(JournalCorrupt):
        codec.decode(kind, version, body)


def test_a_journal_of_every_release_still_reads():
    for path in sorted(GOLDEN.glob("*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        ledger = Ledger.fold(codec.decode(line["kind"], line["version"], json.dumps(line["body"])) for line in lines)
        expected = json.loads(path.with_suffix(".json").read_text())
        seen = [[t.number, str(t.status), t.attempt, dict(t.metrics), len(t.reports)] for t in ledger.trials]
        assert seen == expected["trials"]
        assert ledger.stopped == expected["stopped"]
        assert [t.reason for t in ledger.trials] == expected.get("reasons", [None] * len(seen))
        assert sorted(ledger.retried) == expected.get("retried", [])


def test_the_newest_golden_journal_is_what_this_release_writes():
    lines = [json.loads(line) for line in (GOLDEN / f"{codec.VERSION}.jsonl").read_text().splitlines()]
    facts = [codec.decode(line["kind"], line["version"], json.dumps(line["body"])) for line in lines]
    assert [json.loads(codec.encode(fact)) for fact in facts] == [line["body"] for line in lines]
    for kind in codec.KINDS.values():  # it knows every kind, and every field with another value than its default
        for field in dataclasses.fields(kind):
            values = [repr(getattr(fact, field.name)) for fact in facts if type(fact) is kind]
            assert set(values) - {repr(field.default), "{}"}, (kind, field.name)


@pytest.mark.parametrize(
    "value",
    [
        {"$float": "nan"},
        {"$float": 0.5},
        {"$float": float("nan")},
        {"$$float": {"$float": [float("inf")]}},
        [{"$float": None}, {"$float": "inf", "x": 1}],
        {"$option": 3, "$opaque": "x"},
        '"$float"',
    ],
)
def test_a_dict_that_looks_like_a_float_comes_back_as_it_was(value):
    again = there_and_back(Enqueued(config={"a": value, "$float": value}, at=0.0))
    assert repr(again.config) == repr({"a": value, "$float": value})
    assert repr(there_and_back(Enqueued(config={"$float": value}, at=0.0)).config) == repr({"$float": value})


def test_version_1_is_read_as_it_was_written():
    fact = codec.decode("Enqueued", 1, '{"config":{"a":{"$float":"inf"},"b":{"$$float":1}},"at":0}')
    assert fact.config == {"a": float("inf"), "b": {"$$float": 1}}

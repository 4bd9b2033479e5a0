"""A journal in which a fact is another than was written: told with the place of that fact and the way out, or harmless."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import raytune_hpo as hpo
from raytune_hpo.codec import VERSION, decode, encode
from raytune_hpo.core.audit import audit
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import HpoError, InvalidTransition, JournalCorrupt
from raytune_hpo.facts import Fact, StudyCreated
from raytune_hpo.journal import open_storage
from raytune_hpo.results import Results

SPACE = {
    "x": hpo.uniform(0, 1),
    "shape": hpo.choice([(1,), (2,)]),
    "model": hpo.choice([{"depth": hpo.randint(1, 4), "taps": (1, 2)}, {"width": 2}]),
}


def objective(config: dict[str, Any]) -> float:
    for step in (1, 2, 3):
        hpo.report(loss=config["x"] / step, step=step)
    if config["x"] < 0.2:
        raise ValueError("too small")
    return float(config["x"])


def tune(storage: Path, num_trials: int = 6) -> hpo.Results:
    return hpo.tune(
        objective, SPACE, metric="loss", scheduler="asha", sampler="random", num_trials=num_trials, seed=1, runtime="local",
        max_concurrent=1, progress=False, name="study", storage=storage,
    )  # fmt: skip


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    tune(tmp_path / "s.db")
    return tmp_path / "s.db"


def flip(path: Path, kind: str, word: str, other: str) -> int:
    """Change a word in the first fact of a kind that has it; its position."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT seq, body FROM raytune_facts WHERE kind = ? ORDER BY seq", (kind,)).fetchall()
    position, body = next((seq, body) for seq, body in rows if word in body)
    with connection:
        connection.execute("UPDATE raytune_facts SET body = ? WHERE seq = ?", (body.replace(word, other, 1), position))
    connection.close()
    return int(position)


@pytest.mark.parametrize(
    ("kind", "word", "other"),
    [
        ("Started", '"number":1', '"number":3'),
        ("Finished", '"number":1', '"number":5'),
        ("Finished", '"attempt":1', '"attempt":3'),
        ("Started", '"$option":1', '"$option":3'),
        ("Started", '"value":', '"walue":'),
        ("StudyCreated", '"space":', '"spacm":'),
        ("StudyCreated", '"mode":"min"', '"mode":"oin"'),
        ("StudyCreated", '"dict":', '"eict":'),
        ("StudyCreated", '"sampler":{"name"', '"sampler":{"oame"'),
    ],
)
def test_a_changed_fact_is_named_with_the_way_out(kind: str, word: str, other: str, stored: Path) -> None:
    position = flip(stored, kind, word, other)
    told = rf"damaged at fact {position}, a {kind}\b.*restore the study from a copy"
    for use in (lambda: hpo.load("study", stored), lambda: tune(stored, 9)):
        with pytest.raises(JournalCorrupt, match=told):
            use()
    command = [sys.executable, "-m", "raytune_hpo.cli", "audit", "study", "--storage", str(stored)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    first, last = map(
        int, (re.search(r"facts? (\d+)(?: to (\d+))? (?:is|are) not th", said) or pytest.fail(said)).groups(position)
    )
    assert re.search(told, said) and first <= position <= last


def test_no_byte_of_a_fact_has_words_of_python_come_up(stored: Path) -> None:
    facts = list(open_storage(str(stored)).read("study"))
    dice = random.Random(0)

    def with_one(changed: int, body: str) -> Iterator[Fact]:
        for position, fact in enumerate(facts):
            yield decode(type(fact).__name__, VERSION, body) if position == changed else fact

    for position, fact in enumerate(facts):
        body = encode(fact)
        for place in range(dice.randrange(9), len(body), 9):
            flipped = body[:place] + chr(ord(body[place]) ^ 1 << dice.randrange(7)) + body[place + 1 :]
            for use in (lambda facts: str(Results.from_ledger(Ledger.fold(facts))), lambda facts: audit(facts)):
                try:
                    use(with_one(position, flipped))
                except HpoError as error:
                    assert not isinstance(error, InvalidTransition), (flipped, error)


def test_facts_of_no_study_are_a_damaged_journal() -> None:
    with pytest.raises(JournalCorrupt, match="interrupted before it began"):
        Ledger.fold([])


def test_a_study_of_which_the_first_fact_is_gone(stored: Path) -> None:
    facts = list(open_storage(str(stored)).read("study"))
    assert isinstance(facts[0], StudyCreated)
    with pytest.raises(JournalCorrupt, match="begins with StudyCreated, its journal begins with SessionOpened"):
        Ledger.fold(facts[1:])

"""The queries of docs/storage.md answer."""

import re

import pytest

from raytune_hpo.journal import open_storage
from tests.journal.story import ROOT, created, eventful_study, short_study
from tests.journal.test_views import query

EXAMPLES = re.findall(r"```sql (\w+)\n(.*?)```", (ROOT / "docs" / "storage.md").read_text(), re.DOTALL)


@pytest.fixture
def documented(database_url):
    storage = open_storage(database_url)
    for name, facts in (("mnist", short_study()), ("busy", eventful_study(seed=1)), ("young", [created("young")])):
        journal = storage.journal(name, create=True, owner="me")
        journal.append(facts, expect=0)
        journal.close()
    return database_url


def test_every_example_answers(documented):
    kind = "sqlite" if documented.startswith("sqlite") else "postgresql"
    answered = [query(documented, sql) for what, sql in EXAMPLES if what in (kind, "both")]
    assert len(answered) == 5 and all(answered)
    best, studies, _, rooms, steps = answered
    assert [row["number"] for row in best] == [0, 1, 2]
    assert best[1]["loss"] == pytest.approx(1 / 7) and best[1]["lr"] == pytest.approx(1.1)
    assert {row["name"] for row in studies} == {"mnist", "busy", "young"}
    assert [row["study"] for row in rooms] == ["busy"] and rooms[0]["checkpoints"] > 0
    assert [row["reached"] for row in steps] == [3, 3]


def test_the_columns_are_the_documented_ones(documented):
    text = (ROOT / "docs" / "storage.md").read_text()
    for view in ("studies", "trials", "reports", "checkpoints"):
        columns = re.search(rf"\| `{view}` \| (.*?) \|", text).group(1).split(", ")
        assert list(query(documented, f"SELECT * FROM {view}")[0]) == columns

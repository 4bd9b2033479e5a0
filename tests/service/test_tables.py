"""Tables: what is read from a CSV file, what is refused and why, and what is said of its columns."""

from __future__ import annotations

import asyncio
import io
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raytune_hpo.service.models import table_reading, tables
from raytune_hpo.service.models.table_reading import TableError, read_table
from raytune_hpo.service.models.tables import NoRoom, NotATable, Tables, bundled, remarks


def read(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "table.csv"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_is_read_whatever_separates_its_columns(file, separator, mark):
    rows = [["size", "colour"], ["1.5", "red, dark"], ["?", 'a "b"'], ["-3e2", ""]]
    quoted = [separator.join('"' + cell.replace('"', '""') + '"' for cell in row) for row in rows]
    found = read(file, mark + "\r\n".join(quoted) + "\r\n")
    assert (found["separator"], found["num_rows"]) == (separator, 3)
    size, colour = found["columns"]
    assert (size["name"], size["kind"], size["missing"]) == ("size", "number", 1)
    assert (colour["kind"], colour["missing"], colour["levels"]["red, dark"]) == ("text", 1, 1)
    assert found["rows"] == rows[1:]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ("a,b\n", "has rows below its names"),
        ("a\n1\n2\n", "at least two columns"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3"),
        ("a,,c\n1,2,3\n", "columns 2 have no name"),
        ("a,b,a\n1,2,3\n", "'a' occurs several times"),
        ("1,2\n3,4\n", "numbers only"),
        ("a,b\n1,\0\n", "line 2 holds the character NUL"),
        (b"a,b\n\xe9,1\n", "from line 2"),
        ('a,b\n"1,2\n', "cannot be read"),
        ("a,b\n" + "x" * 200_000 + ",1\n", "cannot be read"),
        (",".join(f"c{i}" for i in range(2_001)) + "\n", "at most 2,000 columns"),
        ("a" * 201 + ",b\n1,2\n", "at most 200 characters"),
    ],
)
def test_what_is_no_table_is_refused_with_its_line(file, content, said):
    with pytest.raises(TableError, match=said):
        read(file, content)


def test_there_is_a_most_of_rows_and_cells(file, monkeypatch):
    monkeypatch.setattr(table_reading, "MAX_ROWS", 3)
    assert read(file, "a,b\n" + "1,2\n" * 3)["num_rows"] == 3
    with pytest.raises(TableError, match="more than 3 rows"):
        read(file, "a,b\n" + "1,2\n" * 4)


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8"), max_size=5), min_size=2, max_size=2), min_size=1, max_size=6
    )
)
@settings(max_examples=60)
def test_every_text_file_is_a_table_or_no_table(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "any.csv"
    try:
        found = read(path, "a,b\n" + "\n".join(",".join(row) for row in rows))
    except TableError:
        return
    assert {column["kind"] for column in found["columns"]} <= {"number", "text"}
    assert all(len(row) == len(found["columns"]) for row in found["rows"])


def upload(folder, content, title="table.csv"):
    return asyncio.run(Tables(folder).add(io.BytesIO(content.encode()), title))


def test_an_uploaded_table_is_found_by_a_digest_until_it_is_deleted(tmp_path):
    added = upload(tmp_path / "tables", "a,b\n1,x\n2,y\n")
    there = Tables(tmp_path / "tables")
    assert there.find(added.id) == added
    assert added.path is not None and added.path.read_text() == "a,b\n1,x\n2,y\n"
    assert upload(tmp_path / "tables", "a,b\n1,x\n2,y\n", "again.csv").title == "table.csv"
    assert [table.id for table in there.uploaded()] == [added.id]
    assert there.delete(added.id) and not there.delete(added.id)
    assert there.uploaded() == [] and there.find("../" + added.id) is None
    assert list((tmp_path / "tables").iterdir()) == []


def test_what_is_no_table_leaves_nothing_behind(tmp_path, monkeypatch):
    with pytest.raises(NotATable, match="at least two columns"):
        upload(tmp_path, "a\n1\n")
    monkeypatch.setattr(tables, "READ_S", 0.0)
    with pytest.raises(NotATable, match="took longer"):
        upload(tmp_path, "a,b\n1,2\n")
    monkeypatch.setattr(tables, "QUOTA_BYTES", 3)
    with pytest.raises(NoRoom):
        upload(tmp_path, "a,b\n1,2\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_has_no_room(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NoRoom, match="no place for the table: Not a directory; see its --data"):
        upload(tmp_path / "file" / "below", "a,b\n1,2\n")


def test_columns_that_deserve_a_word_get_one(tmp_path):
    draws = random.Random(0)
    lines = ["key,city,size,leak,target"]
    for row in range(300):
        answer = draws.choice(["no", "yes"])
        missing = "" if row % 10 == 0 else str(draws.random())
        lines.append(f"K-{row},city {draws.randrange(120)},{missing},{answer.upper()},{answer}")
    said = remarks(upload(tmp_path, "\n".join(lines) + "\n"), "target")
    assert "identifier" in said["key"]
    assert "codes instead of" in said["city"]
    assert said["size"] == "30 missing become the median."
    assert "On its own it gives target away in 100.0% of rows" in said["leak"]
    assert "target" not in said


def test_a_bundled_table_is_described_like_any_other():
    table = bundled("iris")
    assert (table.num_rows, table.columns[-1].name) == (150, "target")
    assert table.columns[-1].levels == {"0": 50, "1": 50, "2": 50}
    assert table.record()["columns"][0]["type"] == "number"

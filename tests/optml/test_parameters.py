"""Files of hyperparameters: what they may say, and what is said about those that do not."""

from __future__ import annotations

import pytest

import raytune_hpo as hpo
from raytune_hpo.optml import Parameters, parse


def test_a_list_of_configurations_keeps_its_order_and_its_types():
    points = parse("rate  width  window\n0.1 8 hann\n1e-3 16 none\n0.1 8 'flat'\n").points
    assert points == (
        {"rate": 0.1, "width": 8, "window": "hann"},
        {"rate": 0.001, "width": 16, "window": None},
        {"rate": 0.1, "width": 8, "window": "flat"},
    )
    assert isinstance(points[0]["width"], int)


def test_commas_comments_blank_lines_and_tabs_are_all_the_same():
    plain = parse("a b\n1 2\n3 4\n")
    assert parse("# two of them\n\na,b   # names\n 1,2\n\n3 , 4 # last\n").points == plain.points
    assert parse("a\tb\r\n1\t2\r\n3\t4").points == plain.points


def test_values_with_spaces_are_kept_by_commas():
    assert parse("name, size\nvery large, 3\n").points == ({"name": "very large", "size": 3},)


def test_the_space_of_a_list_has_its_values_in_order():
    space = parse("rate flag\n0.3 true\n0.1 false\n0.3 true\n").space
    assert space.cardinality == 4
    space.check({"rate": 0.1, "flag": True})
    with pytest.raises(hpo.errors.SpaceError):
        space.check({"rate": 0.2, "flag": True})


def test_a_single_configuration_is_a_list_too():
    assert parse("rate\n0.1\n").points == ({"rate": 0.1},)


def test_ranges():
    parameters = parse("rate = 1e-4 .. 1e-1 log\nwidth = 4 .. 64\nbias=-1 .. 1.5\nkind in [a, b c]\npasses = 20\n")
    assert parameters.points == ()
    assert not parameters.is_grid
    domains = {column.name: column.domain for column in parameters.space.columns}
    assert domains == {
        "rate": hpo.Float(1e-4, 1e-1, log=True),
        "width": hpo.Int(4, 64),
        "bias": hpo.Float(-1, 1.5),
        "kind": hpo.Choice(["a", "b c"]),
    }
    assert parameters.space.sample(1, hpo_rng())[0]["passes"] == 20


def hpo_rng():
    import numpy as np

    return np.random.default_rng(0)


def test_lists_of_values_alone_make_a_grid():
    parameters = parse("rate in [0.1, 0.01]\nwidth in [4 8 16]\npasses = 3\n")
    assert parameters.is_grid
    assert parameters.space.cardinality == 6


def test_numbers_of_a_list_are_ordered():
    (column,) = parse("rate in [0.1, 0.01, 1]\n").space.columns
    assert column.domain.options == (0.01, 0.1, 1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.txt has no parameters: name them in the first line"),
        ("# nothing\n\n", "p.txt has no parameters"),
        ("rate width\n", "line 1: only the names are there; write one configuration per line"),
        ("\n0.1 8\n0.2 8\n", "line 2: the first line names the parameters, like `step_size length`"),
        ("rate rate\n1 2\n", "line 1: each parameter is named once, got 'rate rate'"),
        ("rate width\n0.1 8\n\n0.1\n", "line 4: a configuration has 2 values (rate, width), this one 1;"),
        ("rate\n0.1 8\n", "line 2: a configuration has 1 values (rate), this one 2"),
        ("rate\nnan\n", "line 2: a value is finite, 'nan' is not"),
        ("rate\n1e999\n", "line 2: a value is finite"),
        ("rate width\n0.1,\n", "line 2: a value is a number, true, false, none or a word"),
        ("rate\n[3]\n", "line 2: a value is a number, true, false, none or a word"),
        ("rate = 1 .. 2\n0.1 8\n", "line 2: in a file of ranges every line is `name = low .. high`"),
        ("rate = 1 .. 2\nrate in [1, 2]\n", "line 2: each parameter has one line, 'rate' has two"),
        ("rate = 2 .. 1\n", "line 1: "),
        ("rate = 0 .. 1 log\n", "line 1: "),
        ("rate = a .. b\n", "line 1: the ends of a range are numbers"),
        ("rate = 1 .. \n", "line 1: a line is `name = low .. high`"),
        ("rate = 1 .. 2 linear\n", "line 1: a line is `name = low .. high`"),
        ("rate =\n", "line 1: a line is `name = low .. high`"),
        ("rate in 1, 2\n", "line 1: a list of values is like `name in [0.1, 0.2, 0.3]`"),
        ("rate in []\n", "line 1: a list of values"),
        ("rate in [1, 2, 1]\n", "line 1: a list names each value once"),
        ("rate = 3\n", "line 1: with nothing but constants there is nothing to tune"),
    ],
)
def test_a_bad_file_is_told_by_its_line_and_the_way_out(text, said):
    with pytest.raises(hpo.errors.SpecError) as error:
        parse(text, "p.txt")
    assert said in str(error.value)
    assert str(error.value).startswith("p.txt")


def test_a_file_is_read_whatever_editor_wrote_it(tmp_path):
    path = tmp_path / "p.txt"
    path.write_bytes("\ufeffrate\r\n0.5\r\n".encode())
    assert Parameters.of(path).points == ({"rate": 0.5},)
    assert Parameters.of(str(path)).points == ({"rate": 0.5},)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(hpo.errors.SpecError, match="there is no file of hyperparameters"):
        Parameters.of(tmp_path / "p.txt")
    with pytest.raises(hpo.errors.SpecError, match="cannot be read"):
        Parameters.of(tmp_path)
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\x00rate")
    with pytest.raises(hpo.errors.SpecError, match="is a text file"):
        Parameters.of(tmp_path / "p.txt")


def test_from_python_a_list_of_dicts_or_a_space():
    points = [{"rate": 0.1, "width": 4}, {"rate": 0.2, "width": 4}]
    assert list(Parameters.of(points).points) == points
    assert Parameters.of({"rate": hpo.grid_search([1, 2])}).is_grid
    assert not Parameters.of(hpo.Space({"rate": hpo.uniform(0, 1)})).is_grid
    with pytest.raises(hpo.errors.SpecError, match="all configurations have the same parameters"):
        Parameters.of([{"rate": 0.1}, {"width": 4}])

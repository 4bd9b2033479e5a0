"""What the labs stand on: sizes, pictures, the small network, and the builder that makes notebooks of them."""

import importlib.util
import json
import sys

import numpy as np
import pytest
from labs_support import ROOT

from raytune_hpo import workshop
from raytune_hpo.workshop import network


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("labs_build", ROOT / "labs" / "build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def digits():
    return network.digits()


# ------------------------------------------------------------------------------------------------ sizes and pictures


@pytest.mark.parametrize(("said", "expected"), [(None, 200), ("", 200), ("0", 200), ("1", 20)])
def test_the_environment_makes_a_lab_quick(monkeypatch, said, expected):
    monkeypatch.setattr("sys.argv", ["lab.py"])
    monkeypatch.delenv(workshop.QUICK, raising=False)
    if said is not None:
        monkeypatch.setenv(workshop.QUICK, said)
    assert workshop.size(200, quick=20) == expected


def test_an_option_makes_a_lab_quick(monkeypatch):
    monkeypatch.delenv(workshop.QUICK, raising=False)
    monkeypatch.setattr("sys.argv", ["lab.py", "--quick"])
    assert workshop.size("long", quick="short") == "short"


def test_a_script_writes_its_pictures_beside_one_copy_of_plotly_and_says_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    drawn = workshop.figure("A & B", x="time", y="error", log_y=True)
    drawn.add_scatter(x=[1, 2], y=[3, 4], name="a curve")
    workshop.show(drawn, "picture")
    page = tmp_path / "out" / "picture.html"
    assert capsys.readouterr().out == f"picture: {page}\n"
    text = page.read_text(encoding="utf-8")
    assert "a curve" in text
    assert 'src="http' not in text, "the page opens offline"
    workshop.show(drawn, "another")
    assert sorted(path.name for path in page.parent.iterdir()) == ["another.html", "picture.html", "plotly.min.js"]
    assert all(path.stat().st_size < 100_000 for path in page.parent.glob("*.html"))


@pytest.mark.parametrize(
    ("values", "dtick"), [([0.05, 0.4], "D2"), ([1e-4, 30], 1), ([0.2, 0.3, np.nan, 0.0, -1], "D2"), ([None], None)]
)
def test_labels_of_logarithmic_axes_are_plain_numbers_of_one_size(values, dtick, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = workshop.figure("title", x="n", y="error", log_y=True)
    drawn.add_scatter(x=list(range(len(values))), y=values)
    workshop.show(drawn, "picture")
    assert drawn.layout.yaxis.dtick == dtick
    assert drawn.layout.yaxis.tickformat == (dtick and "~g")
    assert drawn.layout.xaxis.dtick is None, "the other axis is not logarithmic"


def test_labels_of_a_logarithmic_axis_that_a_lab_sets_itself_are_left_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = workshop.figure("title", x="n", y="error", log_x=True).add_scatter(x=[1, 100], y=[1, 2])
    drawn.update_xaxes(tickvals=[1, 5, 100])
    workshop.show(drawn, "picture")
    assert drawn.layout.xaxis.dtick is None
    ranged = workshop.figure("title", x="n", y="error", log_x=True).add_scatter(x=[1, 2], y=[1, 2])
    ranged.update_xaxes(range=[-2, 4])
    workshop.show(ranged, "picture")
    assert ranged.layout.xaxis.dtick == 1, "its range says how many decades are seen"


def test_axes_are_named_and_logarithmic_where_asked():
    drawn = workshop.figure("title", x="rate", y="error", log_x=True)
    assert (drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text) == ("rate", "error")
    assert drawn.layout.xaxis.type == "log"
    assert drawn.layout.yaxis.type is None


# ------------------------------------------------------------------------------------------------ the network


def test_the_gradient_is_the_derivative(digits):
    X, y, _, _ = digits
    X, y = X[:50], y[:50]
    W = network.initial(5, np.random.default_rng(0))

    def cross_entropy():
        return -np.log(network.probabilities(W, X)[1][np.arange(len(y)), y]).mean()

    slopes = network.gradient(W, X, y)
    for group, place in ((0, (20, 2)), (1, (3,)), (2, (1, 7)), (3, (4,))):
        step, before = 1e-6, cross_entropy()
        W[group][place] += step
        assert (cross_entropy() - before) / step == pytest.approx(slopes[group][place], abs=1e-4)
        W[group][place] -= step


@pytest.mark.parametrize(
    "settings", [{"learning_rate": 0.1, "momentum": 0.5}, {"learning_rate": 0.1, "optimizer": "adagrad"}]
)
def test_both_optimizers_learn_and_repeat_exactly(digits, settings):
    X, y, X_valid, y_valid = digits
    first, second = (network.train(X, y, **settings) for _ in range(2))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert network.accuracy(first, X_valid, y_valid) > 0.9


def test_another_seed_is_another_network(digits):
    X, y, _, _ = digits
    first, second = (network.train(X[:100], y[:100], learning_rate=0.1, seed=seed) for seed in (0, 1))
    assert not np.allclose(first[0], second[0])


def test_a_network_that_diverges_guesses(digits):
    X, y, X_valid, y_valid = digits
    W = network.train(X, y, learning_rate=50.0, momentum=0.99, batch_size=10)
    assert network.accuracy(W, X_valid, y_valid) < 0.25


def test_an_unknown_optimizer_is_refused(digits):
    with pytest.raises(ValueError, match='"sgd" or "adagrad", got \'adam\''):
        network.train(*digits[:2], learning_rate=0.1, optimizer="adam")


# ------------------------------------------------------------------------------------------------ the builder

LAB = """# %% [markdown]
# # A lab

# %%
def fit(X, y):
    # >>> your turn: solve the normal equations;
    #     np.linalg.solve helps
    A = X.T @ X
    {last}
    # <<<
    return beta
"""


@pytest.mark.parametrize(
    ("last", "kept"),
    [
        ("beta = solve(A, X.T @ y)", "beta = workshop.your_turn"),
        ("beta, rest = solve(A, X.T @ y)", "beta, rest = workshop.your_turn"),
        ("return solve(A, X.T @ y)", "return workshop.your_turn"),
        ("print(A)", "raise workshop.YourTurn"),
        ("beta += A", "raise workshop.YourTurn"),
    ],
)
def test_a_gap_keeps_what_the_rest_needs(build, last, kept):
    exercise = build.exercise(LAB.format(last=last))
    hint = "    # YOUR TURN: solve the normal equations; np.linalg.solve helps\n"
    assert f'{hint}    {kept}("solve the normal equations")\n    return beta\n' in exercise
    assert "A = X.T @ X" not in exercise


@pytest.mark.parametrize("mark", ["", "async "])
def test_a_gap_that_ends_with_a_whole_function_is_refused(build, mark):
    """A reader could not know its name and its arguments."""
    lab = f"class Service:\n    # >>> your turn: what runs\n    {mark}def read(self, group):\n        return 1\n    # <<<\n"
    with pytest.raises(SystemExit, match="'what runs' ends with all of read, .* put the marks inside it"):
        build.exercise(lab)


def test_a_hint_with_quotation_marks_is_quoted_and_ends_with_its_first_clause(build):
    exercise = build.exercise('# >>> your turn: the key "loss". It is a number.\nx = 1\n# <<<\n')
    assert "x = workshop.your_turn('the key \"loss\"')\n" in exercise


def test_a_solution_keeps_what_stands_in_its_gaps(build):
    filled = build.solution(LAB.format(last="beta = A"))
    assert "helps\n    A = X.T @ X\n    beta = A\n    return beta\n" in filled


def test_long_hints_are_broken_into_lines(build):
    hinted = "# >>> your turn: " + "word " * 40 + "\nx = 1\n# <<<\n"
    made = build.exercise(hinted)
    assert all(len(text) <= build.WIDTH for text in made.splitlines())
    assert made.count("word") > 40, "the whole hint stands above the gap, and its beginning in it"


def test_cells_keep_their_ids_when_others_change(build):
    def ids(text):
        made = build.notebook(text, build.exercise(text), "note")
        return [cell["id"] for cell in json.loads(made)["cells"]]

    before, after = ids(LAB.format(last="beta = A")), ids(LAB.format(last="beta = A").replace("A lab", "Another"))
    assert before[0] != after[0]
    assert before[1:] == after[1:]


def test_equal_cells_have_ids_of_their_own(build):
    text = "# %% [markdown]\n# same\n\n# %% [markdown]\n# same\n"
    cells = json.loads(build.notebook(text, text, "note"))["cells"]
    assert len({cell["id"] for cell in cells}) == 2

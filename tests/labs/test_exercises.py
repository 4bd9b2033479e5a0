"""Exercises: an empty gap says what belongs there, whatever is done with it, and a wrong answer is found right after it."""

from __future__ import annotations

import ast
import copy
import json
import math
import os
import pickle
import re
import textwrap

import nbformat
import numpy as np
import pytest
from labs_support import ROOT, lab_names, require_libraries

import raytune_hpo as hpo
from raytune_hpo import workshop
from raytune_hpo.workshop import YourTurn, your_turn

NEEDS_RAY = "ray_lab_00_tasks_and_actors"  # before its first gap
LABS = [name for name in lab_names() if name != NEEDS_RAY]
GAP = re.compile(r"workshop\.(?:your_turn|YourTurn)\((?P<hint>.*)\)")
USES = {
    "attribute": lambda gap: gap.tolist(),
    "hasattr": lambda gap: hasattr(gap, "tolist"),
    "attribute set": lambda gap: setattr(gap, "x", 1),
    "attribute deleted": lambda gap: delattr(gap, "x"),
    "call": lambda gap: gap(1),
    "unpacking": lambda gap: (lambda a, b: a)(*gap),
    "keywords": lambda gap: dict(**gap),
    "sum": lambda gap: gap + 1,
    "reflected difference": lambda gap: 1 - gap,
    "product with an array": lambda gap: np.ones(3) * gap,
    "matrix product": lambda gap: np.ones((2, 2)) @ gap,
    "numpy scalar": lambda gap: np.float64(2) / gap,
    "ufunc": lambda gap: np.exp(gap),
    "mean": lambda gap: np.mean(gap),
    "isfinite": lambda gap: np.isfinite(gap),
    "allclose": lambda gap: np.allclose(gap, 1),
    "append": lambda gap: np.append(np.ones(2), gap),
    "array": lambda gap: np.array([gap, 1.0]),
    "solve": lambda gap: np.linalg.solve(gap, np.ones(2)),
    "negative": lambda gap: -gap,
    "float": lambda gap: float(gap),
    "sqrt": lambda gap: math.sqrt(gap),
    "ceil": lambda gap: math.ceil(gap),
    "round": lambda gap: round(gap),
    "range": lambda gap: range(gap),
    "an index": lambda gap: [1, 2][gap],
    "indexed": lambda gap: gap[0],
    "item set": lambda gap: gap.__setitem__(0, 1),
    "equal": lambda gap: gap == 1,
    "less": lambda gap: gap > 1,
    "maximum": lambda gap: max([gap, 1]),
    "sorted": lambda gap: sorted([gap, gap]),
    "in": lambda gap: gap in [1],
    "contains": lambda gap: 1 in gap,
    "a key": lambda gap: {gap: 1},
    "truth": lambda gap: not gap,
    "length": lambda gap: len(gap),
    "iteration": lambda gap: list(gap),
    "format": lambda gap: f"{gap:.3f}",
    "str": lambda gap: str(gap),
    "repr": lambda gap: repr([gap]),
    "percent": lambda gap: "%s" % gap,  # noqa: UP031 - a way of formatting too
    "json": lambda gap: json.dumps({"a": gap}),
    "plotly": lambda gap: workshop.figure("t", x="x", y="y").add_scatter(x=[1], y=gap),
    "plotly's values": lambda gap: workshop.figure("t", x="x", y="y").add_scatter(x=[1], y=[gap]).to_json(),
    "isinstance": lambda gap: isinstance(gap, int),
    "path": lambda gap: os.fspath(gap),
    "copy": lambda gap: copy.deepcopy(gap),
    "pickle": lambda gap: pickle.dumps(gap),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_whatever_is_done_with_a_gap_it_says_what_belongs_there(use):
    gap = your_turn("solve A x = b")
    with pytest.raises(YourTurn) as caught:
        use(gap)
    assert str(caught.value) == "this gap is not filled yet: solve A x = b"


def test_a_gap_in_a_with_block_too():
    with pytest.raises(YourTurn), your_turn("open the file"):
        pass


def test_numpy_that_stores_a_gap_names_it_as_the_cause():
    with pytest.raises(ValueError) as caught:
        np.ones(3)[0] = your_turn("the first value")
    assert isinstance(caught.value.__cause__, YourTurn)


def test_an_empty_gap_reaches_the_reader_from_a_worker_process():
    raised = pickle.loads(pickle.dumps(YourTurn("the mean")))
    assert (raised.hint, str(raised)) == ("the mean", "this gap is not filled yet: the mean")


def first_gap(name):
    """The cells of an exercise, and the hint of its first gap."""
    cells = [
        cell.source
        for cell in nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
        if cell.cell_type == "code"
    ]
    hints = [ast.literal_eval(found["hint"]) for cell in cells for found in GAP.finditer(cell)]
    return cells, hints[0]


@pytest.mark.parametrize("name", LABS)
def test_an_exercise_stops_at_its_first_gap_and_names_it(name, tmp_path, monkeypatch, capsys):
    require_libraries(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(workshop.QUICK, "1")
    monkeypatch.setattr(hpo, "connect", lambda: None)
    cells, hint = first_gap(name)
    variables = {"__name__": name}
    with pytest.raises(YourTurn) as caught:
        for cell in cells:
            exec(compile(cell, name, "exec"), variables)
    assert caught.value.hint == hint


# ------------------------------------------------------------------------------------------------ answers

FILLED = re.compile(r"^(?P<indent> *)# >>> your turn: .*?^(?P=indent)# <<<\n", re.MULTILINE | re.DOTALL)
WRONG = [
    ("lab_00_task_1_by_hand", 3, "my_tries = (0.1, 16, 0.5)", "a list of triples"),
    ("lab_00_task_1_by_hand", 0, "p = scores / scores.sum(axis=1, keepdims=True)", "the exponential of its score"),
    ("lab_00_task_1_by_hand", 0, "p = None", "ten probabilities"),
    ("lab_00_task_1_by_hand", 3, "my_tries = [(0.1, 0.5, 16)]", "the batch size, is a whole number"),
    ("lab_00_task_2_grid", 0, "return [(a, b) for a in values[0] for b in values[1]]", "three lists"),
    ("lab_00_task_2_grid", 0, "return itertools.product(*values)", "gives a product; list(...) makes one"),
    ("lab_00_task_2_grid", 0, "return np.array(list(itertools.product(*values)))", "gives a ndarray; list(...)"),
    ("lab_00_task_2_grid", 0, "return [list(c) for c in itertools.product(*values)]", "should be a tuple"),
    ("lab_00_task_2_grid", 2, "scores = score(*settings)", "one for every combination"),
    ("lab_00_task_3_random", 0, "return rng.choice(len(points), num_points)", "draw without replacement"),
    ("lab_00_task_3_random", 0, "return rng.choice(points, num_points, replace=False)", "and not points"),
    (
        "lab_00_task_3_random",
        0,
        "return np.random.default_rng(0).choice(len(points), num_points, replace=False)",
        "another rng should draw other places",
    ),
    ("lab_00_task_3_random", 2, "grids[momentum, width] = all_scores[members].min()", "has the best of all"),
    ("lab_00_task_3_random", 2, "grids[momentum, width] = all_scores[members]", "one best score"),
    ("lab_00_task_3_random", 1, "all_differ = np.prod(np.arange(81, 97)) / 96**16", "divide before you multiplied"),
    ("curve_fitting", 1, "beta = np.linalg.solve(X.T @ X, X.T @ y)", "fit should return"),
    ("curve_fitting", 2, "(y - predict(beta, x)) ** 2", "is wrong by (1 + 9) / 2 = 5"),
    ("curve_fitting", 3, "errors = error(fit(x[seen], y[seen], degree), x[unseen], y[unseen])", "every fold"),
    ("curve_fitting", 3, "errors.append(error(fit(x, y, degree), x[unseen], y[unseen]))", "judge on the unseen"),
    (
        "curve_fitting",
        3,
        "errors.append(error(fit(x[seen], y[seen], degree), x[seen], y[seen]))",
        "judge on the unseen",
    ),
    (
        "curve_fitting",
        3,
        "errors.append(error(fit(x[unseen], y[unseen], degree), x[seen], y[seen]))",
        "judge on the unseen",
    ),
    ("lab_01_gaussian_process", 0, "my_alpha = 9.5", "it is measured already"),
    ("lab_01_gaussian_process", 0, "my_alpha = 7.0", "every player should choose another place"),
    ("lab_01_gaussian_process", 1, "return rho * a, 1 - rho**2", "deviation 0.8"),
    ("lab_01_gaussian_process", 4, "covariance = K_star_star - K_star.T @ K_star", "no doubt about it"),
    ("lab_01_gaussian_process", 5, "return (mean - best) * norm.cdf(z) + deviation * norm.pdf(z)", "should be 0.3956"),
    ("lab_01_gaussian_process", 6, "return expected.argmax()", "not its index"),
    ("lab_01_gaussian_process", 6, "return line[mean.argmin()]", "no other place on the line should promise more"),
    ("lab_03_hyperopt", 0, 'return {"loss": 1 - accuracy(config)}', '"status" is STATUS_OK'),
    ("competing_series", 0, "found += [response.max(axis=1), (response > 0).sum(axis=1)]", "half of them are above 0"),
    ("competing_series", 1, "took.append(1e6 * (time.process_time() - begin))", "1,000 microseconds for each"),
    ("speed_up", 0, "return step_size * (d - w @ x) * x", "from (1, 0)"),
    ("speed_up", 0, "w = w + step_size * (d - w @ x) * x", "from (1, 0)"),
    ("speed_up", 1, "return 1 - np.var(x @ model) / np.var(d)", "has 4 times the variance"),
    ("speed_up", 2, "return min(errors, key=errors.get)", "the smallest that is a number"),
    (
        "tuning_a_system",
        0,
        'options = ["-P", str(per_process), "-n", str(concurrency)]',
        "one process at a time, whatever the batch size",
    ),
    ("tuning_a_live_service", 0, "return self.order(group)", "should say so"),
    ("tuning_a_live_service", 1, 'guards = [f"p95_ms >= {LIMIT_MS}"]', "should never exceed"),
    ("tuning_a_live_service", 1, "guards = []", "should never exceed"),
    ("two_to_a_gpu", 1, "pass", "with the memory of its optimizer"),
    ("tuning_a_program", 0, 'xargs = ["xargs", "-0", "-P", "{batch}", "-n", "{jobs}"]', "should be -0, -P 4 and -n 2"),
    ("tuning_a_program", 0, 'xargs = ["xargs", "-P", "{jobs}", "-n", "{batch}"]', "should be -0, -P 4 and -n 2"),
    ("tuning_a_program", 1, 'space = {"jobs": hpo.fibonacci(1, MOST), "batch": 2}', "should stay 1"),
    ("tuning_a_program", 1, 'space = {"jobs": hpo.fibonacci(1, MOST)}', "should stay 1"),
    pytest.param(
        "tuning_a_program",
        1,
        'space = {"jobs": hpo.randint(1, MOST + 1), "batch": 1}',
        "should be Fibonacci numbers",
        marks=pytest.mark.slow,  # it measures before it says so
    ),
]
RIGHT = [
    ("lab_00_task_3_random", 3, "return [np.exp(-100 * (x - c) ** 2) for x in u]"),
    ("lab_00_task_2_grid", 0, "out = [()]\nfor v in values:\n    out = [o + (x,) for o in out for x in v]\nreturn out"),
    ("lab_00_task_3_random", 0, "import random\nreturn random.sample(range(len(points)), num_points)"),
    ("lab_00_task_3_random", 0, "return rng.permutation(len(points))[:num_points]"),
    ("lab_00_task_3_random", 1, "import math\nall_differ = math.perm(96, 16) / 96**16"),
    ("curve_fitting", 0, "return [[xi**k for k in range(degree + 1)] for xi in x]"),
    ("lab_00_task_1_by_hand", 3, "my_tries = [(0.1, 16, 0.5)]"),
    ("tuning_a_program", 0, 'xargs = "xargs -P{jobs} -n{batch} -0".split()'),
]


# Answers in cells that need no other cell than the imports, in labs whose cells before them take long.
WRONG_BY_ITSELF = [
    ("competing_objectives", 0, "return statistics.mean(values)", "the value in the middle is 3"),
    ("competing_objectives", 0, "return max(values)", "the value in the middle is 3"),
    ("competing_objectives", 1, "return None", "as accurate and quicker"),
    (
        "competing_objectives",
        1,
        'return all(a.metrics[k] > b.metrics[k] for k in ("accuracy", "milliseconds"))',
        "as accurate and quicker",
    ),
    ("competing_objectives", 1, 'return a.metrics["accuracy"] >= b.metrics["accuracy"]', "who is slower should not"),
    ("competing_objectives", 3, "lost = 0.6 * amount * defaults", "5 for each"),
    (
        "competing_objectives",
        3,
        "lost = 0.6 * amount * (given & defaults) - 0.1 * amount * (~given & ~defaults)",
        "5 for each",
    ),
    ("competing_text", 1, 'return config["share"] * len(texts)', "int(...) makes one"),
    ("competing_text", 1, "return len(texts)", "a quarter of 40 letters are 10"),
    ("ray_lab_01_distributed_tuning", 0, "v = momentum * v - learning_rate * g", "the new move should be 0.6"),
    ("tuning_a_system", 1, "seconds = statistics.mean(took)", "the median is 2, and the jitter 8 - 1 = 7"),
    ("tuning_a_system", 2, "jitter = min(took) - max(took)", "the median is 2, and the jitter 8 - 1 = 7"),
    ("train_longer", 0, "weights = both[: len(both) // 2]", "two lists of four arrays"),
    ("train_longer", 0, "return both[::2], both[1::2]", "weights, then moves"),
]
RIGHT_BY_ITSELF = [
    ("competing_objectives", 0, "return sorted(values)[len(values) // 2]"),
    ("ray_lab_01_distributed_tuning", 0, "v = momentum * v - learning_rate * g\nreturn [w + v, v]"),
]


def answered(name, number, answer):
    """The code cells of a lab with another answer in one of its gaps, and which cell has it."""
    text = (ROOT / "labs" / f"{name}.py").read_text(encoding="utf-8")
    gap = list(FILLED.finditer(text))[number]
    before, after = text[: gap.start()], text[gap.end() :]
    parts = re.split(r"^# %%(.*)\n", before + textwrap.indent(answer, gap["indent"]) + "\n" + after, flags=re.MULTILINE)
    at = len(re.findall(r"^# %%\n", before, re.MULTILINE)) - 1
    return [code for kind, code in zip(parts[1::2], parts[2::2], strict=True) if not kind], at


@pytest.fixture
def run_cells(tmp_path, monkeypatch, capsys):
    """Runs cells of a lab in a namespace of their own, without Ray."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(workshop.QUICK, "1")
    monkeypatch.setattr(workshop, "show", lambda drawn, name: None)
    monkeypatch.setattr(hpo, "connect", lambda: None)

    def run(name, cells):
        variables = {"__name__": name}
        for cell in cells:
            exec(compile(cell, name, "exec"), variables)

    return run


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(None, 1), ("one", 1), ([1, [2, 3]], [1, 2]), ([1, 2, 3], [1, 2]), ({}, 0), (math.nan, 1), (1.1, 1)],
)
def test_an_answer_that_is_not_close_or_no_number_at_all_is_told_without_an_error(answer, expected):
    assert workshop.is_close(answer, expected) is False


def test_an_answer_is_close_up_to_rounding_whatever_holds_its_numbers():
    assert workshop.is_close((0.1 + 0.2, 1), np.array([0.3, 1.0])) is True
    assert workshop.is_close(0.3, 0.301, within=0.01) is True


@pytest.mark.parametrize("answer", [lambda gap: gap, lambda gap: (gap, 1.0)], ids=["alone", "among others"])
def test_an_empty_gap_is_not_taken_for_a_wrong_answer(answer):
    with pytest.raises(YourTurn, match="the mean"):
        workshop.is_close(answer(your_turn("the mean")), (0, 1))


@pytest.mark.parametrize(("name", "number", "answer", "said"), WRONG)
def test_a_wrong_answer_is_found_right_after_its_gap_and_the_message_helps(name, number, answer, said, run_cells):
    require_libraries(name)
    cells, at = answered(name, number, answer)
    with pytest.raises(AssertionError, match=re.escape(said)):
        run_cells(name, cells[: at + 1])


@pytest.mark.parametrize(("name", "number", "answer", "said"), WRONG_BY_ITSELF)
def test_a_wrong_answer_is_found_by_known_values_in_its_own_cell(name, number, answer, said, run_cells):
    cells, at = answered(name, number, answer)
    with pytest.raises(AssertionError, match=re.escape(said)):
        run_cells(name, [cells[0], cells[at]])


@pytest.mark.parametrize(("name", "number", "answer"), RIGHT_BY_ITSELF)
def test_another_right_answer_passes_the_checks_of_its_own_cell(name, number, answer, run_cells):
    cells, at = answered(name, number, answer)
    run_cells(name, [cells[0], cells[at]])


@pytest.mark.parametrize(("name", "number", "answer"), RIGHT)
def test_another_right_answer_is_accepted(name, number, answer, run_cells):
    cells, at = answered(name, number, answer)
    run_cells(name, cells[: at + 2])

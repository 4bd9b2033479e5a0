"""An exercise whose gaps are empty: each of them says that it is empty, and what belongs there, whatever is done with it."""

from __future__ import annotations

import ast
import copy
import json
import math
import os
import pickle
import re

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

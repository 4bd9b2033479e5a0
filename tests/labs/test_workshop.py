"""The workshop does what it says: every lab runs as a notebook and as a script, and exercises keep their solutions back."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from labs_support import ROOT, connects, environment, lab_names, line, require_libraries, run

LABS = lab_names()
GAP = re.compile(r"# >>> your turn: (?P<solution>.*?)# <<<", re.DOTALL)

EVERY_DAY = "curve_fitting"  # the one notebook that `make test` runs
# Script and notebook are one source, and every notebook runs: of the scripts, one without Ray, one on it, one with programs.
AS_SCRIPTS = ("curve_fitting", "lab_03_hyperopt", "tuning_a_program")

every_lab = pytest.mark.parametrize("name", LABS)
every_notebook = pytest.mark.parametrize(
    "name", [name if name == EVERY_DAY else pytest.param(name, marks=pytest.mark.slow) for name in LABS]
)


def source(name):
    return (ROOT / "labs" / f"{name}.py").read_text(encoding="utf-8")


def cells(path, kind="code"):
    notebook = nbformat.read(ROOT / "notebooks" / path, as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == kind]


# ------------------------------------------------------------------------------------------------ one source for three


def test_every_notebook_is_what_its_lab_gives():
    """Else: python labs/build.py."""
    done = subprocess.run([sys.executable, ROOT / "labs" / "build.py", "--check"], text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_a_missing_and_a_stray_notebook_are_noticed(tmp_path):
    shutil.copytree(ROOT / "labs", tmp_path / "labs")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "notebooks" / "curve_fitting.ipynb").write_text("{}")
    (tmp_path / "notebooks" / "lab_03_hyperopt.ipynb").unlink()
    (tmp_path / "notebooks" / "solutions" / "stray.ipynb").write_text("{}")
    command = [sys.executable, tmp_path / "labs" / "build.py", "--check"]
    done = subprocess.run(command, text=True, capture_output=True)
    named = {words.split()[0] for words in done.stdout.splitlines()}
    wrong = {"notebooks/curve_fitting.ipynb", "notebooks/lab_03_hyperopt.ipynb", "notebooks/solutions/stray.ipynb"}
    assert (done.returncode, named) == (1, wrong)


@every_lab
def test_an_exercise_has_gaps_and_no_solution(name):
    gaps = [gap["solution"].split("\n") for gap in GAP.finditer(source(name))]
    assert 3 <= len(gaps) <= 10
    exercise = "\n".join(cell.source for cell in cells(f"{name}.ipynb"))
    filled = "\n".join(cell.source for cell in cells(f"solutions/{name}.ipynb"))
    assert exercise.count("# YOUR TURN: ") == len(gaps)
    for _, *rest in gaps:
        solution = [text.strip() for text in rest if text.strip() and not text.strip().startswith("#")]
        block = re.compile(r"\s*".join(map(re.escape, solution)))
        assert block.search(filled), solution
        assert not block.search(exercise), f"the exercise gives the solution away: {solution}"


@every_lab
def test_both_notebooks_are_programs_and_neither_has_marks_of_the_source(name):
    for path in (f"{name}.ipynb", f"solutions/{name}.ipynb"):
        text = "\n".join(cell.source for cell in cells(path))
        ast.parse(text)
        assert ">>>" not in text and "<<<" not in text


@every_lab
def test_exercise_and_solution_agree_on_everything_but_the_gaps(name):
    exercise, filled = cells(f"{name}.ipynb"), cells(f"solutions/{name}.ipynb")
    assert [cell.id for cell in exercise] == [cell.id for cell in filled]
    assert all(a.source == b.source for a, b in zip(exercise, filled, strict=True) if "YOUR TURN" not in a.source)
    words = cells(f"{name}.ipynb", "markdown")
    assert f"solutions/{name}.ipynb" in words[0].source
    assert [cell.source for cell in words[1:]] == [
        cell.source for cell in cells(f"solutions/{name}.ipynb", "markdown")[1:]
    ]


@every_lab
def test_notebooks_are_kept_without_outputs(name):
    for path in (f"{name}.ipynb", f"solutions/{name}.ipynb"):
        assert all(cell.outputs == [] and cell.execution_count is None for cell in cells(path))


@every_lab
def test_a_lab_that_uses_ray_connects_in_its_first_cell(name):
    first, *others = cells(f"{name}.ipynb")
    uses_ray = any(re.search(r"ray\.|hpo\.tune\((?!.*runtime=.local)", cell.source, re.DOTALL) for cell in others)
    assert ("hpo.connect()" in first.source) == uses_ray


def test_the_syllabus_names_every_lab():
    syllabus = (ROOT / "labs" / "README.md").read_text(encoding="utf-8")
    assert [name for name in LABS if f"[{name}]({name}.py)" not in syllabus] == []
    dotted = re.findall(r"^\| \d+ \| • \| \[(\w+)\]", syllabus, re.MULTILINE)
    assert sorted(dotted) == [name for name in LABS if connects(name)], "the dot says that a lab uses Ray"


# ------------------------------------------------------------------------------------------------ running


@pytest.mark.ray
@every_notebook
def test_a_solution_runs_to_its_end_and_shows_pictures(name, solution):
    executed = solution(name)  # which raises where one of the lab's own claims does not hold
    assert executed.num_figures >= 2
    assert "picture: " not in executed.printed, "pictures are shown, not written"


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize("name", AS_SCRIPTS)
def test_a_script_runs_from_its_one_file(name, cluster_for, tmp_path):
    """As `ray submit` has it: nothing but this file is copied, and it runs on a cluster."""
    require_libraries(name)
    shutil.copy(ROOT / "labs" / f"{name}.py", tmp_path)
    output = run(sys.executable, f"{name}.py", "--quick", cwd=tmp_path, env=environment(cluster_for(name), quick=False))
    pictures = re.findall(r"^picture: (.*)$", output, re.MULTILINE)
    assert len(pictures) >= 2
    assert sorted(pictures) == sorted(str(path) for path in (tmp_path / "out").glob("*.html"))
    assert all("Plotly.newPlot" in (tmp_path / "out" / path).read_text(encoding="utf-8") for path in pictures)


@pytest.mark.ray
@pytest.mark.slow
def test_a_lab_runs_as_a_job(cluster_of_others):
    submit = [sys.executable, "-m", "ray.scripts.scripts", "job", "submit", "--address", cluster_of_others.dashboard]
    command = ["--working-dir", "labs", "--", "python", "lab_03_hyperopt.py", "--quick"]
    output = run(*submit, *command, env=environment(None))
    assert line(output, "accuracy on the cluster") == line(output, "accuracy trained here")

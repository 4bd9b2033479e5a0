"""What the README says is so: programs run, links lead somewhere, parts, commands and figures are the real ones."""

import json
import re
from pathlib import Path

import pytest

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.cli import main

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
ALONE = [program for program in PROGRAMS if program.startswith(("space =", "study ="))]


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_program_is_python(program):
    compile(program, "README.md", "exec")


@pytest.mark.parametrize("program", ALONE)
def test_programs_that_need_nothing_else_run(program, capsys):
    assert len(ALONE) == 2
    exec(compile(program, "README.md", "exec"), {"hpo": hpo})


@pytest.mark.parametrize("page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))])
def test_every_link_leads_somewhere(page):
    folder = (ROOT / page).parent
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert [link for link in links if not (folder / link).exists()] == []


@pytest.mark.parametrize("role", ["sampler", "scheduler"])
def test_the_tables_name_every_part(role):
    own = registry.SAMPLERS if role == "sampler" else registry.SCHEDULERS
    rows = TEXT.partition(f"| {role} |")[2] if role == "sampler" else TEXT.partition("| scheduler |")[2]
    assert [name for name in own if f"| `{name}` |" not in rows] == []


def test_every_command_is_named():
    shown = TEXT.partition("## Command line")[2].partition("## ")[0]
    assert [name for name in main.commands if not re.search(rf"(raytune-hpo|\|) .*{name}\b", shown)] == []


def test_the_figures_are_those_that_were_measured():
    """Every rate in the table is in the benchmark's file, rounded."""
    table = TEXT.partition("| two trials at a time")[2].partition("\n\n")[0]
    figures = json.loads((ROOT / "benchmarks/results/overhead.json").read_text(encoding="utf-8"))["figures"]
    cells = {
        name.strip(): float(rate.replace(",", ""))
        for name, rate in re.findall(r"^\| ([^|]+?) +\| +([\d,.]+) \|", table, re.MULTILINE)
    }
    assert cells == {row["what"]: pytest.approx(row["trials_per_s"], rel=0.02, abs=0.5) for row in figures}

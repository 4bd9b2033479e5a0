"""The laws of the house, as far as they can be read off the source: floors, Ray in one folder, clocks, randomness, names.

docs/design.md says why. Where a law and the code disagree, one of them is wrong: think before changing the table.
"""

from __future__ import annotations

import ast
import functools
import io
import re
import runpy
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import raytune_hpo as hpo
from raytune_hpo import registry
from raytune_hpo.cli import cli
from raytune_hpo.live import spec_file
from raytune_hpo.plots import Plots

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "raytune_hpo"

# ------------------------------------------------------------------------------------------------ the plan of the house

FLOORS = (
    "arrays errors options rng numerics display",
    "space goals metrics facts checkpoints trial spec codec files",
    "protocols registry",
    "samplers schedulers journal analysis",
    "core",
    "runtime testing",
    "cluster results progress",
    "api",
    "plots tables confirming sklearn integrations optml live",
    "experiments commands",
    "service",
    "compat",
    "cli workshop __main__",
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names.split()}

# Rooms of one floor whose doors stay shut.
STRANGERS = ("samplers schedulers journal analysis", "plots tables confirming sklearn integrations optml live")
# Imports that point upwards all the same, inside functions: what users call on a thing that lies below.
DOORS = {
    ("raytune_hpo.results.results", "plots"): "Results.plot",
    ("raytune_hpo.results.results", "confirming"): "Results.confirm",
}
MAX_ROOT_MODULES = 14
RAY_ROOM = "raytune_hpo.cluster"
RAY_GUESTS = (
    "raytune_hpo.space.dialects.ray_tune",
    "raytune_hpo.integrations",
    "raytune_hpo.compat.ray_tune.mailbox",
)  # inside functions only

# Who may look at a clock, and what for. Everyone else is told the time.
CLOCKS = {
    "raytune_hpo.core.optimizer": "WallClock, from which the times in facts come",
    "raytune_hpo.runtime.settings": "the default name of a study",
    "raytune_hpo.runtime.trial_run": "when an objective was called, and for how long",
    "raytune_hpo.runtime.saving": "when a checkpoint was saved last, and when a full disk is tried again",
    "raytune_hpo.runtime.worker": "how long a lease took",
    "raytune_hpo.runtime.flushing": "when what was collected is due",
    "raytune_hpo.runtime.local": "trials that take too long; names of threads",
    "raytune_hpo.runtime.simulated": "how long a caller waits, on the real clock",
    "raytune_hpo.cluster": "deadlines and pauses",
    "raytune_hpo.journal": "when a study was created, who holds it since when, how long to wait for a database",
    "raytune_hpo.progress": "how often the line is drawn",
    "raytune_hpo.api.callbacks": "how long a study that has ended waits for them",
    "raytune_hpo.commands": "how long programs run, and what else the machine does meanwhile",
    "raytune_hpo.cli": "times as people read them, and how long a study has been running",
    "raytune_hpo.service": "leases, limits and streams: how much time has passed",
    "raytune_hpo.testing.journals": "how long to wait for a server to miss a writer that was killed",
    "raytune_hpo.testing.killing": "when in the next step of its work a process is killed",
    "raytune_hpo.live.testing": "which window an applier is to measure",
    "raytune_hpo.live.seat": "how long to wait for another process that changes the system",
    "raytune_hpo.sklearn": "how long fits take, and when a search's time is over",
    "raytune_hpo.plots.document": "when a page was written",
    "raytune_hpo.tables.shipped": "the processor's seconds that a row of a table takes",
    "raytune_hpo.compat": "when a script's timeout is over",
    "raytune_hpo.compat.ray_tune": "times in results, names of folders, stoppers by time, how often a table is printed",
}

# Where a direction may be read. Everyone else asks a goal: ``goal.loss(x)``, ``goal.value(loss)``, ``lower_is_better``.
DIRECTIONS = {
    "raytune_hpo.goals": "turns values into losses and back",
}

PUBLIC = """
    Space Float Int Choice Ordinal
    uniform quniform loguniform qloguniform randn qrandn randint qrandint lograndint qlograndint
    choice ordinal fibonacci powers cores grid_search sample_from
    Normal Beta Repeat
    tune Tuner simulate report checkpoint until TrialStopped connect attach load with_parameters
    Study Results Confirmation Run Trial Goal Client Command Live
    errors integrations optml samplers schedulers sklearn testing __version__
""".split()

HEAVY = ("ray", "scipy", "sklearn", "pandas", "plotly", "sqlalchemy", "hyperopt")
MAX_FUNCTION_LINES = 60  # without the docstring
MAX_FILE_LINES = 400  # of code: blank lines, comments and docstrings are free


# ------------------------------------------------------------------------------------------------ reading the source


class Module(NamedTuple):
    name: str
    path: Path
    text: str
    tree: ast.Module


@functools.cache
def modules() -> tuple[Module, ...]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        text = path.read_text(encoding="utf-8")
        found.append(Module(name, path, text, ast.parse(text)))
    return tuple(found)


@functools.cache
def nodes(tree: ast.AST) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree))


@functools.cache
def inside_functions(tree: ast.Module) -> set[ast.AST]:
    """Every node that runs only when a function is called."""
    functions = [n for n in nodes(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]
    return {node for function in functions for node in ast.walk(function) if node is not function}


def imported(node: ast.AST) -> list[str]:
    """The modules that one node imports, by their full names."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"relative import of {node.module}, line {node.lineno}"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    if isinstance(node, ast.Call) and dotted(node.func) in ("importlib.import_module", "import_module", "__import__"):
        return [arg.value for arg in node.args[:1] if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
    return []


def imports(module: Module) -> Iterator[tuple[str, ast.AST]]:
    for node in nodes(module.tree):
        for name in imported(node):
            yield name, node


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of an attribute chain, empty if it is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (left := dotted(node.value)):
        return f"{left}.{node.attr}"
    return ""


def room(name: str) -> str:
    """``space`` of ``raytune_hpo.space.numeric``; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def at(module: Module, node: ast.AST) -> str:
    return f"{module.path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def is_in(name: str, *homes: str) -> bool:
    return any(name == home or name.startswith(f"{home}.") for home in homes)


@functools.cache
def for_types_only(tree: ast.Module) -> set[ast.AST]:
    """Every node under ``if TYPE_CHECKING``, which never runs."""
    blocks = [n for n in nodes(tree) if isinstance(n, ast.If) and dotted(n.test).endswith("TYPE_CHECKING")]
    return {node for block in blocks for node in ast.walk(block)}


def our_imports(module: Module) -> Iterator[tuple[str, ast.AST]]:
    """The rooms of the house that a module enters, at import or inside functions; types alone do not count."""
    never = for_types_only(module.tree)
    for name, node in imports(module):
        if is_in(name, "raytune_hpo") and node not in never:
            yield room(name), node


# ------------------------------------------------------------------------------------------------ floors and rooms


def test_every_module_has_a_floor():
    assert sorted({room(m.name) for m in modules()} - {""} - set(FLOOR)) == []


def test_the_root_of_the_package_is_a_short_list():
    loose = [path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"]
    assert len(loose) <= MAX_ROOT_MODULES, loose


def test_imports_go_downwards_only_but_through_declared_doors():
    """Imports inside functions count as well: a circle that is closed late is a circle."""
    upwards = [
        f"{at(module, node)} imports {target} (floor {FLOOR[target]}) from floor {FLOOR[room(module.name)]}"
        for module in modules()
        if room(module.name)
        for target, node in our_imports(module)
        if target in FLOOR and FLOOR[target] > FLOOR[room(module.name)] and (module.name, target) not in DOORS
    ]
    assert upwards == []


def test_every_declared_door_is_used_and_opens_inside_a_function():
    used = {
        (module.name, target)
        for module in modules()
        for target, node in our_imports(module)
        if (module.name, target) in DOORS and node in inside_functions(module.tree)
    }
    assert used == set(DOORS)


def test_rooms_are_in_no_circle_but_through_declared_doors():
    """Rooms of one floor may use each other one way only."""
    loads = {
        name: {
            target
            for module in modules()
            if room(module.name) == name
            for target, _ in our_imports(module)
            if target in FLOOR and target != name and (module.name, target) not in DOORS
        }
        for name in FLOOR
    }
    assert_no_circle(loads)


@pytest.mark.parametrize("strangers", STRANGERS)
def test_strangers_never_import_each_other(strangers):
    doors = [
        f"{at(module, node)} imports {target}"
        for module in modules()
        if room(module.name) in strangers.split()
        for target, node in our_imports(module)
        if target in strangers.split() and target != room(module.name)
    ]
    assert doors == []


def test_numerics_know_arrays_and_nothing_of_the_house():
    known = [
        f"{at(module, node)} imports {target}"
        for module in modules()
        if room(module.name) in ("numerics", "display")
        for target, node in our_imports(module)
        if target not in (room(module.name), "arrays", "errors")
    ]
    assert known == []


def test_there_are_no_import_cycles():
    names = {m.name for m in modules()}
    assert_no_circle({m.name: {t for t in _at_import(m) if t in names and t != m.name} for m in modules()})


def assert_no_circle(loads: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path[path.index(name) :], name))}"
        if name not in done:
            for target in sorted(loads[name]):
                visit(target, (*path, name))
            done.add(name)

    for name in loads:
        visit(name, ())


def _module_of(name: str) -> str:
    """The module that holds an imported name: itself if it is one."""
    names = {m.name for m in modules()}
    return name if name in names else name.rpartition(".")[0]


def _at_import(module: Module) -> Iterator[str]:
    """What importing a module imports, TYPE_CHECKING and functions left out."""
    later = inside_functions(module.tree) | for_types_only(module.tree)
    for name, node in imports(module):
        if node not in later:
            yield _module_of(name)


# ------------------------------------------------------------------------------------------------ Ray, clocks, randomness


def test_ray_lives_in_one_folder():
    trespassers = []
    for module in modules():
        later = inside_functions(module.tree)
        for name, node in imports(module):
            if not is_in(name, "ray") or is_in(module.name, RAY_ROOM):
                continue
            if not is_in(module.name, *RAY_GUESTS) or node not in later:
                trespassers.append(at(module, node))
    assert trespassers == []


CLOCK_CALLS = re.compile(r"^time\.((time|monotonic|perf_counter|process_time)(_ns)?|localtime|gmtime|strftime)$")
NOW_CALLS = re.compile(r"^(datetime\.)?(datetime|date)\.(now|utcnow|today)$")


def test_clocks_are_read_only_where_they_are_named():
    readers = []
    for module in modules():
        names = {node: dotted(node) for node in nodes(module.tree) if isinstance(node, ast.Attribute)}
        reads = [node for node, name in names.items() if CLOCK_CALLS.match(name) or NOW_CALLS.match(name)]
        reads += [node for name, node in imports(module) if CLOCK_CALLS.match(name)]  # from time import monotonic
        if reads and not is_in(module.name, *CLOCKS):
            readers += [at(module, node) for node in reads]
    assert readers == []


TYPES = ("numpy.random.bit_generator.ISeedSequence",)  # what a derived key has to look like
SEED_SOURCES = {"raytune_hpo.compat.ray_tune.seeding": "scripts for Ray Tune repeat a search by np.random.seed"}
SEEDED = ("np.random.Generator", "np.random.Philox", "np.random.SeedSequence", "np.random.RandomState")


def test_there_is_no_global_randomness():
    """No ``np.random.<fn>``, no ``random.<fn>``, no generator without a seed: randomness comes in by argument."""
    global_draws = []
    for module in modules():
        for name, node in imports(module):
            if is_in(name, "random", "numpy.random") and name not in TYPES:
                global_draws.append(f"{at(module, node)} imports {name}")
        for node in nodes(module.tree):
            if isinstance(node, ast.Call):
                name = dotted(node.func).replace("numpy.random", "np.random", 1)
                seeded = bool(node.args or node.keywords)
                allowed = name in (*SEEDED, "np.random.default_rng") and seeded
                if is_in(name, "np.random") and not allowed and module.name not in SEED_SOURCES:
                    global_draws.append(f"{at(module, node)} calls {name}")
    assert global_draws == []


# ------------------------------------------------------------------------------------------------ directions


def reads_direction(node: ast.AST) -> bool:
    """Whether a comparison or a match asks if a direction is "min" or "max"."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(isinstance(s, ast.Constant) and s.value in ("min", "max") for s in sides)
    if isinstance(node, ast.MatchValue):
        return isinstance(node.value, ast.Constant) and node.value.value in ("min", "max")
    return False


def test_directions_become_losses_in_goals_alone():
    readers = {
        module.name: at(module, node) for module in modules() for node in nodes(module.tree) if reads_direction(node)
    }
    assert [where for name, where in readers.items() if name not in DIRECTIONS] == []


@pytest.mark.parametrize("name", DIRECTIONS)
def test_every_reader_of_directions_still_reads_one(name):
    (tree,) = [module.tree for module in modules() if module.name == name]
    assert any(map(reads_direction, ast.walk(tree)))


@pytest.mark.parametrize("code", ['m == "max"', '"min" != m', 'm in ("a", "b") or m == "min"', 'm is "max"'])
def test_a_comparison_with_a_direction_is_seen(code):
    assert any(map(reads_direction, ast.walk(ast.parse(code))))


# ------------------------------------------------------------------------------------------------ importing


def python(code: str) -> str:
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    return run.stdout.strip()


def test_importing_the_package_loads_nothing_heavy():
    loaded = python(f"import sys, raytune_hpo; print([name for name in {HEAVY!r} if name in sys.modules])")
    assert loaded == "[]"


def test_building_a_space_loads_nothing_heavy():
    loaded = f"print([name for name in {HEAVY!r} if name in sys.modules])"
    assert python(f"import sys, raytune_hpo as hpo; hpo.Space({{'x': hpo.uniform(0, 1)}}); {loaded}") == "[]"


def test_importing_the_package_takes_less_than_0_3_s():
    code = "import time; t = time.process_time(); import raytune_hpo; print(time.process_time() - t)"
    assert min(float(python(code)) for _ in range(5)) < 0.3


# ------------------------------------------------------------------------------------------------ names and parts


def test_the_public_names_are_those_that_were_promised():
    assert sorted(hpo.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_resolves(name):
    assert getattr(hpo, name) is not None
    assert name in dir(hpo)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "__version__"])
def test_every_public_name_is_documented(name):
    assert getattr(hpo, name).__doc__, f"hpo.{name} has no docstring"


PARTS = [(role, name) for role in ("sampler", "scheduler") for name in registry.installed(role)]


@pytest.mark.parametrize(("role", "name"), PARTS)
def test_every_registered_part_and_each_of_its_options_is_documented(role, name):
    part = registry.load(role, name)
    text = part.__doc__ or ""
    assert text.splitlines()[0].strip().endswith("."), f"{name}: the first line says what it is, in one sentence"
    for option in registry.option_names(part):
        line = rf"^\s+(\w+, )*{option}(, \w+)*:"
        assert re.search(line, text, re.MULTILINE), f"{name}: option {option} is not documented"


@pytest.mark.parametrize(("role", "name"), PARTS)
def test_every_part_of_ours_is_a_name_of_its_room_and_has_an_entry_in_the_reference(role, name):
    part, room = registry.load(role, name), getattr(hpo, f"{role}s")
    if is_in(part.__module__, "raytune_hpo"):
        assert part.__name__ in room.__all__
        reference = (ROOT / "docs" / "api" / f"{role}s.md").read_text(encoding="utf-8")
        assert f"\n::: {part.__module__}.{part.__name__}\n" in reference


@pytest.mark.parametrize(
    ("page", "line", "names"),
    [
        ("docs/plots.md", "| `{}(", [name for name in vars(Plots) if not name.startswith("_") and name != "page"]),
        ("docs/integrations.md", "{}", hpo.integrations.__all__),
        (
            "docs/api/integrations.md",
            "::: raytune_hpo.integrations{}",
            [f".{name}" for name in hpo.integrations.__all__],
        ),
        ("docs/api/live.md", "::: {}", [f"{kind.__module__}.{kind.__name__}" for kind in spec_file.APPLIERS.values()]),
        ("raytune_hpo/cli/__init__.py", "{}", list(cli.commands)),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" in value else "",
)
def test_what_this_package_has_is_on_the_pages_that_list_it(page, line, names):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert [name for name in names if line.format(name) not in text] == []


@pytest.mark.parametrize("package", [hpo, hpo.integrations])
def test_names_that_are_resolved_lazily_are_known_to_type_checkers(package):
    (tree,) = [module.tree for module in modules() if module.name == package.__name__]
    typed = {alias.name for node in for_types_only(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(package.__all__) - typed - {"__version__"} == set()


@functools.cache
def pyproject() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("role", "table"),
    [("samplers", registry.SAMPLERS), ("schedulers", registry.SCHEDULERS), ("journals", registry.JOURNALS)],
)
def test_the_entry_points_are_those_of_the_registry(role, table):
    assert pyproject()["project"]["entry-points"][f"raytune_hpo.{role}"] == table


def test_the_version_is_the_same_everywhere():
    assert pyproject()["project"]["version"] == hpo.__version__
    changes = re.findall(r"^## \[(\d[^]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert changes[0] == hpo.__version__


def test_the_map_of_the_code_is_true():
    shown = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
    namespace = runpy.run_path(str(ROOT / "docs" / "site" / "code_map.py"))
    assert shown == namespace["code_map"](), "run: python docs/site/code_map.py"
    assert set(namespace["ROOMS"]) == {room(m.name) for m in modules() if m.path.parent != PACKAGE} - {""}


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()


# ------------------------------------------------------------------------------------------------ habits


def test_nothing_is_half_built():
    """No NotImplementedError is raised, and no note says that something is still to be done.

    An exception may be one: what other tuners raise so is caught so.
    """
    notes = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
    found = [
        f"{module.path.relative_to(ROOT)}:{number}"
        for module in modules()
        for number, line in enumerate(module.text.splitlines(), 1)
        if ("NotImplementedError" in line and not line.startswith("class ")) or notes.search(line)
    ]
    assert found == []


def test_no_exception_is_swallowed():
    """No bare ``except:``, and no handler of everything that does nothing. A narrow one says why, in a comment."""
    swallowed = []
    for module in modules():
        for node in nodes(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            idle = all(isinstance(s, (ast.Pass, ast.Continue)) for s in node.body)
            everything = node.type is None or dotted(node.type) in ("Exception", "BaseException")
            lines = module.text.splitlines()[node.lineno - 1 : node.end_lineno]
            if node.type is None or (idle and everything) or (idle and not any("#" in line for line in lines)):
                swallowed.append(at(module, node))
    assert swallowed == []


def test_functions_stay_short():
    long = [
        f"{at(module, node)} {node.name}: {size} lines"
        for module in modules()
        for node in nodes(module.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and (size := _lines(node) - _docstring_lines(node)) > MAX_FUNCTION_LINES
    ]
    assert long == []


def _lines(node: ast.AST) -> int:
    return node.end_lineno - node.lineno + 1


def _docstring_lines(node: ast.AST) -> int:
    return _lines(node.body[0]) if ast.get_docstring(node, clean=False) is not None else 0


def test_files_stay_short():
    sizes = {module.path.relative_to(ROOT): _code_lines(module) for module in modules()}
    assert {str(path): size for path, size in sizes.items() if size > MAX_FILE_LINES} == {}


def _code_lines(module: Module) -> int:
    """Lines that hold code: not blank, no comment, no docstring."""
    layout = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
    lines = {row for t in tokens if t.type not in layout for row in range(t.start[0], t.end[0] + 1)}
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for node in nodes(module.tree):
        if isinstance(node, documented) and ast.get_docstring(node, clean=False) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_public_texts_know_nothing_of_the_machine_they_were_written_on():
    ours = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("labs/*.py"), *PACKAGE.rglob("*.py")]
    machine = re.compile(r"(?<![\w.])/(work|tmp|root|home/\w+)/")
    assert [str(path.relative_to(ROOT)) for path in ours if machine.search(path.read_text(encoding="utf-8"))] == []

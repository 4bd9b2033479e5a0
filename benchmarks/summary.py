"""Prints the figures in benchmarks/results as Markdown tables.

python benchmarks/summary.py             # all that docs/performance.md shows
python benchmarks/summary.py newcomer    # what docs/quickstart.md shows
python benchmarks/summary.py early_stopping [WORKERS GOAL...]    # what docs/early-stopping.md shows
python benchmarks/summary.py fidelity [WORKERS all|fresh [RESULTS]]    # what docs/early-stopping.md shows
python benchmarks/summary.py lookup_tables [PART]    # what docs/experiments.md shows
python benchmarks/summary.py sample_efficiency [FILE]    # what docs/samplers.md shows
python benchmarks/summary.py functions [TRIALS]    # what docs/samplers.md shows
python benchmarks/summary.py noise [tasks|TRIALS]    # what docs/samplers.md shows
python benchmarks/summary.py suggestion_time    # what docs/samplers.md shows
python benchmarks/summary.py programs    # what docs/commands.md may show
python benchmarks/summary.py live    # what docs/live.md shows
"""

from __future__ import annotations

import json
import sys
from typing import Any

from common import RESULTS, number

SCRIPTS = ("throughput", "reports", "memory", "simulated", "growth", "endurance")


def row(script: str, figure: dict[str, Any]) -> str:
    mark = {True: "yes", False: "**no**", None: ""}[figure["reached"]]
    measured = f"{number(figure['measured'])} {figure['unit']}".strip()
    load = " to ".join(f"{figure[key]:.1f}" for key in ("load_before", "load_after") if key in figure)
    return f"| {figure['what']} | {figure['asked']} | {measured} | {mark} | {load} | `{script}` {figure['at'][11:16]} |"


def performance() -> list[str]:
    """Every figure of throughput, reports, memory, simulated time, growth and endurance."""
    lines = ["| what | asked | measured | reached | load | command, time (UTC) |", "|---|---|---|---|---|---|"]
    for script in SCRIPTS:
        path = RESULTS / f"{script}.json"
        if path.exists():
            lines += [row(script, figure) for figure in json.loads(path.read_text())["figures"]]
    return lines


def newcomer() -> list[str]:
    """Seconds of a newcomer's steps, and where they were measured."""
    measured = json.loads((RESULTS / "newcomer.json").read_text())
    cores, day = measured["machine"]["cores"], measured["at"][:10]
    where = (
        f"On a shared machine of {cores} cores, {day} ([results/newcomer.json](../benchmarks/results/newcomer.json)):"
    )
    rows = [f"| {figure['what']} | {number(figure['measured'])} |" for figure in measured["figures"]]
    return [where, "", "| | seconds |", "|---|--:|", *rows]


def early_stopping(num_workers: str = "4", *goals: str) -> list[str]:
    """Two goals with so many workers: who reached them, when, and how much sooner than random search."""
    figures = json.loads((RESULTS / "early_stopping.json").read_text())["figures"]
    goals = goals or ("best 1 %", "best 0.1 %")
    by_label: dict[str, list[dict[str, Any]]] = {}
    for goal in goals:
        start = f"{num_workers} workers, {goal}: "
        for figure in figures:
            if figure["name"].startswith(start):
                by_label.setdefault(figure["name"].removeprefix(start), []).append(figure)
    lines = ["| | runs | " + " | ".join(f"{goal} | mean time | sooner" for goal in goals) + " |"]
    lines.append("|---|--:|" + "--:|--:|--:|" * len(goals))
    for label, found in by_label.items():
        runs = sum(task["runs"] for task in found[0]["detail"]["tasks"].values())
        lines.append(f"| {label} | {runs} | " + " | ".join(map(_arrival, found)) + " |")
    return lines


def _arrival(figure: dict[str, Any]) -> str:
    detail = figure["detail"]
    sooner = detail["sooner"]
    times = f"{sooner['value']:.2f} x [{sooner['low']:.2f}, {sooner['high']:.2f}]"
    return f"{100 * detail['reached']:.0f} % | {figure['measured']:.2f} | {times}"


def fidelity(num_workers: str = "4", tasks: str = "all", results: str = "fidelity") -> list[str]:
    """Regrets of ours and of recorded peers by time, and how long they take to come within 1 % of the best known."""
    start = "" if num_workers == "4" else f"{num_workers} workers, "
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for figure in json.loads((RESULTS / f"{results}.json").read_text())["figures"]:
        who, _, what = figure["name"].removeprefix(start).partition(f", {tasks}, ")
        if what and figure["name"].startswith(start) and ", " not in who:
            rows.setdefault(who, {})[what] = figure
    points = list(next(iter(rows.values())))
    lines = ["| | seeds | " + " | ".join(points) + " | reached |", "|---|--:|" + "--:|" * (len(points) + 1)]
    for who, found in rows.items():
        within = found["within 1 %"]
        seeds = min(within["detail"]["seeds"].values())
        cells = [_of_two(who), str(seeds), *(_with_limits(found[point]) for point in points)]
        lines.append(f"| {' | '.join(cells)} | {100 * within['detail']['reached']:.0f} % |")
    return lines


def _of_two(who: str) -> str:
    """A sampler and a scheduler of ours; a recorded peer."""
    peers = {"st": "Syne Tune", "sh": "plain halving", "random": "random, recorded"}
    if who.endswith(" (recorded)"):
        kind, _, method = who.removesuffix(" (recorded)").partition("_")
        names = {"ashacqr": "ASHA-CQR", "ashabore": "ASHA-BORE"}
        return " ".join([peers[kind], names.get(method, method.upper())]).strip()
    sampler, scheduler = who.split("+")
    return f"`{sampler}`, full trainings" if scheduler == "-" else f"`{sampler}` + `{scheduler}`"


def _with_limits(figure: dict[str, Any]) -> str:
    limits, digits = figure["detail"]["interval"], 2 if figure["unit"] else 3
    between = f" [{limits[0]:.{digits}f}, {limits[1]:.{digits}f}]" if limits else ""
    return f"{figure['measured']:.{digits}f}{between}"


def lookup_tables(part: str = "") -> list[str]:
    """The searches whose names begin like that, or those whose names have no such beginning: success by hours."""
    figures = json.loads((RESULTS / "lookup_tables.json").read_text())["figures"]
    by_search: dict[str, dict[str, dict[str, Any]]] = {}
    for figure in figures:
        search, _, said = figure["name"].rpartition(" ")
        if search.startswith(f"{part}: ") if part else ": " not in search:
            by_search.setdefault(search, {})[said] = figure
    hours = sorted({said for found in by_search.values() for said in found if said.endswith("h")}, key=_hours)
    lines = ["| | repeats | " + " | ".join(f"within {hour[:-1]} h" for hour in hours) + " | mean time | thinking |"]
    lines.append("|---|--:|" + "--:|" * (len(hours) + 2))
    for found in by_search.values():
        thinking = found["thinking"]
        repeats = next(figure["detail"]["repeats"] for said, figure in found.items() if said in hours)
        named = thinking["what"].partition(": what all")[0].removeprefix(f"{part}: ")
        cells = [named.removesuffix(f", {repeats} repeats"), str(repeats)]
        cells += [_success(found.get(hour)) for hour in hours]
        cells.append(f"{found['mean']['measured']:.1f} h" if "mean" in found else "")
        cells.append(f"{60 * thinking['measured'] / repeats:.1f} s")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _hours(said: str) -> float:
    return float(said.removesuffix("h"))


def _success(figure: dict[str, Any] | None) -> str:
    """The share with its interval, and what was recorded elsewhere."""
    if figure is None:
        return ""
    low, high = figure["detail"]["interval"]
    recorded = f", recorded {figure['asked']}" if figure["asked"] else ""
    return f"{figure['measured']:.0f} % [{low:.0f}, {high:.0f}]{recorded}"


def sample_efficiency(name: str = "sample_efficiency") -> list[str]:
    """Regrets of ours and of recorded peers after so many trials, and how long they think."""
    figures = json.loads((RESULTS / f"{name}.json").read_text())["figures"]
    regrets: dict[str, dict[str, dict[str, Any]]] = {}
    thinking: dict[str, float] = {}
    for figure in figures:
        _, label, what, *at = figure["name"].split(" ")
        if what == "regret":
            regrets.setdefault(label, {})[at[0]] = figure
        elif what == "suggestion":
            thinking[label] = 1000 * figure["measured"]
    points = sorted({point for found in regrets.values() for point in found}, key=int)
    lines = ["| | tasks | runs | " + " | ".join(f"at {point}" for point in points) + " | a suggestion |"]
    lines.append("|---|--:|--:|" + "--:|" * (len(points) + 1))
    for label, found in regrets.items():
        detail = next(iter(found.values()))["detail"]
        cells = [_named(label), str(len(detail["tasks"])), str(detail["runs"])]
        cells += [_regret(found.get(point)) for point in points]
        lines.append(f"| {' | '.join(cells)} | {number(thinking[label])} ms |")
    return lines


def _regret(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return ""
    low, high = figure["detail"]["interval"]
    return f"{_unit(figure['measured'])} [{_unit(low)}, {_unit(high)}]"


def _unit(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _named(label: str) -> str:
    """Ours as code, peers in brackets by the names that they give themselves."""
    peers = {
        "[optuna_gp]": "Optuna GP",
        "[optuna_tpe]": "Optuna TPE",
        "[optuna_cmaes]": "Optuna CMA-ES",
        "[smac]": "SMAC",
    }
    return f"[{peers.get(label, label.strip('[]'))}]" if label.startswith("[") else f"`{label}`"


def functions(trials: str = "100") -> list[str]:
    """Regrets on standard functions after so many trials; the smallest in bold."""
    figures = json.loads((RESULTS / "functions.json").read_text())["figures"]
    by_function: dict[str, dict[str, float]] = {}
    for figure in figures:
        label, function, point = figure["name"].split(" ")
        if point == trials:
            by_function.setdefault(function, {})[label] = figure["measured"]
    labels = list(next(iter(by_function.values())))
    lines = ["| | " + " | ".join(_named(label) for label in labels) + " |", "|---|" + "--:|" * len(labels)]
    for function, found in by_function.items():
        shown = {label: number(regret) for label, regret in found.items()}
        best = min(found, key=lambda label: found[label])
        cells = [f"**{shown[label]}**" if label == best else shown.get(label, "") for label in labels]
        lines.append(f"| {function.replace('_', ', ')} | {' | '.join(cells)} |")
    return lines


def noise(part: str = "tasks") -> list[str]:
    """True regrets of what is recommended: on noisy tasks, or on functions after so many trials by level of noise."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for figure in json.loads((RESULTS / "conditions.json").read_text())["figures"]:
        match figure["name"].split(" "):
            case ["tasks", label, point] if part == "tasks" and point.isdigit():
                found.setdefault(label, {})[f"at {point}"] = figure
            case ["noise", level, label, point] if point == part:
                found.setdefault(label, {})[f"noise {level}"] = figure
    columns = list(next(iter(found.values())))
    has_runs = part == "tasks"
    lines = ["| | " + "runs | " * has_runs + " | ".join(columns) + " |", "|---|" + "--:|" * (len(columns) + has_runs)]
    for label, by_column in sorted(found.items(), key=lambda row: row[0].startswith("[")):
        cells = [_named(label)] + [str(by_column[columns[0]]["detail"].get("runs"))] * has_runs
        lines.append(f"| {' | '.join([*cells, *(_regret(by_column.get(column)) for column in columns)])} |")
    return lines


def suggestion_time() -> list[str]:
    """Milliseconds of ask and tell by sampler and number of trials: medians, and 99th percentiles in brackets."""
    figures = json.loads((RESULTS / "suggestion_time.json").read_text())["figures"]
    by_sampler: dict[str, dict[int, str]] = {}
    for figure in figures:
        label, size, *more = figure["name"].split(" ")
        if not more and size.isdigit():
            said = f"{number(figure['measured'])} ({number(figure['detail']['p99_ms'])})"
            by_sampler.setdefault(label, {})[int(size)] = said
    sizes = sorted({size for found in by_sampler.values() for size in found})
    lines = ["| | " + " | ".join(f"{size:,} trials" for size in sizes) + " |", "|---|" + "--:|" * len(sizes)]
    for label, found in sorted(by_sampler.items(), key=lambda row: row[0].startswith("optuna")):  # peers last
        said = _named(f"[{label}]" if label.startswith("optuna") else label)
        lines.append(f"| {said} | {' | '.join(found.get(size, '') for size in sizes)} |")
    return lines


def programs() -> list[str]:
    """Seconds of running programs until a search is near the best setting, and in how many runs, by program and search."""
    figures = {figure["name"]: figure for figure in json.loads((RESULTS / "programs.json").read_text())["figures"]}
    searches = [name.removesuffix(": share") for name in figures if name.endswith(": share")]
    lines = ["| | settings | " + " | ".join(searches) + " |", "|---|--:|" + "--:|" * len(searches)]
    for name in (name.removesuffix(": settings") for name in figures if name.endswith(": settings")):
        cells = [_near(figures[f"{name}, {what}: time"], figures[f"{name}, {what}: runs"]) for what in searches]
        lines.append(f"| {name} | {figures[f'{name}: settings']['measured']} | {' | '.join(cells)} |")
    shares = [f"{figures[f'{what}: share']['measured']:.0f} %" for what in searches]
    return [*lines, f"| share of the grid's time | | {' | '.join(shares)} |"]


def _near(time: dict[str, Any], runs: dict[str, Any]) -> str:
    low, high = time["detail"]["interval"]
    detail = time["detail"]
    missed = "" if detail["reached"] == detail["replays"] else f", {detail['reached']} of {detail['replays']}"
    return f"{number(time['measured'])} s [{number(low)}, {number(high)}], {number(runs['measured'])} runs{missed}"


def live() -> list[str]:
    """Live studies: their cost, how far they get by class of load, and how long a guard is broken on all traffic."""
    figures = {figure["name"]: figure for figure in json.loads((RESULTS / "live.json").read_text())["figures"]}
    lines = [
        "| | studies | cost, never tuning = 1 (median; worst tenth) | progress to the optimum on day 4, by class of load "
        "(median; lowest tenth) | all traffic breaks the guard |",
        "|---|--:|---|---|---|",
    ]
    named = {"live": "`live`", "a model without context": "the same without context", "random steps": "random steps"}
    for name, label in named.items():
        cost, way = figures["live: worst cost" if name == "live" else f"{name}: cost"], figures[f"{name}: way"]
        broken = figures["live: guard broken" if name == "live" else f"{name}: broken"]
        size = figures["live: seeds that gain"] if name == "live" else cost
        costs = f"{cost['detail']['median']:.2f}; {cost['detail']['nine']:.2f}"
        ways = f"{100 * way['detail']['median']:.0f} %; {100 * way['detail']['worst tenth']:.0f} %"
        share = f"{number(broken['measured'])} % of the time" if broken["measured"] else "never"
        lines.append(f"| {label} | {size['detail']['seeds']} | {costs} | {ways} | {share} |")
    best = figures["static best: cost"]["measured"]
    return [*lines, f"| best single configuration, known beforehand | | {best:.2f} before the change | | |"]


def main() -> None:
    chosen, *words = sys.argv[1:] or ["performance"]
    pages = (
        performance,
        newcomer,
        early_stopping,
        fidelity,
        lookup_tables,
        sample_efficiency,
        functions,
        noise,
        suggestion_time,
        programs,
        live,
    )
    print("\n".join({page.__name__: page for page in pages}[chosen](*words)))


if __name__ == "__main__":
    main()

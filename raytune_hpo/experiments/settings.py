"""Settings of an experiment as people write them, in a YAML or JSON file and on the command line.

arms:                          # or sampler: gp, or mode: GP with spec: EI
  - {name: gp, acquisition: ei, transform: hybrid_log_error}
  - {name: rf, acquisition: pi, transform: hybrid_log_error}
strategy: SEQ
scheduler: deca
until: {goal: 0.9933, time: 12h}
repeats: 100
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.display.text import seconds_of
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.experiments.plan import Plan, Until
from raytune_hpo.experiments.tasks import Task, find_task
from raytune_hpo.files import reading
from raytune_hpo.options import whole
from raytune_hpo.samplers.arms import SIX_ARMS
from raytune_hpo.samplers.presets import preset
from raytune_hpo.samplers.strategies import STRATEGIES

FOLDER = "experiments"  # the default folder of experiments
_PORTFOLIO = ("arms", "strategy", "failover", "penalty", "penalty_weight", "n_initial")
# Three ways to name the sampler: directly, as a mode of the literature, or as a portfolio of arms.
_WAYS = (("sampler",), ("mode", "spec"), _PORTFOLIO)
_OF_PLAN = ("scheduler", "until", "workers", "seed", "warm_up")
_OF_RUN = ("repeats", "conf", "metric", "minimise", "name", "out", "horizons", "estimates", "jobs", "serial")
KEYS = (*(key for way in _WAYS for key in way), *_OF_PLAN, *_OF_RUN)
# Types of the values that are checked nowhere else.
_TYPES: tuple[tuple[tuple[str, ...], type | tuple[type, ...], str], ...] = (
    (("mode", "spec", "metric", "name", "out", "conf"), str, "text"),
    (("minimise", "estimates", "serial"), bool, "true or false"),
    (("sampler", "scheduler"), (str, dict), "a name, or a name with options"),
    (("penalty_weight",), (int, float), "a number"),
    (("arms",), list, "a list of samplers"),
)


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """All settings of one call of ``raytune-hpo experiment``.

    Attributes:
        task, plan, num_repeats: the experiment.
        name: the experiment's name; None: made from the task and the sampler.
        folder: where experiments are kept.
        estimates: whether to record the model's estimates before each step.
        runtime: "ray" or "local".
        max_jobs: repeats at the same time on Ray; None: as many as there is room for.
        horizons_s: the times at which success rates are computed; empty: fractions of the time limit.
    """

    task: Task
    plan: Plan
    num_repeats: int
    name: str | None = None
    folder: str | Path = FOLDER
    estimates: bool = False
    runtime: str = "ray"
    max_jobs: int | None = None
    horizons_s: Sequence[float] = ()

    @classmethod
    def read(cls, task: str | Path, given: Mapping[str, Any], file: str | Path | None = None) -> ExperimentSettings:
        """The settings from the command line, which override those of a file.

        Raises:
            SpecError: the file, a setting or the task is not valid.
            HpoError: the task is a Python file that cannot be run.
        """
        settings = merged({} if file is None else read_file(file), given)
        minimise = settings.get("minimise")
        mode = None if minimise is None else "min" if minimise else "max"
        found = find_task(task, conf=settings.get("conf"), metric=settings.get("metric"), mode=mode)
        if "repeats" not in settings:
            raise SpecError("how many repeats? raytune-hpo experiment TASK REPEATS, or repeats in --file")
        plan = plan_of(settings)
        return cls(
            task=found,
            plan=plan,
            num_repeats=settings["repeats"],
            name=settings.get("name"),
            folder=settings.get("out", FOLDER),
            estimates=bool(settings.get("estimates")),
            runtime="local" if settings.get("serial") else "ray",
            max_jobs=settings.get("jobs"),
            horizons_s=plan.until.checked(horizons_of(settings.get("horizons"))),
        )


def read_file(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML or JSON file.

    Raises:
        SpecError: the file is neither, or has a value of a wrong type or an unknown key, for which the message gives the
            nearest one.
    """
    import yaml

    path = Path(path)
    with reading("settings are YAML or JSON", path):
        text = path.read_text(encoding="utf-8")
        try:
            settings = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ValueError(error) from error
    if not isinstance(settings, dict):
        raise SpecError(
            f"settings are keys with values, {path} has {type(settings).__name__}; known: {', '.join(KEYS)}"
        )
    for key in settings:
        if key not in KEYS:
            raise SpecError(f"{path} has {key!r}, which is not a setting of an experiment; {nearest(str(key), KEYS)}")
    given = {key: value for key, value in settings.items() if value is not None}
    for keys, types, words in _TYPES:
        for key in given.keys() & set(keys):
            if not isinstance(given[key], types):
                raise SpecError(f"{key} is {words}, {path} has {given[key]!r}")
    return given


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two sets of settings merged, ``above`` taking precedence; a sampler named there in any way replaces the other."""
    named = [way for way in _WAYS if any(key in above for key in way)]
    dropped = {key for way in _WAYS for key in way if named and way not in named}
    return {**{key: value for key, value in below.items() if key not in dropped}, **above}


def plan_of(settings: Mapping[str, Any]) -> Plan:
    """The plan that settings describe.

    Raises:
        SpecError: a sampler is named in two ways, nothing ends a search, or a value is not valid.
    """
    sampler = _sampler(settings)
    return Plan(
        sampler=sampler,
        scheduler=settings.get("scheduler"),
        until=_until(settings.get("until", ())),
        num_workers=whole("workers", settings.get("workers", _num_workers(sampler)), least=1),
        seed=whole("seed", settings.get("seed", 0), least=0),
    )


def horizons_of(horizons: Any) -> list[float]:
    """The horizons in seconds, from a list of durations or from "1h,6h,12h"; None gives an empty list.

    Raises:
        SpecError: one of them is not a duration.
    """
    words = horizons or ()
    listed = words.split(",") if isinstance(words, str) else words if isinstance(words, Sequence) else [words]
    return [_duration_s("horizons", str(word).strip()) for word in listed]


def _duration_s(key: str, value: Any) -> float:
    try:
        return seconds_of(str(value))
    except ValueError as error:
        raise SpecError(f"{key}: {error}") from error


def _sampler(settings: Mapping[str, Any]) -> Any:
    """The sampler, named by itself, as a mode of the literature, or as the options of a portfolio."""
    ways = [way for way in _WAYS if any(key in settings for key in way)]
    if len(ways) > 1:
        said = [key for way in ways for key in way if key in settings]
        raise SpecError(f"a sampler is named in one way (sampler; mode and spec; arms, strategy ...), got {said}")
    sampler = settings.get("sampler", "auto")
    if "spec" in settings and "mode" not in settings:
        raise SpecError(f"spec={settings['spec']!r} is of a mode, like GP; give mode too")
    if "mode" in settings:
        sampler = preset(settings["mode"], settings.get("spec"))
    elif ways == [_PORTFOLIO]:
        sampler = {"name": "portfolio", **{key: settings[key] for key in _PORTFOLIO if key in settings}}
    if "warm_up" not in settings:
        return sampler
    named = {"name": sampler} if isinstance(sampler, str) else sampler
    return {**named, "warm_up_s": _duration_s("warm_up", settings["warm_up"])}


def _num_workers(sampler: Any) -> int:
    """One worker; if the strategy has a worker for each arm, these and one that draws at random."""
    options = sampler if isinstance(sampler, Mapping) and sampler.get("name") == "portfolio" else {}
    strategy = STRATEGIES.get(options.get("strategy", ""))
    return len(options.get("arms", SIX_ARMS)) + 1 if strategy is not None and strategy.with_random else 1


def _until(said: Any) -> Until:
    """The end condition of a search, from a mapping, a word like "goal=0.99", or a list of such words."""
    if not said:
        raise SpecError("when does a search end? give until: goal=0.99, time=12h, trials=500, or several of them")
    if isinstance(said, Mapping):
        said = [f"{key}={value}" for key, value in said.items()]
    words = [said] if isinstance(said, str) else said
    if not isinstance(words, Sequence) or not all(isinstance(word, str) for word in words):
        raise SpecError(f"until is goal=0.99, time=12h, trials=500, or a list of them, got {said!r}")
    return Until.read(words)

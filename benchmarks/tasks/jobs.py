"""Runs that were asked for: those that are kept from before are read, the others played, on all cores or in this process."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import tasks
from raytune_hpo import registry
from tasks.playing import Played, from_json, play, to_json

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "raytune_hpo" / "sample_efficiency"
Results: TypeAlias = dict[str, dict[str, list[Played]]]  # by contender and task, in the order of seeds
_THINKING = ("raytune_hpo.samplers", "raytune_hpo.numerics")


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A sampler with options, as written on the command line: ``gp`` or ``gp:acquisition=pi,marginalize=none``."""

    label: str
    name: str
    options: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def read(cls, label: str) -> Contender:
        name, _, rest = label.partition(":")
        pairs = [pair.partition("=")[::2] for pair in rest.split(",") if pair]
        contender = cls(label=label, name=name, options=tuple((key, _value(text)) for key, text in pairs))
        contender.make()  # refuses unknown names and options now
        return contender

    def make(self) -> Any:
        return registry.make("sampler", {"name": self.name, **dict(self.options)})


def _value(text: str) -> Any:
    """Numbers, true, false and null as JSON has them; anything else is a string."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to be played."""

    contender: Contender
    task: str
    folder: Path | None
    form: str
    seed: int
    num_trials: int
    num_workers: int = 1

    def play(self) -> Played:
        task = tasks.load(self.task, self.folder, self.form)
        return play(
            self.contender.make(), task, seed=self.seed, num_trials=self.num_trials, num_workers=self.num_workers
        )

    def path(self, cache: Path) -> Path:
        """Where the run is kept. The name changes with the sampler's options, version and source."""
        part = registry.describe("sampler", self.contender.make())
        words = [part.name, part.options, part.version, source_digest(registry.load("sampler", self.contender.name))]
        words += [self.form, str(self.folder or "live"), self.num_trials]
        digest = hashlib.blake2b(json.dumps(words, sort_keys=True).encode(), digest_size=8).hexdigest()
        return cache / self.task / f"{self.contender.name}-{digest}-workers{self.num_workers}-seed{self.seed}.json"


def run(jobs: Sequence[Job], cache: Path, *, local: bool) -> Iterator[tuple[Job, Played]]:
    """All runs, those that are kept first; new ones are kept as they come."""
    missing = []
    for job in jobs:
        path = job.path(cache)
        if path.exists():
            yield job, from_json(json.loads(path.read_text()))
        else:
            missing.append(job)
    for job, played in _one_by_one(missing) if local else _on_all_cores(missing):
        _keep(job.path(cache), played)
        yield job, played


def _one_by_one(jobs: Sequence[Job]) -> Iterator[tuple[Job, Played]]:
    for job in jobs:
        yield job, job.play()


def _on_all_cores(jobs: Sequence[Job]) -> Iterator[tuple[Job, Played]]:
    if not jobs:
        return
    import ray
    from common import use_ray

    use_ray()
    playing = ray.remote(num_cpus=1)(Job.play)
    pending = {playing.remote(job): job for job in jobs}
    while pending:
        (done,), _ = ray.wait(list(pending), num_returns=1)
        yield pending.pop(done), ray.get(done)


def _keep(path: Path, played: Played) -> None:
    """Written beside it and renamed: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(to_json(played), file)
    os.replace(file.name, path)


# ------------------------------------------------------------------------------------------------ what a sampler is made of


@functools.cache
def source_digest(cls: type) -> str:
    """Of the source of a sampler and of all that it imports of this package's samplers and numerics.

    A sampler that makes others by name depends on all of them.
    """
    found: dict[str, str] = {}
    todo = [cls.__module__]
    while todo:
        name = todo.pop()
        if name not in found:
            found[name] = inspect.getsource(importlib.import_module(name))
            todo += _imported(found[name])
    return hashlib.blake2b(json.dumps(sorted(found.items())).encode(), digest_size=8).hexdigest()


def _imported(source: str) -> list[str]:
    modules = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            names = {alias.name for alias in node.names}
            if node.module == "raytune_hpo.registry" and names & {"make", "load"}:
                modules += [value.partition(":")[0] for value in registry.SAMPLERS.values()]
            modules += [node.module, *(f"{node.module}.{name}" for name in sorted(names))]
        elif isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
    return [name for name in modules if name.startswith(_THINKING) and _is_module(name)]


def _is_module(name: str) -> bool:
    """Whether it is one: ``from package import name`` may bring a module or something in it."""
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def by_contender(results: Mapping[Job, Played]) -> Results:
    """Runs by contender and task, in the order of their seeds."""
    found: Results = {}
    for job, played in sorted(results.items(), key=lambda item: item[0].seed):
        found.setdefault(job.contender.label, {}).setdefault(job.task, []).append(played)
    return found

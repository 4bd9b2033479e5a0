"""Synthetic journals: facts as a run would have left them, to measure code that reads, stores or writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import raytune_hpo as hpo
from raytune_hpo.facts import Fact, Finished, Reported, SessionOpened, Started, Status, StudyCreated, Verdict
from raytune_hpo.journal import open_storage
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.spec import StudySpec

BATCH = 512  # facts in one transaction, as a busy optimizer writes them


def wide_space(num_parameters: int = 10) -> dict[str, Any]:
    return {f"p{index}": hpo.uniform(0.0, 1.0) for index in range(num_parameters)}


def spec_of(space: Any, *, name: str = "story", **settings: Any) -> tuple[StudySpec, Any, Any]:
    """A spec and its parts, as a Tuner makes them."""
    plan = RunPlan.of(space, Settings(**{"sampler": "random", "seed": 0, "name": name, **settings}))
    return plan.spec, plan.sampler, plan.scheduler


def opening(spec: StudySpec) -> list[Fact]:
    return [StudyCreated(spec=spec.to_json(), at=0.0), SessionOpened(at=0.0)]


def trial_facts(spec: StudySpec, numbers: Sequence[int], num_reports: int = 0) -> Iterator[Fact]:
    """What trials leave that are handed out, report and complete, one after the other."""
    for number, config in zip(numbers, _configs(spec, numbers), strict=True):
        at, basis = 1.7e9 + number * 0.1234567, 2 + number * (2 + num_reports)
        packed = spec.space.pack(config)
        yield Started(number=number, worker="1a2b3c4d-7", at=at, config=packed, basis=basis)
        for step in range(1, num_reports + 1):
            metrics, when = {"loss": config["p0"] / step}, at + step / 10
            yield Reported(number=number, attempt=1, step=step, metrics=metrics, verdict=Verdict.CONTINUE, at=when)
        yield Finished(
            number=number, attempt=1, status=Status.COMPLETED, at=at + 1.5, metrics={"loss": config["p0"]},
            started_at=at, duration_s=1.2345678,
        )  # fmt: skip


def _configs(spec: StudySpec, numbers: Sequence[int]) -> Iterator[dict[str, Any]]:
    import numpy as np

    for start in range(0, len(numbers), 1000):
        yield from spec.space.sample(len(numbers[start : start + 1000]), np.random.default_rng(numbers[start]))


def in_batches(facts: Iterator[Fact], size: int = BATCH) -> Iterator[list[Fact]]:
    batch: list[Fact] = []
    for fact in facts:
        batch.append(fact)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def store(storage: str, spec: StudySpec, num_trials: int, num_reports: int = 0) -> int:
    """Append a study's facts to its journal; how many there are."""
    journal = open_storage(storage).journal(spec.name, create=True, owner="a benchmark")
    try:
        journal.append(opening(spec), expect=0)
        length = 2
        for batch in in_batches(trial_facts(spec, range(num_trials), num_reports)):
            journal.append(batch, expect=length)
            length += len(batch)
    finally:
        journal.close()
    return length

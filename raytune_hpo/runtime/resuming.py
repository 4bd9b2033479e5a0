"""Opening a study: creating it, resuming it, or recovering it after its optimizer was lost."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from raytune_hpo import registry
from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.core.optimizer import Optimizer
from raytune_hpo.errors import JournalError, StudyExists, StudyNotFound
from raytune_hpo.facts import Enqueued, Fact, Recalled
from raytune_hpo.journal import Storage
from raytune_hpo.protocols import Clock, Journal
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.recalling import recalled
from raytune_hpo.space.values import key_of
from raytune_hpo.spec import StudySpec, stored_spec

Delete = Callable[[Checkpoint], object]


def open_study(
    plan: RunPlan,
    storage: Storage,
    clock: Clock,
    *,
    ahead: bool = False,
    suspect: bool = False,
    blame: bool = False,
    delete: Delete | None = None,
    grace_s: float = 0.0,
) -> Optimizer:
    """Create the study or continue it, and begin a session. Points to evaluate that it has not had before are enqueued.

    Args:
        ahead, delete, grace_s: see Optimizer.
        suspect, blame: how trials of a session that crashed are treated; see ``OptimizerCore.open``.

    Raises:
        StudyExists: it exists and ``resume="never"``, or another process is running it.
        SpecMismatch: it exists with another spec.
        StudyNotFound, SpecError: an earlier study is missing or teaches nothing; then nothing is created.
    """
    # Before the journal is opened for writing: a study that is refused leaves its database as it is, and so to the release
    # that made it.
    with suppress(StudyNotFound):
        _check_continues(plan, _stored_spec(storage.read(plan.spec.name)), storage)
    earlier = _recalled_at_first(plan.spec, storage, clock)
    journal = storage.journal(plan.spec.name, create=True, owner=_owner())
    try:
        stored = _stored_spec(journal.read())
        _check_continues(plan, stored, storage)  # another process may have created it meanwhile
        optimizer = _optimizer(plan, stored, journal, clock, ahead=ahead, delete=delete, grace_s=grace_s)
        if stored is None:
            optimizer.create(plan.settings.points_to_evaluate, earlier)
        optimizer.open(suspect=suspect, blame=blame, retry_failed=plan.settings.retry_failed)
        for point in _added_points(plan, journal) if stored is not None else ():
            optimizer.enqueue(point)
    except BaseException:
        journal.close()
        raise
    return optimizer


def reopen_study(
    plan: RunPlan,
    storage: Storage,
    clock: Clock,
    *,
    ahead: bool = False,
    delete: Delete | None = None,
    grace_s: float = 0.0,
) -> Optimizer:
    """Go on in the session of an optimizer that was lost: its workers still run their trials.

    Raises:
        StudyNotFound, JournalError: the journal is missing or cannot be read; a new one would hide what it holds.
    """
    journal = storage.journal(plan.spec.name, create=False, owner=_owner())
    stored = _stored_spec(journal.read())
    if stored is None:
        journal.close()
        raise JournalError(
            f"study {plan.spec.name!r} was running, but its journal in {storage.url} is empty; "
            f"bring the file back, or run the study under another name"
        )
    optimizer = _optimizer(plan, stored, journal, clock, ahead=ahead, delete=delete, grace_s=grace_s)
    optimizer.replay()
    return optimizer


def _recalled_at_first(spec: StudySpec, storage: Storage, clock: Clock) -> list[Recalled]:
    """What a new study learns from earlier ones, read before it is created; nothing for one that has begun."""
    if not spec.earlier:
        return []
    with suppress(StudyNotFound):
        if next(iter(storage.read(spec.name)), None) is not None:
            return []
    return list(recalled(storage, spec, clock.now()))


def _added_points(plan: RunPlan, journal: Journal) -> list[Mapping[str, Any]]:
    """The points to evaluate beyond those that were enqueued before; one that is listed twice is meant twice."""
    points, spec = plan.settings.points_to_evaluate, plan.spec
    if not points:
        return []
    known = Counter(
        _point_key(spec, fact.config) for fact in journal.read() if isinstance(fact, Enqueued) and fact.retry_of is None
    )
    added = []
    for point in points:
        key = _point_key(spec, spec.packed_point(point))
        if known[key] == 0:
            added.append(point)
        known[key] -= known[key] > 0
    return added


def _point_key(spec: StudySpec, packed: Mapping[str, Any]) -> Hashable:
    """What is equal for points of the same parameters; derived values may differ each time that a point is completed."""
    return key_of(packed) if spec.grows else spec.space.encode([spec.space.unpack(packed)]).tobytes()


def _stored_spec(facts: Iterator[Fact]) -> StudySpec | None:
    first = next(facts, None)
    if first is None:
        return None
    return registry.current_spec(stored_spec(first))


def _check_continues(plan: RunPlan, stored: StudySpec | None, storage: Storage) -> None:
    """Check that a stored study may go on by this plan.

    Raises:
        StudyExists: the plan is for a new study.
        SpecMismatch: it was begun with another spec.
    """
    if stored is None:
        return
    if plan.settings.resume == "never":
        raise StudyExists(
            f"study {stored.name!r} exists in {storage.url}; use another name, or resume='auto' to continue it"
        )
    _continued_spec(plan, stored)


def _continued_spec(plan: RunPlan, stored: StudySpec) -> StudySpec:
    """The plan's spec, with the seed of the stored study unless the plan names one.

    Raises:
        SpecMismatch: the study was begun with another spec.
    """
    spec = plan.spec if plan.settings.seed is not None else replace(plan.spec, seed=stored.seed)
    spec.require_same(stored)
    return spec


def _optimizer(
    plan: RunPlan,
    stored: StudySpec | None,
    journal: Journal,
    clock: Clock,
    *,
    ahead: bool,
    delete: Delete | None,
    grace_s: float,
) -> Optimizer:
    return Optimizer(
        plan.spec if stored is None else _continued_spec(plan, stored),
        plan.sampler,
        plan.scheduler,
        journal,
        clock,
        ahead=ahead,
        keep_checkpoints=plan.settings.keep_checkpoints,
        delete=delete,
        grace_s=grace_s,
    )


def _owner() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"

"""New studies: the plan of a study from the request that asks for it, for every kind of objective."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.service.hosting import RUNTIME
from raytune_hpo.service.models import installed
from raytune_hpo.service.models.objective import planned
from raytune_hpo.service.models.tables import Tables
from raytune_hpo.service.problems import Problem
from raytune_hpo.service.shapes import InstalledObjective, ModelsOnTable, NewStudy
from raytune_hpo.service.space_form import space_of
from raytune_hpo.space import Space
from raytune_hpo.spec import Limits

_HERE = {"num_workers", "trial_timeout_s", "memory_mb"}


def plan_for(new: NewStudy, tables: Tables, folder: Path | None) -> RunPlan:
    """The plan of the study that a request asks for.

    Raises:
        Problem: with all errors of the objective or the space. SpecError, SpaceError: another rule is broken.
    """
    asked = new.objective
    if isinstance(asked, ModelsOnTable):
        return _of_models(new, asked, tables)
    if isinstance(asked, InstalledObjective):
        return _of_installed(new, asked, folder)
    if new.space is None:
        raise Problem(
            "invalid", "/space: a study whose workers come over HTTP needs a space", errors=[("/space", "missing")]
        )
    return _plan(new, space_of(new.space), RUNTIME, new.metric, new.mode)


def _of_models(new: NewStudy, asked: ModelsOnTable, tables: Tables) -> RunPlan:
    if brought := sorted({"space", "mode"} & new.model_fields_set):
        raise Problem(
            "invalid",
            f"/{brought[0]}: models bring their own {brought[0]}; leave it out",
            errors=[(f"/{name}", "comes with the models") for name in brought],
        )
    table = tables.find(asked.dataset)
    if table is None:
        detail = f"there is no table {asked.dataset[:60]!r} here; upload it first, or take a bundled one"
        raise Problem("invalid", f"/objective/dataset: {detail}", errors=[("/objective/dataset", detail)])
    metric = str(new.metric) if "metric" in new.model_fields_set else None
    objective, space = planned(asked, table, metric, new.seed or 0)
    recorded = {**objective.to_json(), **asked.model_dump(include=_HERE)}
    return _plan(new, space_of(space), recorded, objective.score, objective.scored_by.mode)


def _of_installed(new: NewStudy, asked: InstalledObjective, folder: Path | None) -> RunPlan:
    found = installed.load(asked.name, folder)
    space = found.space if new.space is None else space_of(new.space)
    recorded = {"kind": installed.KIND, "name": asked.name, **asked.model_dump(include=_HERE)}
    return _plan(new, space, recorded, new.metric, new.mode)


def _plan(new: NewStudy, space: Space, objective: Any, metric: str | list[str], mode: str | list[str]) -> RunPlan:
    settings = Settings(
        metric=metric,
        mode=mode,
        sampler=new.sampler,
        scheduler=new.scheduler,
        seed=new.seed,
        max_retries=new.max_retries,
        valid_range=new.valid_range,
        points_to_evaluate=new.points,
        name=new.name,
        recorded={"runtime": RUNTIME, "objective": json.loads(json.dumps(objective))},
        **vars(Limits(**new.limits.model_dump())),
    )
    return RunPlan.of(space, settings)

"""Confirming: the best configurations of a study that is measured here, run again with fresh folds and starts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raytune_hpo.confirming import Confirmation, ConfirmedCandidate
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import SpecError
from raytune_hpo.journal import open_storage
from raytune_hpo.results import Results
from raytune_hpo.results.records import plain
from raytune_hpo.service.models import installed
from raytune_hpo.service.models.objective import model_of
from raytune_hpo.service.models.training import Training
from raytune_hpo.spec import StudySpec

KIND = "confirm"  # of the job


@dataclass(frozen=True, kw_only=True)
class Confirming:
    """The job of confirming a study's best configurations, as it is sent to another process.

    Attributes:
        storage: a URL or path, or the storage itself.
        top, repeats: see ``Results.confirm``.
        table, folder: the file of the table that models are trained on, and the folder of installed objectives.
    """

    storage: Any
    name: str
    top: int
    repeats: int
    table: Path | None
    folder: Path | None

    def __call__(self) -> dict[str, Any]:
        """Run the repeats that are missing, and return the confirmation as JSON.

        Raises:
            HpoError: there is nothing to confirm, or no repeat completed.
        """
        store = open_storage(self.storage)
        try:
            results = Results.from_ledger(Ledger.fold(store.read(self.name)), storage=self.storage)
        finally:
            if store is not self.storage:
                store.close()
        objective = self._objective(results.spec)
        settings: dict[str, Any] = {"runtime": "local", "max_concurrent": 1, "progress": False}
        return confirmation_record(results.confirm(self.top, self.repeats, objective=objective, **settings))

    def _objective(self, spec: StudySpec) -> Any:
        model = model_of(spec)
        if model is not None:
            return Training(model, self.table)
        name = installed.stored_name(spec.settings)
        if name is None:
            raise SpecError(f"study {spec.name!r} is measured by its workers; confirm it where its objective is")
        return installed.load(name, self.folder).objective


def is_measured_here(spec: StudySpec) -> bool:
    """Whether the service runs the study's trials itself, and so can call its objective."""
    return model_of(spec) is not None or installed.stored_name(spec.settings) is not None


def confirmation_record(found: Confirmation) -> dict[str, Any]:
    """A confirmation as strict JSON, the best candidate first."""
    record: dict[str, Any] = plain(
        {
            "study": found.study,
            "metric": found.goals[0].metric,
            "level": found.level,
            "candidates": [_candidate(candidate) for candidate in found.candidates],
            "rivals": [rival.numbers[0] for rival in found.rivals],
            "optimism": found.optimism,
            "noise": found.noise,
            "has_fresh_seeds": found.keyword is not None,
            "text": str(found),
        }
    )
    return record


def _candidate(candidate: ConfirmedCandidate) -> Mapping[str, Any]:
    return {
        "numbers": candidate.numbers,
        "config": candidate.config,
        "searched": candidate.search_value,
        "mean": None if math.isnan(candidate.mean) else candidate.mean,
        "sd": candidate.sd,
        "interval": candidate.interval,
        "n": candidate.n,
        "num_failed": candidate.num_failed,
    }

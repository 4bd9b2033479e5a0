"""Hosted studies that cannot continue."""

from __future__ import annotations

import asyncio

import pytest

import raytune_hpo as hpo
from raytune_hpo.core.messages import EndTrial
from raytune_hpo.errors import JournalError
from raytune_hpo.facts import Status
from raytune_hpo.journal import open_storage
from raytune_hpo.protocols import Traits
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.service.hosting import HostedStudy

PATIENCE_S = 10.0
WORKER = "http-worker.1"


class Broken:
    """A sampler with a bug."""

    traits = Traits()

    def bind(self, space, goals, seed):
        return self

    def ask(self, number, pending, rng):
        raise ZeroDivisionError("a bug of this sampler")

    def tell(self, trial):
        pass


def hosted(sampler) -> HostedStudy:
    settings = Settings(name="hosted", storage="memory", num_trials=3, sampler=sampler)
    return HostedStudy(RunPlan.of({"x": hpo.uniform(0, 1)}, settings), open_storage("memory"))


async def asked(study: HostedStudy, ended=()):
    return await asyncio.wait_for(study.workers.exchange(WORKER, ended, 1, (), 0.1), PATIENCE_S)


def test_a_study_whose_sampler_fails_is_over_and_leaves_no_worker_waiting(caplog):
    async def story():
        study = hosted(Broken())
        await study.open()
        with pytest.raises(ZeroDivisionError, match="a bug of this sampler"):
            await asked(study)
        await asyncio.wait_for(study.ended(), PATIENCE_S)
        _, given = await asked(study)
        assert given.is_over
        end = EndTrial(number=0, attempt=1, status=Status.COMPLETED, at=0.0, metrics={"loss": 1.0}, duration_s=1.0)
        with pytest.raises(ZeroDivisionError):  # a result that comes late is refused, and its worker can keep it
            await asked(study, [end])
        await study.close()

    asyncio.run(story())
    assert "study 'hosted' cannot continue here: a bug of this sampler" in caplog.text


def test_a_study_whose_storage_was_away_goes_on(monkeypatch):
    async def story():
        study = hosted("random")
        await study.open()
        append = study.optimizer._journal.append

        def away(facts, *, expect):
            raise JournalError("the storage is away")

        monkeypatch.setattr(study.optimizer._journal, "append", away)
        with pytest.raises(JournalError, match="away"):
            await asked(study)
        monkeypatch.setattr(study.optimizer._journal, "append", append)
        _, given = await asked(study)
        assert len(given.assignments) == 1
        await study.close()

    asyncio.run(story())

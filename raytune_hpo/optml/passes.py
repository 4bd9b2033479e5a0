"""Serial and parallel passes over all configurations of an algorithm, each of which is a study."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from types import SimpleNamespace
from typing import Any

from raytune_hpo import cluster
from raytune_hpo.api.callbacks import Callback
from raytune_hpo.api.run import INTERRUPTED
from raytune_hpo.api.tuner import Tuner
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import HpoError, SpecError, nearest
from raytune_hpo.facts import Fact, Finished, SessionOpened, Started
from raytune_hpo.options import whole
from raytune_hpo.optml.algorithm import METRIC, Algorithm, error_of
from raytune_hpo.optml.comparison import Leg, SpeedComparison
from raytune_hpo.optml.parameters import Parameters
from raytune_hpo.results import Results
from raytune_hpo.runtime.settings import default_name
from raytune_hpo.space import Space
from raytune_hpo.spec import StudySpec

WAYS = {"serial": ("serial",), "parallel": ("parallel",), "both": ("serial", "parallel")}
NUM_FROM_RANGES = 32  # configurations drawn from ranges by default
_RANGE_SAMPLER = "sobol"  # needs no results, so both passes try the same configurations


@dataclass(frozen=True, kw_only=True)
class _StudyPlan:
    """The settings of both passes.

    Attributes:
        settings: keywords of Tuner for both passes.
        parallel: keywords of Tuner for the parallel pass alone.
    """

    algorithm: Algorithm
    space: Space
    name: str
    settings: dict[str, Any]
    parallel: dict[str, Any]

    def tuner(self, way: str, data: Any, callbacks: Sequence[Callback] = ()) -> Tuner:
        """The study of one pass, not started."""
        # generate_data may need files of this machine, so it is not sent to the workers.
        travels = replace(self.algorithm, generate_data=_already_generated)
        objective: Any = cluster.with_parameters(error_of, algorithm=travels, data=data)
        if way == "serial":
            objective, own = _on_one_core(objective), {"runtime": "local", "max_concurrent": 1}
        else:
            own = {"runtime": "ray", **self.parallel}
        settings = {**self.settings, **own, "callbacks": callbacks}
        return Tuner(objective, self.space, metric=METRIC, name=f"{self.name}-{way}", **settings)


def tune(
    algorithm: Any,
    parameters: Any,
    *,
    how: str = "both",
    workers: int | None = None,
    num_trials: int | None = None,
    sampler: Any = None,
    seed: int = 0,
    valid_range: tuple[float, float] | None = None,
    name: str | None = None,
    storage: Any = None,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
    **settings: Any,
) -> SpeedComparison:
    """Try all configurations serially, in parallel on Ray, or both, on data that are generated once.

    Args:
        algorithm: an Algorithm, or a file, module, class or dict with its four functions (see ``Algorithm``).
        parameters: a file of configurations or ranges, a list of configurations, or a space as ``hpo.tune`` takes it.
        how: "serial" (one after the other in this process, on one core), "parallel", or "both".
        workers: how many configurations to try at the same time; None: as many as fit on the cluster.
        num_trials: how many configurations to try; None: all of a list or grid, 32 from ranges.
        sampler: the sampler for ranges; by default evenly spread points, or all combinations of listed values.
        seed: seed of the sampler, for both passes.
        valid_range: the errors that make sense; by default the algorithm's own, else any finite number.
        name: base name of the studies, NAME-serial and NAME-parallel; the same name continues them.
        storage, progress, callbacks: as for ``hpo.Tuner``.
        settings: more keywords of ``hpo.Tuner`` for the parallel pass alone, such as ``resources``.

    Raises:
        SpecError, SpaceError: an argument, the algorithm or the parameters break a rule.
        HpoError: a study or the cluster cannot continue; what was recorded is safe.
    """
    if how not in WAYS:
        raise SpecError(f"unknown how={how!r}; {nearest(str(how), WAYS)}")
    algorithm, parameters = Algorithm.of(algorithm), Parameters.of(parameters)
    common = {
        **_trial_settings(parameters, num_trials, sampler),
        "valid_range": algorithm.valid_range if valid_range is None else valid_range,
        "seed": seed,
        "storage": storage,
        "progress": progress,
    }
    plan = _StudyPlan(
        algorithm=algorithm,
        space=parameters.space,
        name=default_name(SimpleNamespace(__name__=algorithm.name)) if name is None else name,
        settings=common,
        parallel={"max_concurrent": workers, **settings},
    )
    for way in WAYS[how]:  # mistakes in the settings show before anything takes long
        plan.tuner(way, data=None)
    if "parallel" in WAYS[how]:
        cluster.connect()
    data = _generated(algorithm)
    legs: dict[str, Leg] = {}
    if "serial" in WAYS[how]:
        _rehearse(plan)
    for way in WAYS[how]:
        record = _FactList()
        results = plan.tuner(way, data, [record, *callbacks]).fit()
        legs[way] = _leg(results, record.facts)
        if not legs[way].is_whole:  # the user wants to stop, not to wait for the other pass
            break
    return SpeedComparison(name=algorithm.name, **legs)


class _FactList:
    """Recorder of all facts of a study, those of earlier sessions included. See ``callbacks.Recorder``."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def open(self, spec: StudySpec | None) -> None:
        """Nothing to do: the list begins empty."""

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)

    def close(self) -> None:
        """Nothing to do: the list is kept."""


def _trial_settings(parameters: Parameters, num_trials: int | None, sampler: Any) -> dict[str, Any]:
    """The keywords of Tuner that say which configurations are tried."""
    if num_trials is not None:
        whole("num_trials", num_trials, least=1)
    if parameters.points:
        if sampler is not None:
            raise SpecError(
                f"a list of configurations is tried as it is, got sampler={sampler!r}; "
                f"give ranges, or leave the sampler out"
            )
        points = parameters.points[:num_trials]
        return {"points_to_evaluate": points, "num_trials": len(points), "sampler": "random"}
    if parameters.is_grid and num_trials is None and sampler is None:
        return {"sampler": "grid"}
    return {"sampler": sampler or _RANGE_SAMPLER, "num_trials": num_trials or NUM_FROM_RANGES}


def _generated(algorithm: Algorithm) -> Any:
    """The algorithm's data.

    Raises:
        HpoError: its function failed.
    """
    try:
        return algorithm.generate_data()
    except Exception as error:
        at = traceback.extract_tb(error.__traceback__)[-1]
        raise HpoError(
            f"generate_data of {algorithm.name!r} failed: {type(error).__name__}: {error} ({at.filename}, line {at.lineno})"
        ) from error


def _already_generated() -> None:
    """Stands in for generate_data once the data exist."""


def _on_one_core(objective: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """The objective with numeric libraries kept to one thread, as on Ray's workers, so that times can be compared."""
    from threadpoolctl import threadpool_limits

    def on_one_core(config: dict[str, Any]) -> Any:
        with threadpool_limits(1):
            return objective(config)

    return on_one_core


def _rehearse(plan: _StudyPlan) -> None:
    """Draw one configuration and drop it.

    Else the serial seconds would contain the import of what the sampler needs, but only in the first call of a process.
    """
    alone = {"num_trials": 1, "storage": "memory", "progress": False, "runtime": "local", "max_concurrent": 1}
    Tuner(_costs_nothing, plan.space, metric=METRIC, **{**plan.settings, **alone}).fit()


def _costs_nothing(config: dict[str, Any]) -> float:
    """Stands in for the algorithm where no training is wanted."""
    return 0.0


def _leg(results: Results, facts: Sequence[Fact]) -> Leg:
    """One pass with its times, which are read from the study's facts so that all sessions of a resumed study count."""
    ledger = Ledger.fold(facts, results.spec)
    return Leg(
        results=results,
        seconds=ledger.elapsed_s(facts[-1].at),
        start_s=_start_s(facts, results.spec),
        num_workers=len({trial.worker for trial in results}),
        is_whole=ledger.stopped != INTERRUPTED,
    )


def _start_s(facts: Sequence[Fact], spec: StudySpec) -> float:
    """Seconds until the first configuration was at work, as ends and durations say.

    A trial counts as started when a worker asks for it, and the sampler may have to be loaded before it can answer.
    """
    asked = next((index for index, fact in enumerate(facts, 1) if isinstance(fact, Started)), len(facts))
    asked_s, at = Ledger.fold(facts[:asked], spec).elapsed_s(facts[asked - 1].at), facts[asked - 1].at
    same_session = takewhile(lambda fact: not isinstance(fact, SessionOpened), facts[asked:])
    ended = [fact for fact in same_session if isinstance(fact, Finished)]
    waited_s = min((fact.at - fact.duration_s - at for fact in ended if fact.duration_s is not None), default=0.0)
    return asked_s + max(0.0, waited_s)

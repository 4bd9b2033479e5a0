"""Trying all configurations of an algorithm, one after the other and in parallel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raytune_hpo import cluster
from raytune_hpo.api.callbacks import Callback
from raytune_hpo.api.run import INTERRUPTED
from raytune_hpo.api.tuner import Tuner
from raytune_hpo.core.ledger import Ledger
from raytune_hpo.errors import SpecError, nearest
from raytune_hpo.facts import Fact, Started
from raytune_hpo.optml.algorithm import METRIC, Algorithm, error_of
from raytune_hpo.optml.comparison import Comparison, Leg
from raytune_hpo.optml.parameters import Parameters
from raytune_hpo.results import Results
from raytune_hpo.runtime.settings import default_name, whole
from raytune_hpo.space import Space
from raytune_hpo.spec import StudySpec

WAYS = {"serial": ("serial",), "parallel": ("parallel",), "both": ("serial", "parallel")}
NUM_DRAWN = 32  # configurations drawn from ranges, where nobody says how many
_DRAWN_BY = "sobol"  # needs no results to go on, so that both ways try the same configurations


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is to be done, both ways alike but for ``parallel``, which are settings of that way alone."""

    algorithm: Algorithm
    space: Space
    name: str
    settings: dict[str, Any]
    parallel: dict[str, Any]

    def tuner(self, way: str, data: Any, callbacks: Sequence[Callback] = ()) -> Tuner:
        """The study of one way, not started."""
        travels = replace(self.algorithm, generate_data=_done)  # which may need what only this machine has
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
) -> Comparison:
    """Try the configurations serially, in parallel on Ray, or both, with the same data, which are generated once.

    Args:
        algorithm: an Algorithm, or a file, module, class or dict with its four functions (see ``Algorithm``).
        parameters: a file (see ``parameters``), a list of configurations, or a space as ``hpo.tune`` takes it.
        how: "serial" (one after the other in this process, on one core), "parallel", or "both".
        workers: how many configurations are tried at the same time; None: as many as the cluster has room for.
        num_trials: how many configurations to try; None: all of a list or of a grid, 32 of ranges.
        sampler: what draws from ranges; by default evenly spread points, or all combinations of listed values.
        seed: of the sampler, for both ways.
        valid_range: the errors that make sense; by default the algorithm's own, else any finite number.
        name: of the studies, which are called NAME-serial and NAME-parallel; the same name continues them.
        storage, progress, callbacks: as for ``hpo.Tuner``.
        settings: of the parallel way alone, such as ``resources``; as for ``hpo.Tuner``.

    Raises:
        SpecError, SpaceError: naming the rule, what came, and the way out.
        HpoError: a study or the cluster cannot go on; what was recorded is safe.
    """
    if how not in WAYS:
        raise SpecError(f"unknown how={how!r}; {nearest(str(how), WAYS)}")
    algorithm, parameters = Algorithm.of(algorithm), Parameters.of(parameters)
    common = {
        **_extent(parameters, num_trials, sampler),
        "valid_range": algorithm.valid_range if valid_range is None else valid_range,
        "seed": seed,
        "storage": storage,
        "progress": progress,
    }
    work = _Work(
        algorithm=algorithm,
        space=parameters.space,
        name=default_name(_Named(algorithm.name)) if name is None else name,
        settings=common,
        parallel={"max_concurrent": workers, **settings},
    )
    for way in WAYS[how]:  # whatever is wrong with settings or cluster shows before anything takes long
        work.tuner(way, data=None)
    if "parallel" in WAYS[how]:
        cluster.connect()
    return _compared(work, WAYS[how], callbacks)


def _compared(work: _Work, ways: Sequence[str], callbacks: Sequence[Callback]) -> Comparison:
    data = work.algorithm.generate_data()
    legs: dict[str, Leg] = {}
    for way in ways:
        record = _Record()
        results = work.tuner(way, data, [record, *callbacks]).fit()
        legs[way] = _leg(results, record.facts)
        if not legs[way].is_whole:  # the user wants to stop, not to wait for the other way
            break
    return Comparison(name=work.algorithm.name, **legs)


class _Record:
    """All facts of a study, those of earlier sessions too. See ``callbacks.Recorder``."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def open(self, spec: StudySpec | None) -> None:
        """Begins empty."""

    def __call__(self, fact: Fact) -> None:
        self.facts.append(fact)

    def close(self) -> None:
        """Keeps what it has."""


class _Named:
    """Something of that name, from which a study gets its own."""

    def __init__(self, name: str) -> None:
        self.__name__ = name


def _extent(parameters: Parameters, num_trials: int | None, sampler: Any) -> dict[str, Any]:
    """Which configurations are tried, as settings of a Tuner."""
    if num_trials is not None:
        whole("num_trials", num_trials, least=1)
    if parameters.points:
        if sampler is not None:
            raise SpecError(
                f"a list of configurations is tried as it stands, got sampler={sampler!r}; "
                f"give ranges, or leave the sampler out"
            )
        points = parameters.points[:num_trials]
        return {"points_to_evaluate": points, "num_trials": len(points), "sampler": "random"}
    if parameters.is_grid and num_trials is None and sampler is None:
        return {"sampler": "grid"}
    return {"sampler": sampler or _DRAWN_BY, "num_trials": num_trials or NUM_DRAWN}


def _done() -> None:
    """Stands for generate_data where the data are there already."""


def _on_one_core(objective: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """The objective with numeric libraries kept to one thread, as Ray's workers keep theirs: like against like."""
    from threadpoolctl import threadpool_limits

    def on_one_core(config: dict[str, Any]) -> Any:
        with threadpool_limits(1):
            return objective(config)

    return on_one_core


def _leg(results: Results, facts: Sequence[Fact]) -> Leg:
    """The times are those of the study's own facts, so that one that is taken up again adds up."""
    begun = next((index for index, fact in enumerate(facts, 1) if isinstance(fact, Started)), len(facts))
    ledger = Ledger.fold(facts, results.spec)
    return Leg(
        results=results,
        seconds=ledger.elapsed_s(facts[-1].at),
        start_s=Ledger.fold(facts[:begun], results.spec).elapsed_s(facts[begun - 1].at),
        num_workers=len({trial.worker for trial in results}),
        is_whole=ledger.stopped != INTERRUPTED,
    )

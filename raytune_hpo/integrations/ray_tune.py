"""Ray Tune: ``Searcher``, through which a Ray Tune experiment uses our samplers.

    tune.Tuner(trainable, param_space=space, tune_config=tune.TuneConfig(
        search_alg=Searcher(sampler="gp"), metric="loss", mode="min", num_samples=50))

Ray Tune keeps its own loop, schedulers and logs. The sampler learns from each trial's final result.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytune_hpo import registry
from raytune_hpo.codec import decode, to_row
from raytune_hpo.core.machine import OptimizerCore
from raytune_hpo.core.messages import AskTrials, Command, EndTrial, EnqueueConfig, Lease, Reply
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError, ObjectiveError, SpecError
from raytune_hpo.facts import Fact, Status, StudyCreated
from raytune_hpo.goals import make_goals
from raytune_hpo.metrics import MetricRules
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings
from raytune_hpo.spec import StudySpec, stored_spec

DEFAULT_METRIC = "_metric"  # the name that Ray Tune gives to a number returned by a function
VERSION = 1  # of the file that ``save`` writes


def __getattr__(name: str) -> Any:
    """Create ``Searcher`` when it is first accessed, since its base class comes with Ray."""
    if name != "Searcher":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _searcher_class()


@functools.cache
def _searcher_class() -> type:
    from ray.tune.search import Searcher

    return type("Searcher", (_Searching, Searcher), {"__module__": __name__, "__doc__": _Searching.__doc__})


class Conversation:
    """A study with an ask and tell interface by the ids of Ray Tune's trials; its history is a list of facts.

    Args:
        points: configurations to suggest first.
        facts: the facts of a study with the same settings, which is continued; without any, a new study begins.

    Raises:
        SpecMismatch: the facts belong to other settings.
    """

    def __init__(
        self,
        space: Any,
        settings: Mapping[str, Any],
        points: Sequence[Mapping[str, Any]] = (),
        facts: Sequence[Fact] = (),
    ) -> None:
        stored = _spec_of(facts)
        if stored is not None and settings["seed"] is None:
            settings = {**settings, "seed": stored.seed}
        plan = RunPlan.of(space, Settings(**settings, points_to_evaluate=points, max_retries=0, name="ray.tune"))
        self._spec = plan.spec
        if stored is not None:
            self._spec.require_same(stored)
        self._points = list(points)
        self._clock = WallClock()
        self._core = OptimizerCore(self._spec, plan.sampler)
        self._facts: list[Fact] = []
        self._numbers: dict[str, int] = {}  # of the running trials, by Ray Tune's id
        for fact in facts or [StudyCreated(spec=self._spec.to_json(), at=self._clock.now())]:
            self._core.apply(fact)
            self._facts.append(fact)
        if not facts:
            self._facts += self._core.open(self._clock.now(), self._spec)

    def suggest(self, trial_id: str) -> Mapping[str, Any] | None:
        """A trial's configuration; None if another trial must end first, or if ``is_over``."""
        if self._points and trial_id not in self._numbers:
            self._enqueue(self._points.pop(0))
        lease = self._step(AskTrials(worker=trial_id, at=self._clock.now()))
        assert isinstance(lease, Lease)
        if not lease.assignments:
            return None
        self._numbers[trial_id] = lease.assignments[0].number
        return lease.assignments[0].config

    @property
    def is_over(self) -> bool:
        """Whether there are no more suggestions, as at the end of a grid."""
        return self._core.ledger.stopped is not None

    def tell(self, trial_id: str, metrics: Mapping[str, Any] | None, error: str | None = None) -> None:
        """Record how a trial ended; a trial that was never suggested or was told before is ignored.

        A trial without a finite value of each goal has failed.
        """
        number = self._numbers.pop(trial_id, None)
        if number is None:
            return
        status, plain = Status.FAILED, {}
        if error is None:
            try:
                status, plain = Status.COMPLETED, self._goal_values(metrics or {})
            except ObjectiveError as problem:
                error = f"ObjectiveError: {problem}"
        at = self._clock.now()
        self._step(EndTrial(number=number, attempt=1, status=status, metrics=plain, error=error, at=at))

    def add(self, config: Mapping[str, Any], metrics: Mapping[str, Any], error: str | None = None) -> None:
        """Learn from a trial that was run elsewhere.

        Raises:
            SpaceError: the configuration is not in the space.
        """
        self._enqueue(config)
        elsewhere = f"elsewhere-{len(self._facts)}"
        lease = self._step(AskTrials(worker=elsewhere, at=self._clock.now()))
        assert isinstance(lease, Lease)
        self._numbers[elsewhere] = lease.assignments[0].number
        self.tell(elsewhere, metrics, error)

    def save(self, path: Path) -> None:
        rows, pack = [to_row(fact) for fact in self._facts], self._spec.space.pack
        points = [pack(point) for point in self._points]
        state = {"version": VERSION, "facts": rows, "numbers": self._numbers, "points": points}
        path.write_text(json.dumps(state), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, space: Any, settings: Mapping[str, Any]) -> Conversation:
        """The conversation that was saved with the same settings.

        Raises:
            SpecMismatch: it has other settings; the message names the difference.
            HpoError: the file is of another version.
        """
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["version"] != VERSION:
            raise HpoError(f"a saved Searcher is read in version {VERSION}, {path} has version {state['version']}")
        loaded = cls(space, settings, facts=[decode(*row) for row in state["facts"]])
        loaded._numbers = state["numbers"]
        loaded._points = [dict(loaded._spec.space.unpack(point)) for point in state["points"]]
        return loaded

    def _enqueue(self, config: Mapping[str, Any]) -> None:
        space = self._spec.space
        self._step(EnqueueConfig(config=space.pack(space.complete(config)), at=self._clock.now()))

    def _step(self, event: Command) -> Reply:
        decision = self._core.step(event)
        self._facts += decision.facts
        return decision.reply

    def _goal_values(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        goals = self._spec.goals
        return MetricRules(goals).of_result({g.metric: metrics[g.metric] for g in goals if g.metric in metrics})


def _spec_of(facts: Sequence[Fact]) -> StudySpec | None:
    if not facts:
        return None
    return registry.current_spec(stored_spec(facts[0]))


class _Searching:
    """Our samplers as a search algorithm for Ray Tune. ConcurrencyLimiter and Repeater may wrap it.

    Args:
        space: a space of this package or of ``ray.tune``, nested or conditional; by default Ray Tune's ``param_space``.
        sampler: as for Tuner.
        metric, mode: as for Tuner; required with a ``space``, otherwise taken from ``TuneConfig``. Nested results are
            named by their path, such as "eval/loss".
        seed: makes suggestions reproducible, with one trial at a time.
        points_to_evaluate: configurations to suggest first.
    """

    def __init__(
        self,
        space: Any = None,
        *,
        sampler: Any = "auto",
        metric: str | list[str] | None = None,
        mode: str | list[str] | None = None,
        seed: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        if mode is not None:  # checked here, since Ray's own check is an assert, and needs a mode for each metric
            goals = make_goals(DEFAULT_METRIC if metric is None else metric, mode)
            mode = [goal.mode for goal in goals] if isinstance(metric, list) else mode
        super().__init__(metric=metric, mode=mode)  # type: ignore[call-arg]  # of ray.tune.search.Searcher
        self._metric, self._mode = metric, mode
        self._space, self._sampler, self._seed, self._points = space, sampler, seed, points_to_evaluate
        self._conversation: Conversation | None = None
        self._saved: Path | None = None  # the file to continue from once the space is known
        if space is not None:
            self._begin()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Mapping[str, Any], **spec: Any
    ) -> bool:
        """Adopt Ray Tune's own settings; False if the Searcher already has a space."""
        if self._space is not None:
            return False
        self._metric, self._mode = metric or self._metric or DEFAULT_METRIC, mode or self._mode
        self._space = config
        self._begin()
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        conversation = self._talk()
        config = conversation.suggest(trial_id)
        if config is not None:
            return dict(config)
        return "FINISHED" if conversation.is_over else None

    def on_trial_complete(self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False) -> None:
        self._talk().tell(trial_id, result, "the trial failed in Ray Tune" if error else None)

    def add_evaluated_point(
        self,
        parameters: Mapping[str, Any],
        value: float,
        error: bool = False,
        pruned: bool = False,
        intermediate_values: Sequence[float] | None = None,
    ) -> None:
        """Learn from a trial that was run elsewhere; its intermediate values are ignored."""
        metric = self._metric if isinstance(self._metric, str) else None
        if metric is None:
            raise SpecError(f"a point is added with the value of one metric, the metrics are {self._metric}")
        self._talk().add(parameters, {metric: value}, "the trial failed elsewhere" if error else None)

    def save(self, checkpoint_path: str) -> None:
        self._talk().save(Path(checkpoint_path))

    def restore(self, checkpoint_path: str) -> None:
        """Continue from what ``save`` wrote, at once or as soon as the space is known."""
        self._saved = Path(checkpoint_path)
        if self._space is not None:
            self._begin()

    def _begin(self) -> None:
        if self._mode is None or self._metric is None:
            raise SpecError(
                f'a Searcher needs metric and mode ("min" or "max"), got metric={self._metric!r}, mode={self._mode!r}; '
                f"give them here with the space, or in TuneConfig with a param_space"
            )
        settings = {name: getattr(self, f"_{name}") for name in ("sampler", "metric", "mode", "seed")}
        if self._saved is None:
            self._conversation = Conversation(self._space, settings, self._points)
        else:
            self._conversation = Conversation.load(self._saved, self._space, settings)

    def _talk(self) -> Conversation:
        if self._conversation is None:
            raise SpecError("a Searcher needs a space; give it one, or give Ray Tune a param_space")
        return self._conversation

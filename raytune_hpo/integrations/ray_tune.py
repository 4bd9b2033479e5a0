"""Ray Tune: ``Searcher``, through which a Ray Tune experiment uses our samplers.

    tune.Tuner(trainable, param_space=space, tune_config=tune.TuneConfig(
        search_alg=Searcher(sampler="gp"), metric="loss", mode="min", num_samples=50))

Ray Tune keeps its own loop, schedulers and logs. The sampler learns from each trial's final result.
"""

from __future__ import annotations

import base64
import functools
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cloudpickle

from raytune_hpo import registry
from raytune_hpo.codec import decode, to_row
from raytune_hpo.core.machine import OptimizerCore
from raytune_hpo.core.messages import AskTrials, Command, EndTrial, EnqueueConfig, Lease, Reply
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError, ObjectiveError, SpecError
from raytune_hpo.facts import Fact, Status, StudyCreated
from raytune_hpo.goals import make_goals
from raytune_hpo.metrics import MetricRules
from raytune_hpo.protocols import Signal
from raytune_hpo.runtime.plan import RunPlan
from raytune_hpo.runtime.settings import Settings, checked_points
from raytune_hpo.space.values import same
from raytune_hpo.spec import StudySpec, stored_spec

DEFAULT_METRIC = "_metric"  # the name that Ray Tune gives to a number returned by a function
VERSION = 1  # of the file that ``save`` writes
PLACEHOLDERS = ("__fn_ph", "__ref_ph")  # they stand for functions and objects, which Ray Tune keeps to itself


def __getattr__(name: str) -> Any:
    """Create ``Searcher`` when it is first accessed, since its base class comes with Ray."""
    if name != "Searcher":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _searcher_class()


@functools.cache
def _searcher_class() -> type:
    from ray.tune.search import Searcher

    return type("Searcher", (_Searching, Searcher), {"__module__": __name__, "__doc__": _Searching.__doc__})


@dataclass(frozen=True)
class Saved:
    """What ``Conversation.save`` wrote.

    Attributes:
        numbers: of the running trials, by Ray Tune's id.
        points: that are still to be suggested, as the space packs them.
        space: pickled, as text; None in earlier files, which do not hold it.
    """

    facts: Sequence[Fact]
    numbers: Mapping[str, int]
    points: Sequence[Any]
    space: str | None

    @classmethod
    def read(cls, path: Path) -> Saved:
        """Read a file.

        Raises:
            HpoError: it is of another version, or of something else.
        """
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            version = state["version"]
        except (ValueError, LookupError, TypeError):  # not text, not JSON, or other JSON
            raise HpoError(
                f"a Searcher continues from what a Searcher of raytune_hpo has saved, {path} is something else; restore the "
                f"experiment with the search_alg that it began with"
            ) from None
        if version != VERSION:
            raise HpoError(f"a saved Searcher is read in version {VERSION}, {path} has version {version}")
        facts = [decode(*row) for row in state["facts"]]
        return cls(facts, state["numbers"], state["points"], state.get("space"))

    @functools.cached_property
    def spec(self) -> StudySpec:
        return registry.current_spec(stored_spec(self.facts[0]))

    def unpickled_space(self) -> Any:
        return None if self.space is None else cloudpickle.loads(base64.b64decode(self.space))


class Conversation:
    """A study with an ask and tell interface by the ids of Ray Tune's trials; its history is a list of facts.

    Args:
        space: None: the one that was saved.
        points: configurations to suggest first in a new study.
        saved: a study with the same settings, which is continued; None: a new study begins.

    Raises:
        SpecMismatch: it was saved with other settings; the message names the difference.
        SpecError: the sampler trains in segments.
    """

    def __init__(
        self,
        space: Any,
        settings: Mapping[str, Any],
        points: Sequence[Mapping[str, Any]] = (),
        saved: Saved | None = None,
    ) -> None:
        if saved is not None and settings["seed"] is None:
            settings = {**settings, "seed": saved.spec.seed}
        given = saved.unpickled_space() if saved is not None and space is None else space
        plan = RunPlan.of(given, Settings(**settings, points_to_evaluate=points, max_retries=0, name="ray.tune"))
        self._spec = plan.spec
        if plan.sampler.traits.segments:
            raise SpecError(
                f"sampler {self._spec.sampler.name!r} has trials continue one another's checkpoints, and Ray Tune trains "
                f"each suggestion from its beginning; use a scheduler of Ray Tune without a Searcher, hpo.Tuner, or another "
                f"sampler"
            )
        if saved is not None:
            # Functions are compared by their sources, and unpickled ones have none.
            compared = replace(saved.spec, space=self._spec.space) if space is None else saved.spec
            self._spec.require_same(
                compared,
                subject="the saved Searcher",
                anew="begin another experiment",
                transfer="points_to_evaluate with evaluated_rewards begin from what it found",
            )
        unpack = self._spec.space.unpack
        self._points = list(points) if saved is None else [dict(unpack(point)) for point in saved.points]
        self._clock = WallClock()
        self._core = OptimizerCore(self._spec, plan.sampler)
        self._facts: list[Fact] = []
        self._numbers = {} if saved is None else dict(saved.numbers)  # of the running trials, by Ray Tune's id
        # Ray Tune may have skipped any of those that ran when it was saved, and says so of none.
        self._unheard = set(self._numbers)
        self._given_up: dict[str, int] = {}
        self._told: set[str] = set()
        begun = [StudyCreated(spec=self._spec.to_json(), at=self._clock.now())] if saved is None else saved.facts
        for fact in begun:
            self._core.apply(fact)
            self._facts.append(fact)
        if saved is None:
            self._facts += self._core.open(self._clock.now(), self._spec)

    def suggest(self, trial_id: str) -> Mapping[str, Any] | None:
        """A trial's configuration; None if another trial must end first, or if ``is_over``."""
        if self._points and trial_id not in self._numbers:
            self._enqueue(self._points.pop(0))
        lease = self._ask(trial_id)
        if not lease.assignments and self._unheard and self._unheard.issuperset(self._numbers):
            self._give_up_on_the_unheard()  # the sampler waits for them
            lease = self._ask(trial_id)
        if not lease.assignments:
            return None
        self._numbers[trial_id] = lease.assignments[0].number
        return lease.assignments[0].config

    @property
    def has_placeholders(self) -> bool:
        """Whether Ray Tune has replaced functions or objects in the space."""
        text = json.dumps(self._spec.space.to_json())
        return any(f'"{word}"' in text for word in PLACEHOLDERS)

    @property
    def varies(self) -> bool:
        """Whether the space has any parameter."""
        return bool(self._spec.space.columns)

    @property
    def is_over(self) -> bool:
        """Whether there are no more suggestions, as at the end of a grid, although trials may still run.

        The core would wait for those; but Ray Tune does not say which trials it skips in a restored experiment, and they
        never end.
        """
        if self._core.ledger.stopped is not None:
            return True
        prepared = self._core.suggestions.take()
        return prepared is not None and prepared.outcome is Signal.EXHAUSTED

    def hear(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Note that a trial runs: one that ran when the study was saved has been continued, or begun anew by another id."""
        if trial_id in self._numbers or trial_id in self._told:
            self._unheard.discard(trial_id)
            return
        before = next((old for old in self._unheard if self._has_config(self._numbers[old], result)), None)
        if before is not None:
            self._numbers[trial_id] = self._numbers.pop(before)
            self._unheard.discard(before)

    def tell(self, trial_id: str, metrics: Mapping[str, Any] | None, error: str | None = None) -> None:
        """Record how a trial ended; a trial that was never suggested or was told before is ignored.

        A trial without a finite value of each goal has failed. One that was given up, or has ended in an earlier session and
        was begun anew, counts as run elsewhere.
        """
        metrics = metrics or {}
        self.hear(trial_id, metrics)
        number = self._numbers.pop(trial_id, None)
        if number is None:
            if trial_id not in self._told and (earlier := self._earlier(trial_id, metrics)) is not None:
                self.add(self._core.ledger.trials[earlier].config, metrics, error)
            self._told.add(trial_id)
            return
        self._told.add(trial_id)
        status, plain = Status.FAILED, {}
        if error is None:
            try:
                status, plain = Status.COMPLETED, self._goal_values(metrics)
            except ObjectiveError as problem:
                error = f"ObjectiveError: {problem}"
        at = self._clock.now()
        self._step(EndTrial(number=number, attempt=1, status=status, metrics=plain, error=error, at=at))

    def add(self, config: Mapping[str, Any], metrics: Mapping[str, Any], error: str | None = None) -> None:
        """Learn from a trial that was run elsewhere; when the search has ended, there is nothing to learn for.

        Raises:
            SpaceError: the configuration is not in the space.
        """
        if self._core.ledger.stopped is not None:
            return
        self._enqueue(config)
        elsewhere = f"elsewhere-{len(self._facts)}"
        self._numbers[elsewhere] = self._ask(elsewhere).assignments[0].number
        self.tell(elsewhere, metrics, error)

    def save(self, path: Path) -> None:
        rows, pack = [to_row(fact) for fact in self._facts], self._spec.space.pack
        points = [pack(point) for point in self._points]
        space = base64.b64encode(cloudpickle.dumps(self._spec.space)).decode("ascii")
        state = {"version": VERSION, "facts": rows, "numbers": self._numbers, "points": points, "space": space}
        path.write_text(json.dumps(state), encoding="utf-8")

    def _ask(self, worker: str) -> Lease:
        lease = self._step(AskTrials(worker=worker, at=self._clock.now()))
        assert isinstance(lease, Lease)
        return lease

    def _give_up_on_the_unheard(self) -> None:
        """End the trials that Ray Tune seems to have skipped, without a result."""
        for trial_id in self._unheard:
            number = self._given_up[trial_id] = self._numbers.pop(trial_id)
            self._step(EndTrial(number=number, attempt=1, status=Status.PRUNED, at=self._clock.now()))
        self._unheard.clear()

    def _enqueue(self, config: Mapping[str, Any]) -> None:
        space = self._spec.space
        self._step(EnqueueConfig(config=space.pack(space.complete(config)), at=self._clock.now()))

    def _step(self, event: Command) -> Reply:
        decision = self._core.step(event)
        self._facts += decision.facts
        return decision.reply

    def _earlier(self, trial_id: str, result: Mapping[str, Any]) -> int | None:
        """The number of the trial that was given up under this id or, in the results of another, has its configuration."""
        if trial_id in self._given_up:
            return self._given_up.pop(trial_id)
        numbers = range(len(self._core.ledger.trials))
        return next((number for number in numbers if self._has_config(number, result)), None)

    def _has_config(self, number: int, result: Mapping[str, Any]) -> bool:
        """Whether a result of Ray Tune's, which has the configuration in it, may be that of a trial."""
        known = _flat(self._core.ledger.trials[number].config, "config/")
        return bool(known) and all(key in result and same(result[key], value) for key, value in known.items())

    def _goal_values(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        goals = self._spec.goals
        return MetricRules(goals).of_result({g.metric: metrics[g.metric] for g in goals if g.metric in metrics})


def _flat(config: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The values of a configuration by the names that they have in Ray Tune's results, without those it keeps to itself."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= _flat(value, f"{prefix}{key}/")
        elif not (isinstance(value, (list, tuple)) and value and value[0] in PLACEHOLDERS):
            flat[f"{prefix}{key}"] = value
    return flat


class _Searching:
    """Our samplers as a search algorithm for Ray Tune. ConcurrencyLimiter and Repeater may wrap it.

    Args:
        space: a space of this package or of ``ray.tune``, nested or conditional; by default Ray Tune's ``param_space``.
        sampler: as for Tuner.
        metric, mode: as for Tuner; by default those of ``TuneConfig``, but required with a ``space``. They are what is
            searched for, even where ``TuneConfig`` has others, by which schedulers judge. Nested results are named by their
            path, such as "eval/loss".
        seed: makes suggestions reproducible, with one trial at a time.
        points_to_evaluate: configurations to suggest first.
        evaluated_rewards: values of the metric at the first of these points, which are learned from, and not suggested.

    Raises:
        SpecError, SpaceError: an argument breaks a rule; what depends on the space is checked when that is known.
    """

    _rewards: Sequence[float] = ()  # a Searcher in the tuner.pkl of an earlier release has none of its own

    def __init__(
        self,
        space: Any = None,
        *,
        sampler: Any = "auto",
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] | None = None,
        seed: int | None = None,
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        evaluated_rewards: Sequence[float] | None = None,
    ) -> None:
        # Checked here, since Ray's own check is an assert, and needs a mode for each metric.
        goals = make_goals(DEFAULT_METRIC if metric is None else metric, "min" if mode is None else mode)
        several = metric is not None and not isinstance(metric, str)
        metric = [goal.metric for goal in goals] if several else metric
        if mode is not None:
            mode = [goal.mode for goal in goals] if several else goals[0].mode
        super().__init__(metric=metric, mode=mode)  # type: ignore[call-arg]  # of ray.tune.search.Searcher
        self._metric, self._mode = metric, mode
        self._space, self._sampler, self._seed = space, sampler, seed
        self._points = checked_points(points_to_evaluate)
        self._rewards = () if evaluated_rewards is None else tuple(evaluated_rewards)
        if len(self._rewards) > len(self._points):
            raise SpecError(
                f"evaluated_rewards are of points_to_evaluate, got {len(self._rewards)} rewards of "
                f"{len(self._points)} points"
            )
        self._conversation: Conversation | None = None
        self._saved: Saved | None = None  # what to continue from
        if space is not None:
            self._begin()

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Mapping[str, Any], **spec: Any
    ) -> bool:
        """Adopt those of Ray Tune's own settings that the Searcher has not; False if it already has a space.

        Raises:
            SpecError: the Searcher and ``TuneConfig`` contradict each other.
        """
        self._require_agreement(metric, mode)
        if self._conversation is not None:
            return False
        self._metric, self._mode = self._metric or metric or DEFAULT_METRIC, self._mode or mode
        self._space = config
        self._begin()
        if not self._talk().varies:
            warnings.warn(
                "all trials get the same configuration, since param_space has no domain of ray.tune; give a space of "
                "raytune_hpo to the Searcher itself: Searcher(space, metric=..., mode=...)",
                stacklevel=2,
            )
        return True

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        conversation = self._talk()
        if self._space is None and conversation.has_placeholders:
            raise SpecError(
                "an experiment with functions or objects in its param_space is restored with the same again, since Ray Tune "
                "does not keep them, got no param_space; write Tuner.restore(path, trainable, param_space=param_space)"
            )
        config = conversation.suggest(trial_id)
        if config is not None:
            return dict(config)
        return "FINISHED" if conversation.is_over else None

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        self._talk().hear(trial_id, result)

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
        """Continue from what ``save`` wrote.

        What the Searcher does not have is taken from there: metric and mode at once, since wrappers read them, and the space
        unless Ray Tune gives one before the first suggestion, which ``Tuner.restore`` does only if it is given one itself.

        Raises:
            SpecMismatch: it was saved with other settings.
            HpoError: the file is of another version, or of something else.
        """
        self._saved = Saved.read(Path(checkpoint_path))
        goals = self._saved.spec.goals
        several = len(goals) > 1
        if self._metric is None:
            self._metric = [goal.metric for goal in goals] if several else goals[0].metric
        if self._mode is None:
            self._mode = [goal.mode for goal in goals] if several else goals[0].mode
        if self._space is not None:
            self._begin()

    def _require_agreement(self, metric: Any, mode: Any) -> None:
        """Refuse another direction for a metric than the Searcher's, and a direction that is meant for another metric."""
        if metric is None or mode is None:
            return
        own = () if self._mode is None else make_goals(self._metric or metric, self._mode)
        theirs = {goal.metric: goal.mode for goal in make_goals(metric, mode)}
        clash = any(goal.mode != theirs.get(goal.metric, goal.mode) for goal in own)
        if clash or (self._mode is None and self._metric not in (None, metric)):
            raise SpecError(
                f"a metric has one mode, and a mode belongs to a metric: the Searcher has metric={self._metric!r}, "
                f"mode={self._mode!r}, TuneConfig has {metric=}, {mode=}; give the Searcher both, or neither"
            )

    def _begin(self) -> None:
        if self._mode is None or self._metric is None:
            raise SpecError(
                f'a Searcher needs metric and mode ("min" or "max"), got metric={self._metric!r}, mode={self._mode!r}; '
                f"give them here with the space, or in TuneConfig with a param_space"
            )
        settings = {name: getattr(self, f"_{name}") for name in ("sampler", "metric", "mode", "seed")}
        if self._saved is not None:
            self._conversation = Conversation(self._space, settings, saved=self._saved)
        else:
            known = len(self._rewards)
            self._conversation = Conversation(self._space, settings, self._points[known:])
            for point, reward in zip(self._points, self._rewards, strict=False):
                self.add_evaluated_point(point, reward)

    def _talk(self) -> Conversation:
        if self._conversation is None and self._saved is not None and self._saved.space is not None:
            self._begin()
        if self._conversation is None:
            raise SpecError("a Searcher needs a space; give it one, or give Ray Tune a param_space")
        return self._conversation

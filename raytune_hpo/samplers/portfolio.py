"""A portfolio of samplers with one history, and a bandit that decides whose turn it is.

Cho et al.: Basic Enhancement Strategies When Using Bayesian Optimization for Hyperparameter Tuning of Deep Neural
Networks. IEEE Access 8, 2020. Hoffman, Brochu, de Freitas: Portfolio Allocation for Bayesian Optimization. UAI 2011.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from raytune_hpo import registry
from raytune_hpo.arrays import Array
from raytune_hpo.errors import SpecError
from raytune_hpo.facts import Status
from raytune_hpo.goals import Goal, to_losses
from raytune_hpo.numerics import bandits, duration_model
from raytune_hpo.numerics.axes import is_among
from raytune_hpo.numerics.penalties import PENALTIES
from raytune_hpo.options import integer_option, named_option, number_option
from raytune_hpo.protocols import BringsScheduler, ReportReader, Sampler, Signal, Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.samplers.arms import ARM, OWN, SIX_ARMS, ArmInput, ArmRecord, labels_of, with_own_meta
from raytune_hpo.samplers.base import BaseSampler
from raytune_hpo.samplers.history import History, Observed, last_due
from raytune_hpo.samplers.model_based import ModelBased, Ranked, Selection
from raytune_hpo.samplers.strategies import STRATEGIES, BanditState, Strategy
from raytune_hpo.space import Space
from raytune_hpo.trial import Trial

_NOMINEES, _CREDITS = "nominees", "credits"  # keys in ``meta``
_AT_RANDOM = "random"  # in place of an arm's label, for suggestions that were drawn

FAILOVERS = ("premature", "none", "random", "next_candidate")
_TOP = 10  # candidates that next_candidate considers


class Portfolio(BaseSampler):
    """Several samplers ("arms") that learn from one history, and a bandit that decides whose turn it is.

    A trial's ``meta`` names the arm that suggested it, as ``arm``. A trial that pauses counts with its last report until it
    resumes.

    Args:
        arms: samplers, each as a name, a dict ``{"name": ..., option: ...}`` or an object. By default a Gaussian
            process and a random forest, each with EI, PI and UCB, on losses with a logarithmic transform of small errors:
            right for metrics that are error rates or accuracies.
        strategy: whose turn it is: "SEQ" (in turn), "RANDOM", "HEDGE", "BO-HEDGE", "BO-HEDGE-T", "BO-HEDGE-LE",
            "BO-HEDGE-LET", "EG", "EG-LE", "GT", "GT-LE", "SKO", "SYNC" or "ASYNC".
        failover: how running trials are handled. "premature": they count with what they have reported so far, or with
            what the model expects; "none": they are ignored; "random": if the best candidate is running already, a draw
            takes its place; "next_candidate": the best of the top ten that is not running is taken.
        penalty: the penalty on candidates that take long: None, "linear", "top_k", "per_second" or "per_log_second",
            from the tenth completed trial on.
        penalty_weight: alpha of "linear" (by default 0.1), k of "top_k" (10), or the seconds added to all durations in
            the others (10); None for the default.
        n_initial: trials that are drawn at random first.
        warm_up_s: seconds after the first trial began. Of trials that end later, stopped ones count with their best
            report; before, and always if it is None, with their last report. (In Cho et al.'s runs, 12 hours.) Arms that
            keep their own history use the last report.
        truth: a function that returns the true loss of a configuration, for instance from a lookup table; for the
            strategies that end in T.

    Raises:
        SpecError: no arms, or one that is not a sampler; an unknown strategy, failover or penalty; a penalty_weight
            that the penalty cannot have; n_initial < 1; warm_up_s < 0; a strategy that ends in T without ``truth``.
    """

    traits: ClassVar[Traits] = Traits(reads_reports=True, features=True, needs=("scipy",), version=10)
    _arms: tuple[Sampler, ...]
    _labels: tuple[str, ...]

    def __init__(
        self,
        *,
        arms: Sequence[Any] = SIX_ARMS,
        strategy: str = "SEQ",
        failover: str = "premature",
        penalty: str | None = None,
        penalty_weight: float | None = None,
        n_initial: int = 2,
        warm_up_s: float | None = None,
        truth: Callable[[Mapping[str, Any]], float] | None = None,
    ) -> None:
        if isinstance(arms, (str, Mapping)) or not arms:
            raise SpecError(f"portfolio needs a list of arms, got {arms!r}; leave it out for the default ones")
        self.arms = tuple(arms)
        self.strategy = named_option("portfolio", "strategy", strategy, STRATEGIES)
        self.failover = named_option("portfolio", "failover", failover, FAILOVERS)
        self.penalty = named_option("portfolio", "penalty", penalty, (None, *PENALTIES))
        self.penalty_weight = penalty_weight
        if penalty_weight is not None:
            self.penalty_weight = number_option("portfolio", "penalty_weight", penalty_weight, above=0)
            if penalty == "top_k" and (penalty_weight < 1 or penalty_weight % 1):
                raise SpecError(f"the penalty top_k needs a whole penalty_weight >= 1, its k, got {penalty_weight!r}")
            if penalty == "per_log_second" and penalty_weight <= 1:  # the logarithm would be 0, or prefer the worst
                raise SpecError(
                    f"the penalty per_log_second divides by the logarithm of seconds, so it needs a penalty_weight > 1, the "
                    f"seconds added to all durations, got {penalty_weight!r}"
                )
        self.n_initial = integer_option("portfolio", "n_initial", n_initial, least=1)
        self.warm_up_s = warm_up_s
        if warm_up_s is not None:
            way_out = "these are seconds; leave it out for none"
            self.warm_up_s = number_option("portfolio", "warm_up_s", warm_up_s, least=0, way_out=way_out)
        if STRATEGIES[strategy].by_truth and truth is None:
            raise SpecError(
                f"strategy {strategy!r} needs truth=, the loss of any configuration; {strategy[:-1].rstrip('-')!r} does not"
            )
        self.truth = truth
        self._records: list[ArmRecord] = []
        self._began_at = np.inf  # when the first trial began
        # A number of completed trials, and the model of them.
        self._duration: tuple[int, duration_model.Model] | None = None
        self._nominees: dict[int, Array] = {}  # (k, d) by position of a finished trial; not credited yet
        self._credits: dict[int, Array] = {}  # (k,) by position of the trial at whose turn the arms nominated

    def bind(self, space: Space, goals: Sequence[Goal], seed: int) -> Portfolio:
        """A fresh portfolio for one study.

        Raises:
            SpecError: an arm does not fit the space or the goals.
        """
        bound = super().bind(space, goals, seed)
        bound._history = History(space, len(goals))  # one loss of each trial counts, at whatever step
        bound._arms = tuple(registry.make("sampler", arm).bind(space, goals, seed) for arm in self.arms)
        bound._labels = labels_of(bound._arms)
        for label, arm in zip(bound._labels, bound._arms, strict=True):
            if arm.traits.continues or isinstance(arm, BringsScheduler):
                raise SpecError(
                    f"the arms of a portfolio suggest new trials only, got {label!r}, which continues trials; use it alone"
                )
        fits: dict[Hashable, Any] = {}
        for arm in bound._arms:
            if isinstance(arm, ModelBased):  # arms that differ only in their acquisition functions share one model
                arm.fits = fits.setdefault(arm.model_key, arm.fits)
        return bound

    # -------------------------------------------------------------------------------------------- asking

    def ask(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Suggestion | Signal:
        """A draw at first; after that, the suggestion of the arm whose turn it is."""
        return self.select(number, pending, rng).suggestion

    def select(self, number: int, pending: Sequence[Trial], rng: np.random.Generator) -> Selection:
        """As ``ask``, with the rows from which the suggestion was selected, if the arm is a ``ModelBased`` sampler."""
        new = [trial for trial in pending if trial.number not in self._history]
        resumed = [t for t in pending if t.number in self._history and t.last_losses is not None]
        finished = self._history.read(resumed if self.failover == "premature" else ())
        begun, strategy, cube = len(finished) + len(new), STRATEGIES[self.strategy], self._cube
        batch = len(self.arms) + 1  # trials of a synchronous round: one of each arm, and a random one
        if strategy.waits and any(trial.number // batch < number // batch for trial in pending):
            return Selection(Signal.WAIT)
        rows = cube.encode(new)
        known = np.concatenate([finished.X, rows])
        if not cube.axes or begun < self.n_initial or np.isnan(finished.Y[:, 0]).all():
            return self._drawn(known, rng)
        # Nominees of finished trials are credited when the bandit decides, by what the arms expect of them then. The
        # credits are stored in the meta of this suggestion: ``tell`` keeps them, so that no nominee is credited twice, and
        # a replay need not fit the models of that time again.
        state, credits = self._bandit_state(finished, pending, new)
        if strategy.with_random and (state.busy > 0).all():
            return self._drawn(known, rng)
        shown = ArmInput.of(self.failover, finished, new, rows)
        arm = int(rng.choice(len(self._arms), p=strategy.probabilities(state)))
        if not strategy.nominates:
            return self._suggested(arm, number, shown, pending, rng)
        return self._nominated(arm, number, shown, credits, rng)

    def _drawn(self, known: Array, rng: np.random.Generator) -> Selection:
        cube = self._cube
        return Selection(Suggestion(cube.config(cube.first_new(cube.draw(1, rng), known, rng)), {ARM: _AT_RANDOM}))

    def _suggested(
        self, arm: int, number: int, shown: ArmInput, pending: Sequence[Trial], rng: np.random.Generator
    ) -> Selection:
        """The suggestion of one arm; if the arm is not ``ModelBased``, by its ``ask``."""
        sampler = self._arms[arm]
        if isinstance(sampler, ModelBased):
            ranked = self._ranked(sampler, shown, rng)
            suggestion = Suggestion(self._cube.config(self._chosen(ranked, shown, rng)), {ARM: self._labels[arm]})
            return Selection(suggestion, ranked, sampler, shown.observed)
        its_own = [with_own_meta(arm, self._labels, t) for t in pending] if sampler.traits.reads_pending else []
        answer = sampler.ask(number, its_own, rng)
        if isinstance(answer, Signal):
            return Selection(answer)
        assert isinstance(answer, Suggestion), "arms that continue trials are refused"
        meta = {ARM: self._labels[arm], OWN: dict(answer.meta)}
        return Selection(replace(answer, meta=meta))

    def _nominated(
        self, arm: int, number: int, shown: ArmInput, credits: Mapping[int, Array], rng: np.random.Generator
    ) -> Selection:
        """The suggestion of one arm, with the nominees of all arms, so that these can be credited."""
        rows, proposed = [], {}
        for index, sampler in enumerate(self._arms):
            if isinstance(sampler, ModelBased):
                proposed[index] = self._ranked(sampler, shown, rng), sampler, shown.observed
                rows.append(self._chosen(proposed[index][0], shown, rng))
            else:
                answer = sampler.ask(number, (), rng)
                suggested = [answer.config] if isinstance(answer, Suggestion) else []
                x = self._cube.space.encode(suggested) if suggested else self._cube.draw(1, rng)
                rows.append(x[0])
        meta = {
            ARM: self._labels[arm],
            _NOMINEES: [_listed(x) for x in rows],
            _CREDITS: [[position, _listed(gains)] for position, gains in credits.items()],
        }
        return Selection(Suggestion(self._cube.config(rows[arm]), meta), *proposed.get(arm, ()))

    def _ranked(self, sampler: ModelBased, shown: ArmInput, rng: np.random.Generator) -> Ranked:
        """The proposals of an arm, with the penalty for long trials applied."""
        ranked = sampler.propose(shown.observed, shown.running, rng)
        seconds = self._seconds(ranked.X)
        if self.penalty is None or seconds is None:
            return ranked
        penalised, weight = PENALTIES[self.penalty]
        return Ranked.of(ranked.X, penalised(ranked.scores, seconds, self.penalty_weight or weight))

    def _chosen(self, ranked: Ranked, shown: ArmInput, rng: np.random.Generator) -> Array:
        """The row (d,) to try, by the failover."""
        cube = self._cube
        rows = ranked.X[:_TOP] if self.failover == "next_candidate" else ranked.X
        if self.failover == "random" and is_among(rows[0], shown.pending):
            rows = cube.draw(1, rng)
        known = shown.finished if self.failover == "none" else shown.known
        return np.asarray(cube.first_new(rows, known, rng))

    def _seconds(self, rows: Array) -> Array | None:
        """The seconds that trials at these rows are expected to take; None before enough have completed."""
        if self.penalty is None:
            return None
        X, took = self._history.read().X, np.array([record.completed_in_s for record in self._records])
        known = np.flatnonzero(~np.isnan(took))
        known = known[: last_due(len(known))]
        if len(known) < duration_model.MIN_TRIALS:
            return None
        if self._duration is None or self._duration[0] != len(known):
            rng = derive(self._seed, "durations", len(known))
            self._duration = len(known), duration_model.fit_durations(self._cube.axes, X[known], took[known], rng)
        return self._duration[1](rows)

    # -------------------------------------------------------------------------------------------- telling

    def observe(self, trial: Trial) -> None:
        """Note a trial that has paused."""
        self._note(trial)

    def tell(self, trial: Trial) -> None:
        """Note a trial that has ended."""
        self._note(trial)

    def _note(self, trial: Trial) -> None:
        """Note a trial, and the credits of earlier nominees in its meta; arms that are not ``ModelBased`` are told too."""
        is_new = trial.number not in self._history
        self._began_at = min(self._began_at, trial.created_at)
        ended_at = trial.created_at if trial.finished_at is None else trial.finished_at
        is_warm = self.warm_up_s is not None and ended_at - self._began_at >= self.warm_up_s
        self._history.tell(trial, at_its_best=is_warm)
        position, label = self._history.row(trial.number), trial.meta.get(ARM)
        record = ArmRecord.of(trial, self._labels.index(label) if label in self._labels else None)
        if is_new:
            self._records.append(record)
            self._note_credits(trial, position)
        else:
            self._records[position] = record
        for arm, sampler in enumerate(self._arms):
            if not isinstance(sampler, ModelBased):
                _inform(sampler, with_own_meta(arm, self._labels, trial), is_new)

    def _note_credits(self, trial: Trial, position: int) -> None:
        for credited, gains in trial.meta.get(_CREDITS, ()):
            if credited in self._nominees:
                self._credits[credited] = _array(gains)
                del self._nominees[credited]
        if _NOMINEES in trial.meta:
            self._nominees[position] = np.array([_array(row) for row in trial.meta[_NOMINEES]])

    def _bandit_state(
        self, finished: Observed, pending: Sequence[Trial], new: Sequence[Trial]
    ) -> tuple[BanditState, dict[int, Array]]:
        """The input of the strategy, and the new credits of nominees that had not been credited yet.

        Args:
            new: those of the pending trials that have not paused before.
        """
        strategy, k = STRATEGIES[self.strategy], len(self._arms)
        y = finished.Y[:, 0]
        scored = y[~np.isnan(y)]
        rewards = np.zeros(len(y))
        rewards[~np.isnan(y)] = self._rewards(strategy, scored, scored)
        arm_of = np.array([-1 if record.arm is None else record.arm for record in self._records])
        ours = arm_of >= 0
        fresh = {
            position: self._credited(strategy, finished, rows, scored) for position, rows in self._nominees.items()
        }
        busy = [self._labels.index(t.meta[ARM]) for t in pending if t.meta.get(ARM) in self._labels]
        state = BanditState(
            turn=int(ours.sum()) + sum(trial.meta.get(ARM) in self._labels for trial in new),
            num_arms=k,
            arms=arm_of[ours],
            rewards=rewards[ours],
            credits=sum([*self._credits.values(), *fresh.values()], np.zeros(k)),
            hours=float(np.nansum([record.took_s for record in self._records])) / 3600,
            busy=np.bincount(busy, minlength=k),
        )
        return state, fresh

    def _credited(self, strategy: Strategy, finished: Observed, rows: Array, scored: Array) -> Array:
        """The rewards (k,) of the nominees (k, d) of one turn, by their true losses or by each arm's own prediction.

        An arm without predictions is credited with the median of the losses so far.
        """
        losses = np.full(len(rows), float(np.median(scored)))
        for i, (sampler, row) in enumerate(zip(self._arms, rows, strict=True)):
            if strategy.by_truth and self.truth is not None:
                metrics = {self._goals[0].metric: self.truth(self._cube.config(row))}
                true = to_losses(metrics, self._goals)
                losses[i] = np.nan if true is None else true[0]
            elif isinstance(sampler, ModelBased) and (expected := sampler.expect(finished, row[None, :])) is not None:
                losses[i] = expected[0]
        return self._rewards(strategy, losses, scored)

    @staticmethod
    def _rewards(strategy: Strategy, losses: Array, scored: Array) -> Array:
        rewards = bandits.goodness(losses, scored)
        return bandits.log_goodness(rewards) if strategy.is_log else rewards


def _inform(sampler: Sampler, trial: Trial, is_new: bool) -> None:
    """Tell an arm of a trial that has paused or ended; without ``reads_reports``, of each trial once."""
    if not sampler.traits.reads_reports:
        if is_new:
            sampler.tell(trial)
    elif trial.status is Status.PAUSED:
        assert isinstance(sampler, ReportReader)
        sampler.observe(trial)
    else:
        sampler.tell(trial)


def _listed(x: Array) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in x]


def _array(values: Sequence[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values])

"""Commands to the state machine of a study, and its replies.

Commands are in the imperative, facts in the past tense: ``EndTrial`` is what a worker says, ``Finished`` is what the journal
then holds. Both commands and replies cross threads and networks; a command may arrive twice, late, or from a worker that
has lost its trial.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raytune_hpo.checkpoints.record import Checkpoint
from raytune_hpo.facts import Fact, Status, Verdict
from raytune_hpo.protocols import Continue, Signal, Suggestion
from raytune_hpo.spec import Limits
from raytune_hpo.trial import Trial

# ------------------------------------------------------------------------------------------------ commands


@dataclass(frozen=True, kw_only=True, slots=True)
class AskTrials:
    """Hand out up to ``limit`` trials to a worker. It never received, or has lost, those it owns and is not ``holding``."""

    worker: str
    at: float
    limit: int = 1
    holding: Collection[int] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportMetrics:
    """Record an objective's metrics at a step; of a study of several instances, those of the step's own instance.

    The sender has checked them. ``saves``: see ``Reported``.
    """

    number: int
    attempt: int
    step: int
    metrics: Mapping[str, Any]
    at: float
    saves: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawParameter:
    """Draw a parameter for which a running trial's objective asks. See ``Drawn``.

    ``value``: the value, if it was chosen elsewhere (``is_given``).
    """

    number: int
    attempt: int
    name: str
    domain: Mapping[str, Any]
    at: float
    value: Any = None
    is_given: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Annotate:
    """Record a note about a trial, or about the study. See ``Annotated``."""

    number: int | None
    name: str
    value: Any
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class KeepCheckpoint:
    """Record that a running trial has saved a checkpoint of a step that it has reported. See ``Saved``."""

    number: int
    attempt: int
    step: int
    checkpoint: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class OfferCheckpoint:
    """Decide whether a trial that is about to end with these metrics shall save a checkpoint of its last report."""

    number: int
    attempt: int
    metrics: Mapping[str, Any]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class EndTrial:
    """Record how a trial, or this stretch of it, ended: its objective returned (completed), was stopped (pruned) or set
    aside (paused), or raised (failed); or it could not begin, because its checkpoint cannot be read (waiting).

    ``checkpoint`` is of its newest report; ``notes`` are the user's, by name. See ``Finished``, ``Paused``, ``Saved``,
    ``Printed`` and ``Annotated``.
    """

    number: int
    attempt: int
    status: Status
    at: float
    metrics: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    output: str = ""
    started_at: float | None = None
    duration_s: float | None = None
    asked: Sequence[str] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReturnTrials:
    """Take back trials of a worker's lease that it has not begun, so that others may have them."""

    worker: str
    numbers: tuple[int, ...]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LoseWorker:
    """Take note that a worker is gone. ``blameless``: whether the reason has nothing to do with the trial that it ran."""

    worker: str
    at: float
    reason: str = "worker died"
    blameless: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplaceWorkers:
    """Let new workers take over. Those whose names do not begin with ``prefix`` are gone, without blame.

    ``spared``: workers whose names begin with this belong to no pool; they stay.
    """

    prefix: str
    at: float
    spared: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EnqueueConfig:
    """Enqueue a configuration, to be tried before the sampler's next suggestion. ``is_next``: see ``Enqueued``."""

    config: Mapping[str, Any]
    at: float
    is_next: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WithdrawConfig:
    """Remove a configuration from the queue, if it has not been handed out; see ``Withdrawn`` for its position."""

    position: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """A trial that was measured elsewhere, and how it ended: completed, pruned or failed. See ``Finished``."""

    config: Mapping[str, Any]
    status: Status
    metrics: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    reason: str | None = None
    duration_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordObservations:
    """Record trials that were run elsewhere, all of them or none; they count as trials of the study."""

    worker: str
    observations: tuple[Observation, ...]
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class TakeTrial:
    """Assign a waiting trial to this worker, which has it already, for example from an earlier session."""

    worker: str
    number: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StopTrial:
    """Stop one trial, as a user asks: it is pruned at its next report, or at once if it is not running."""

    number: int
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtendStudy:
    """Change the limits of a running study."""

    limits: Limits
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StopStudy:
    """Stop the study, once running trials have saved what they have done. They wait for it to be taken up again.

    Attributes:
        at_once: whether it stops without that.
    """

    reason: str
    at: float
    at_once: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """Check time limits."""

    at: float


Command = (
    AskTrials
    | DrawParameter
    | Annotate
    | ReportMetrics
    | KeepCheckpoint
    | OfferCheckpoint
    | EndTrial
    | ReturnTrials
    | LoseWorker
    | ReplaceWorkers
    | EnqueueConfig
    | WithdrawConfig
    | RecordObservations
    | TakeTrial
    | StopTrial
    | ExtendStudy
    | StopStudy
    | Tick
)

# ------------------------------------------------------------------------------------------------ replies


@dataclass(frozen=True, kw_only=True, slots=True)
class Assignment:
    """A trial for a worker.

    Attributes:
        next_step: the next step whose report needs an answer; None: no report does.
        last_step: the step whose report completes it; None: only its objective ends it.
        from_step: the step after which it resumes; None: it starts from scratch.
        checkpoint: the checkpoint from which it resumes; None if there is none.
        order: the order of the study's instances, as indices; empty if there are none.
        domains: for an objective that defines its own space: the known parameters in their JSON form; None: the objective is
            called with a configuration.
        slot: the slot of the population's member of which it is a segment; None if its sampler gives none.
    """

    number: int
    attempt: int
    config: Mapping[str, Any]
    next_step: int | None = None
    last_step: int | None = None
    from_step: int | None = None
    checkpoint: Checkpoint | None = None
    order: tuple[int, ...] = ()
    domains: Mapping[str, Mapping[str, Any]] | None = None
    slot: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """The trials that a worker gets. Empty and not ``is_over``: ask again once something has changed."""

    assignments: tuple[Assignment, ...] = ()
    is_over: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """The verdict on a report, and the next step at which there may be another (None: never).

    COMPLETE with a next step is the end of a segment: another trial may continue from it, so the objective ends there.

    Attributes:
        is_last_call: the study is about to stop; the trial should save a checkpoint at its next report, if it can.
    """

    verdict: Verdict
    next_step: int | None = None
    is_last_call: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """The value of a parameter in a trial.

    Attributes:
        problem: why the parameter cannot have the domain that was asked for; None: it can.
        is_held: whether the trial still belongs to the worker that asked.
    """

    value: Any = None
    problem: str | None = None
    is_held: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """Whether the offered checkpoint shall be saved."""

    is_wanted: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """Acknowledgement of a command."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What became of a trial whose end was told.

    Attributes:
        trial: as it is now; None: there is no trial of that number.
        is_news: whether this message ended it. Otherwise it had ended before, or the sender does not own it.
    """

    trial: Trial | None
    is_news: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """The numbers of the recorded trials; empty if the study has ended, or has no room for all of them."""

    numbers: tuple[int, ...]


Reply = Lease | Answer | Parameter | Wanted | Noted | Told | Recorded


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The result of a command: facts, and the reply, which is valid once they are in the journal."""

    reply: Reply
    facts: tuple[Fact, ...] = ()


# ------------------------------------------------------------------------------------------------ suggestions


@dataclass(frozen=True, kw_only=True, slots=True)
class SuggestionRequest:
    """A request to compute a suggestion: all inputs of ``Sampler.ask``; or several, each with those before it pending.

    Attributes:
        number: the trial's number; None: no new one may begin.
        turn: the number of its random stream: the trial's, and one more for each continuation decided before.
        basis: how many facts precede it; ``history``: how many pauses and ends of trials these contain.
        pending: trials without a result, prepared suggestions among them.
        generation: the generation of the prepared suggestions in ``pending``; see ``core.suggestions``.
        count: how many are wanted.
    """

    number: int | None
    turn: int
    basis: int
    history: int
    pending: tuple[Trial, ...] = ()
    generation: int = 0
    count: int = 1

    def following(self, index: int) -> SuggestionRequest:
        """The request for one of several suggestions, by its position."""
        assert self.number is not None or index == 0, "continuations are asked for one by one"
        number = None if self.number is None else self.number + index
        return replace(self, number=number, turn=self.turn + index, count=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class PreparedSuggestion:
    """A suggestion that was computed ahead of need."""

    request: SuggestionRequest
    outcome: Suggestion | Continue | Signal

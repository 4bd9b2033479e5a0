"""The state of a live study as a fold of its facts: what runs where, the candidate's evidence, and the budgets left.

Like every fold it decides nothing. A window is a trial; its ``meta`` says on which group it ran, in which role, and in which
context. A trial that the sampler suggested is a candidate, and its first window.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from raytune_hpo.core.fold import StudyFold
from raytune_hpo.facts import (
    Approved,
    BaselineSet,
    Drifted,
    Fact,
    Finished,
    Frozen,
    SessionOpened,
    Started,
    Status,
    Thawed,
)
from raytune_hpo.goals import Guard
from raytune_hpo.live.contexts import class_of, measured_context
from raytune_hpo.live.plan import DAY_S, HOUR_S, LivePlan
from raytune_hpo.live.rolling import Rolling
from raytune_hpo.numerics.page_hinkley import COSTLY, FITTED, PageHinkley
from raytune_hpo.numerics.sequential import Judgement, judged
from raytune_hpo.trial import Trial

CONTROL, CANARY = "control", "canary"
RETRY = "retry"  # the role of the first window in which a demoted configuration is tried again
VOID = "no usable measurement"  # the beginning of the reason of a void window
_LEAST_NOISE = 0.01  # of a guard's metric, relative
_MOST_KEPT = 200  # pairs from which noise is estimated, losses of which the median is taken
_MOST_KNOWN = 20  # differences of a class from which the noise of its losses is known
_MAD = 1.4826


@dataclass
class Candidate:
    """A configuration under trial.

    Attributes:
        number: the number of its first window, the trial that proposed it.
        place: the class of context in which it is tried.
        is_approved: False while it waits for a person.
        opened: the number of the window with which it began, or went on after a pause.
        stage: index among the plan's shares.
        differences: loss minus the control group's, for each pair of windows of this stage.
        overruns: the overrun of each relative guard, pair by pair, over all stages.
        last_judgement, judged: the result of the newest test, and the differences that it used.
    """

    number: int
    config: Mapping[str, Any]
    place: str
    is_approved: bool
    opened: int
    stage: int = 0
    differences: list[float] = field(default_factory=list)
    overruns: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    last_judgement: Judgement = Judgement.OPEN
    judged: list[float] = field(default_factory=list)


class LiveFold:
    """The fold of a live study: that of the study, and the state of the running system.

    Attributes:
        baseline: the configuration to fall back to; None before a person has set it.
        frozen: the fact that froze it; None while changes are allowed.
        promoted: by class of context, a stack of promoted configurations, the newest on top.
        unproven: by class, the promoted configuration that a drift has demoted; it is the next candidate there.
        paused: by class, the candidate that goes on once its context is back.
        observed: by class, how many windows the model may rely on.
        context, place: the context as measured last, and its class.
        candidate: the candidate under trial.
        is_rolling_back: whether a guard has ended a candidate or promotion whose replacement is not confirmed yet.
        cool_down_until: the time before which nothing is tried.
        epoch: how often the system has drifted.
        detectors: drift detectors by class, so that a constant error of the model in one class is not taken for drift.
        alarm: the window after which a detector fired, and its statistic; None if none has.
        voids: the number of void windows in a row.
        at: the time of the newest fact.
    """

    def __init__(self, plan: LivePlan, study: StudyFold) -> None:
        self.plan, self.study, self.goal = plan, study, study.ledger.spec.goals[0]
        self.baseline: Mapping[str, Any] | None = None
        self.frozen: Frozen | None = None
        self.promoted: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        self.unproven: dict[str, Mapping[str, Any]] = {}
        self.paused: dict[str, Candidate] = {}
        self.observed: defaultdict[str, int] = defaultdict(int)
        self.context: dict[str, float] = {}
        self.place = ""
        self.candidate: Candidate | None = None
        self.is_rolling_back = False
        self.cool_down_until = -math.inf
        self.epoch = 0
        self.detectors: defaultdict[str, PageHinkley] = defaultdict(PageHinkley)
        self.alarm: tuple[int, float] | None = None
        self.voids = 0
        self.at = -math.inf
        self._coming_place = ""
        self._cool_down_s = plan.cool_down_s
        self._pairs: dict[int, int] = {}  # the canary's running window -> that of the control group
        self._noise: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_MOST_KEPT))
        self._known: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_MOST_KNOWN))
        self._controlled: Mapping[str, Any] | None = None  # what the control group ran in its newest window
        self._breaches: deque[bool] = deque(maxlen=plan.observe)  # whether the baseline broke a guard
        self._newest: deque[float] = deque(maxlen=plan.observe)  # losses of what runs on most of the traffic
        self._losses, self._regrets = Rolling(), Rolling()  # absolute values
        # By class, windows with a candidate, and those of the control group.
        self._tried: defaultdict[str, Rolling] = defaultdict(Rolling)
        self._held: defaultdict[str, Rolling] = defaultdict(Rolling)
        self._spread: deque[float] = deque(maxlen=_MOST_KEPT)  # absolute standardised residuals
        self._changes, self._rollbacks = Rolling(), Rolling()

    # -------------------------------------------------------------------------------------------- taking facts in

    def apply(self, fact: Fact) -> None:
        """Apply a fact."""
        self.at = fact.at
        self.study.apply(fact)
        space = self.study.ledger.spec.space
        if isinstance(fact, Started):
            self._began(self.study.ledger.trials[fact.number], fact.at)
        elif isinstance(fact, Finished):
            self._ended(self.study.ledger.trials[fact.number], fact.at)
        elif isinstance(fact, BaselineSet):
            self.baseline = space.unpack(fact.config)
            self.promoted.clear()
            self.unproven.clear()
            self._observe_again()
        elif isinstance(fact, Approved):
            if self.candidate is not None and self.candidate.number == fact.number:
                self.candidate.is_approved = True
        elif isinstance(fact, Frozen):
            self.frozen, self.candidate = fact, None
        elif isinstance(fact, Thawed):
            self.frozen, self.is_rolling_back = None, False
            self.voids = 0
            self._rollbacks.clear()
            self._regrets.clear()
            self._breaches.clear()
        elif isinstance(fact, Drifted):
            self.epoch += 1
            if self.plan.rules >= 2:
                self._demote()
            self._observe_again()
        elif isinstance(fact, SessionOpened):
            self.candidate = None

    def _demote(self) -> None:
        """What was promoted was better than the baseline in a system that is no longer the same."""
        self.unproven |= {place: stack[-1] for place, stack in self.promoted.items() if stack}
        self.promoted.clear()

    def _observe_again(self) -> None:
        self.candidate, self.alarm = None, None
        self.paused.clear()
        self.detectors.clear()
        self.observed.clear()
        self._known.clear()
        self._breaches.clear()

    def _began(self, trial: Trial, at: float) -> None:
        if is_proposal(trial):
            is_approved = not self.plan.approve
            self.candidate = Candidate(trial.number, trial.config, self.place, is_approved, opened=trial.number)
            self._changes.add(at)
        elif self.candidate is None and "candidate" in trial.meta and self.place in self.paused:
            self.candidate = self.paused.pop(self.place)
            self.candidate.opened = trial.number
            self._changes.add(at)
        else:
            self.is_rolling_back = False  # windows begin only after the configuration has been read back
        pair = trial.meta.get("pair")
        if pair is not None:
            self._pairs[pair] = trial.number

    def _ended(self, trial: Trial, at: float) -> None:
        is_canary = group_of(trial) == CANARY
        if trial.status is Status.PRUNED:
            self._ended_without_result(trial, at, is_canary)
            return
        self.voids = 0
        if is_canary and trial.meta.get("role") != "observe":
            self._tried[self.place].add(at)
        if trial.status is Status.FAILED:
            self._refuse(trial, at, is_canary)
        elif not is_canary:
            self._measured(trial, at)
        self._judge_pair(trial, at)
        self._move_to(measured_context(trial.metrics))
        self._forget_before_a_day(at)

    def _ended_without_result(self, trial: Trial, at: float, is_canary: bool) -> None:
        is_void = (trial.reason or "").startswith(VOID)
        self.voids += is_void and not is_canary
        canary = trial.number if is_canary else trial.meta.get("pair")
        if canary is not None and self._pairs.pop(canary, None) is not None:
            tried = self.study.ledger.trials[canary]
            # A group whose requests all failed has no value of the goal.
            has_goal = self.goal.metric in tried.metrics and self.goal.metric in trial.metrics
            if tried.status is Status.FAILED and has_goal:
                self._regret(tried, self._loss(tried) - self._loss(trial), at)
        if is_canary and not is_void and self._is_of_candidate(trial):
            self.candidate = None

    def _is_of_candidate(self, trial: Trial) -> bool:
        return self.candidate is not None and self.candidate.number in (trial.number, trial.meta.get("candidate"))

    def _refuse(self, trial: Trial, at: float, is_canary: bool) -> None:
        """A guard was broken: return to what ran before, with a longer cool-down each time."""
        if is_canary:
            if self._is_of_candidate(trial):
                self._conclude()
        elif stack := self.promoted[place := trial.meta.get("place", "")]:
            stack.pop()
            self.paused.pop(place, None)  # it was compared with what has just broken a guard
        self._roll_back(at)

    def _conclude(self) -> None:
        """The candidate has been judged; if it was unproven, it is no longer."""
        candidate, self.candidate = self.candidate, None
        if candidate is not None and self.unproven.get(candidate.place) == candidate.config:
            del self.unproven[candidate.place]

    def _roll_back(self, at: float) -> None:
        self.is_rolling_back = True
        self.cool_down_until = at + self._cool_down_s
        self._cool_down_s = min(2 * self._cool_down_s, DAY_S)
        self._rollbacks.add(at)

    def _measured(self, trial: Trial, at: float) -> None:
        """A window of the control group has its result."""
        loss = self._loss(trial)
        self._controlled = trial.config
        self._newest.append(loss)
        self._losses.add(at, abs(loss))
        if not self.promoted[self.place]:
            self._breaches.append(any(guard.overrun(trial.metrics[guard.metric]) > 0 for guard in self.absolute_guards))
        place = class_of(measured_context(trial.metrics), self.plan.context)
        self.observed[place] += 1
        self._held[place].add(at)
        expected = trial.meta.get("expected")
        if expected is not None:
            mean, sd = expected
            self._spread.append(abs(loss - mean) / sd)
            detector = self.detectors[place].then((loss - mean) / sd / max(1.0, _MAD * median(self._spread)))
            self.detectors[place] = detector
            if detector.statistic > self.drift_threshold:
                self.alarm = trial.number, detector.statistic

    def _judge_pair(self, trial: Trial, at: float) -> None:
        canary = trial.number if group_of(trial) == CANARY else trial.meta.get("pair")
        control = self._pairs.get(canary) if canary is not None else None
        if canary is None or control is None:
            return
        one, other = (self.study.ledger.trials[number] for number in (canary, control))
        if not (one.status.is_finished and other.status.is_finished):
            return
        del self._pairs[canary]
        if self.goal.metric not in one.metrics or self.goal.metric not in other.metrics:
            return
        difference = self._loss(one) - self._loss(other)
        if one.meta.get("role") == "observe":
            self._known[class_of(measured_context(other.metrics), self.plan.context)].append(difference)
            for guard in self.relative_guards:
                self._noise[guard.metric].append(_relative(one.metrics[guard.metric], other.metrics[guard.metric]))
            return
        self._regret(one, difference, at)
        if self.candidate is not None and Status.FAILED not in (one.status, other.status):
            self._judge(self.candidate, difference, one, other, at)

    def _regret(self, trial: Trial, difference: float, at: float) -> None:
        share = float(trial.meta.get("share", self.plan.shares[0]))
        self._regrets.add(at, share * max(0.0, difference))

    def _judge(self, candidate: Candidate, difference: float, one: Trial, other: Trial, at: float) -> None:
        candidate.differences.append(difference)
        for guard in self.relative_guards:
            overruns = candidate.overruns[str(guard)]
            overruns.append(guard.overrun(one.metrics[guard.metric], other.metrics[guard.metric]))
            if len(overruns) > 2 and np.mean(overruns) > 2 * self.noise(guard.metric) / math.sqrt(len(overruns)):
                self._conclude()
                self._roll_back(at)
                return
        known = np.array(self._known[candidate.place]) if self.plan.rules >= 2 else None
        judgement = judged(np.array(candidate.differences), self.plan.looks, self.plan.alpha, known)
        candidate.last_judgement, candidate.judged = judgement, candidate.differences
        if judgement is not Judgement.OPEN:
            self._known[candidate.place].extend(_residuals(candidate.differences))
        if judgement is Judgement.BETTER:
            self._changes.add(at)
            candidate.stage += 1
            candidate.differences = []
            if candidate.stage == len(self.plan.shares):
                self.promoted[candidate.place].append(candidate.config)
                self._conclude()
                self._cool_down_s = self.plan.cool_down_s
        elif judgement is not Judgement.OPEN:
            self._conclude()

    def _move_to(self, context: dict[str, float]) -> None:
        """Follow the context: at once to a class never seen, where the baseline applies; otherwise once it stays there."""
        if not context:
            return
        self.context = context
        place = class_of(context, self.plan.context)
        if place != self.place and (place == self._coming_place or place not in self.observed or not self.place):
            self.place = place
            if self.candidate is not None and self.candidate.place != place:
                if self.plan.rules >= 2 and self.candidate.is_approved:
                    self.paused[self.candidate.place] = self.candidate
                self.candidate = None
        self._coming_place = place

    def _loss(self, trial: Trial) -> float:
        return float(self.goal.loss(trial.metrics[self.goal.metric]))

    # -------------------------------------------------------------------------------------------- reading

    @property
    def relative_guards(self) -> tuple[Guard, ...]:
        return tuple(guard for guard in self.plan.guards if guard.is_relative)

    @property
    def absolute_guards(self) -> tuple[Guard, ...]:
        return tuple(guard for guard in self.plan.guards if not guard.is_relative)

    @property
    def drift_threshold(self) -> float:
        if self.plan.drift is not None:
            return self.plan.drift
        return FITTED if self.plan.rules < 2 else COSTLY

    @property
    def is_observing(self) -> bool:
        """Whether the current class of context is not known well enough yet to try anything in it."""
        return self.observed.get(self.place, 0) < self.plan.observe

    @property
    def state(self) -> str:
        """The state of the study, in a word or two."""
        if self.frozen is not None:
            return "frozen"
        if self.is_rolling_back:
            return "rolling back"
        if self.candidate is not None:
            if not self.candidate.is_approved:
                return "proposing"
            return "promoting" if self.candidate.stage else "canary"
        return "observing" if self.is_observing else "holding"

    def incumbent(self) -> Mapping[str, Any] | None:
        """The configuration promoted in the current class of context, or else the baseline."""
        stack = self.promoted.get(self.place)
        return stack[-1] if stack else self.baseline

    def desired(self, group: str) -> Mapping[str, Any] | None:
        """The configuration that a group is to run; None before there is a baseline."""
        candidate = self.candidate
        if group == CANARY and candidate is not None and candidate.is_approved:
            return candidate.config
        return self.incumbent()

    @property
    def share(self) -> float:
        """The canary group's share of the traffic."""
        return self.plan.shares[self.candidate.stage if self.candidate is not None else 0]

    def noise(self, metric: str) -> float:
        """The noise of a metric: a robust standard deviation of relative differences between groups that run the same."""
        seen = self._noise[metric]
        return max(_LEAST_NOISE, _MAD * median(map(abs, seen))) if seen else 0.1

    def usual_loss(self) -> float | None:
        """The median of the control group's newest losses; None if there are too few."""
        return median(self._newest) if len(self._newest) >= 5 else None

    def may_change(self, at: float) -> bool:
        """Whether a candidate may begin, or go on, as far as times and rates of change are concerned."""
        plan = self.plan
        return (
            self.baseline is not None
            and self.frozen is None
            and self.candidate is None
            and not self.is_observing
            and at >= self.cool_down_until
            and not plan.is_quiet(at)
            and self._changes.count(at - HOUR_S) < plan.changes_per_hour
        )

    def may_try(self, at: float) -> bool:
        """Whether the sampler may propose a candidate now.

        It has to know what runs here, since a step is measured from there: after a change of context, or a promotion, the
        control group runs it for a window first.
        """
        held, tried = (windows[self.place].count(at - DAY_S) for windows in (self._held, self._tried))
        is_known = self.plan.rules < 2 or self._controlled == self.incumbent()
        return is_known and tried < self.plan.exploration * held and self.may_change(at)

    def regret(self, at: float) -> tuple[float, float]:
        """The regret of candidates in the last day, and its budget; both in units of the loss times windows."""
        begin = at - DAY_S
        num, a_day = self._losses.count(begin), DAY_S / self.plan.window_s
        budget = self.plan.regret * a_day * self._losses.total(begin) / num if num else math.inf
        return self._regrets.total(begin), budget

    def spent(self, at: float) -> tuple[int, int]:
        """The number of changes of the canary group in the last hour, and of rollbacks in the last day."""
        return self._changes.count(at - HOUR_S), self._rollbacks.count(at - DAY_S)

    def reason_to_freeze(self, at: float) -> str | None:
        """Why the system must be frozen; None if it need not be."""
        plan = self.plan
        if self.voids >= plan.void_windows:
            return f"{self.voids} windows in a row without a usable measurement"
        if (num := self._rollbacks.count(at - DAY_S)) >= plan.rollbacks_per_day:
            return f"{num} rollbacks in a day"
        spent, budget = self.regret(at)
        if spent > budget:
            return f"the regret budget is spent: {spent:.4g} in a day, of {budget:.4g}"
        broken = sum(self._breaches)
        if len(self._breaches) == plan.observe and broken > 0.1 * plan.observe:
            return (
                f"the baseline itself breaks a guard in {broken} of {plan.observe} windows "
                f"({', '.join(map(str, self.absolute_guards))}); set another baseline, or another guard"
            )
        return None

    def _forget_before_a_day(self, at: float) -> None:
        """Drop amounts older than the period of any budget."""
        by_class = (*self._tried.values(), *self._held.values())
        for amounts in (self._losses, self._regrets, self._changes, self._rollbacks, *by_class):
            amounts.forget(at - DAY_S)


def is_proposal(trial: Trial) -> bool:
    """Whether a window is the first of a candidate."""
    return trial.is_suggested or trial.meta.get("role") == RETRY


def group_of(trial: Trial) -> str:
    """The group on which a window runs."""
    return CANARY if trial.is_suggested else str(trial.meta.get("group", CONTROL))


def _residuals(differences: Sequence[float]) -> list[float]:
    """Differences without their mean, as large as they would be without it."""
    d = np.array(differences)
    return [float(x) for x in (d - d.mean()) * math.sqrt(len(d) / (len(d) - 1))]


def _relative(value: float, control: float) -> float:
    return (value - control) / abs(control) if control else 0.0

"""``hpo.Live``: live tuning of a running system."""

from __future__ import annotations

import getpass
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from raytune_hpo import registry
from raytune_hpo.core.optimizer import WallClock
from raytune_hpo.errors import HpoError, SpaceError, SpecError, SpecMismatch, StudyNotFound, nearest
from raytune_hpo.facts import StudyCreated
from raytune_hpo.goals import Goal, goal_of
from raytune_hpo.journal import Storage, open_storage
from raytune_hpo.journal.storage import check_name
from raytune_hpo.live.appliers import Applier
from raytune_hpo.live.choosing import Choice, RequestApplier
from raytune_hpo.live.controller import Controller
from raytune_hpo.live.messages import Adopt, Freeze, SetBaseline, Thaw
from raytune_hpo.live.plan import RULES, LivePlan
from raytune_hpo.live.pull_applier import PullApplier
from raytune_hpo.live.replaying import LiveReplay
from raytune_hpo.live.requests import leave, taken
from raytune_hpo.live.seat import TERMS, Seat, SeatedApplier
from raytune_hpo.live.stored import SEAT, LiveStatus, StoredLive
from raytune_hpo.options import whole
from raytune_hpo.protocols import bound_sampler
from raytune_hpo.rng import fresh_seed
from raytune_hpo.space import Space
from raytune_hpo.spec import StudySpec, stored_spec

_POLL_S = 0.5  # between two checks for people's requests
_OF_THE_SAMPLER = ("tunable", "step", "safe", "beta", "history")


def default_seat(name: str) -> Path:
    """The default folder in which the applier of a live study keeps its state; no name leads out of the folder for all."""
    path = PurePath(name)
    leads_out = path.is_absolute() or ".." in path.parts or not path.parts
    place = quote(name, safe="").replace(".", "%2E") if leads_out else name
    return Path("~/.raytune_hpo/live").expanduser() / place


class Live:
    """Live tuning of a running system: a baseline, guards, a canary group, and rollback at any time.

    It limits harm; it cannot rule it out.

    Args:
        space: the parameters; those that are not to be changed are left out of ``tunable``.
        goal: like ``"min cost"`` or ``"max throughput"``; a metric alone is minimised.
        guards: bounds that hold at any time: ``"p99_ms <= 200"``, or ``"p99_ms <= 1.1x"`` of the control group.
        baseline: the configuration to fall back to.
        applier: applies configurations to the system, and measures it; None for a service whose requests call ``decide``.
        context: columns of the context, like the load: a list of names, or a dict of names and edges of classes.
        name: the study's name; a study of this name is continued.
        storage: as for ``Tuner``.
        seat: the folder in which the applier keeps its state; by default below the user's home. One live study at a time
            may use it.
        seed: the seed of the sampler.
        tell: called with every alarm; by default, alarms go to stderr.
        settings: those of ``LivePlan`` (``window_s``, ``observe``, ``shares`` ...), and of the sampler ``live``
            (``tunable``, ``step``, ``safe`` ...).

    Raises:
        SpecError, SpaceError: an argument breaks a rule; the message has the rule, the value, and the way out.
        StudyExists: another process runs it, or another live study holds its seat.
    """

    def __init__(
        self,
        space: Any,
        *,
        goal: str | Goal,
        baseline: Mapping[str, Any],
        guards: Sequence[str] = (),
        applier: Applier | None = None,
        context: Sequence[str] | Mapping[str, Sequence[float] | None] = (),
        name: str = "live",
        storage: Any = None,
        seat: str | PathLike[str] | None = None,
        seed: int | None = None,
        sampler: Any = "live",
        tell: Callable[[str], object] | None = None,
        **settings: Any,
    ) -> None:
        self.name = check_name(name)
        _require_known(settings)
        options = {key: settings.pop(key) for key in _OF_THE_SAMPLER if key in settings}
        self.plan = LivePlan.of({**settings, "guards": guards, "context": context})
        patience_s = TERMS * self.plan.term_s
        _require_patience(applier, patience_s)
        self._storage: Storage = open_storage(storage, patience_s=patience_s)
        if "rules" not in settings and (rules := _rules_of(self._storage, name)) != RULES:
            self.plan = LivePlan.of({**settings, "guards": guards, "context": context, "rules": rules})
        made = _sampler(sampler, self.plan, options)
        known = Space.of(space)
        self._clock = WallClock()
        requests = RequestApplier(self._clock.now, patience_s) if applier is None else None
        self._requests = requests
        self._baseline = known.complete(baseline)
        self._seat = Seat(Path(seat) if seat is not None else default_seat(name))
        self._stored = StoredLive(name, self._storage, seat=self._seat.folder)
        self._stop = threading.Event()
        # Held by whoever uses the controller; ``tell``, which is called meanwhile, may freeze the system.
        self._turn = threading.RLock()
        self._has_stopped = False
        self._thread: threading.Thread | None = None
        spec = StudySpec(
            name=name,
            space=known,
            goals=(goal_of(goal),),
            sampler=registry.describe("sampler", made),
            seed=fresh_seed() if seed is None else whole("seed", seed, least=0),
            settings={"live": self.plan.to_json(), SEAT: str(self._seat.folder.absolute()), "runtime": "live"},
        )
        changes: Any = requests if requests is not None else applier
        seated = SeatedApplier(changes, self._seat, now=self._clock.now)
        self._open(spec, made, seated, tell or _to_stderr, has_seed=seed is not None)

    def _open(self, spec: StudySpec, sampler: Any, applier: Applier, tell: Any, *, has_seed: bool) -> None:
        """Create the study or take it up, and record the baseline."""
        bound_sampler(sampler, spec.space, spec.goals, spec.seed)  # refuses what does not fit, before the name is taken
        self._seat.hold(self.name, self._storage.url)
        try:
            self._journal = self._storage.journal(self.name, create=True, owner="hpo.Live")
        except BaseException:
            self._seat.let_go()
            raise
        try:
            first = next(iter(self._journal.read()), None)
            if first is None:
                first = StudyCreated(spec=spec.to_json(), at=self._clock.now())
                self._journal.append([first], expect=0)
            else:
                stored = registry.current_spec(stored_spec(first))
                spec = spec if has_seed else replace(spec, seed=stored.seed)
                spec.require_same(stored)
                _require_same_plan(self.name, self.plan, stored)
            self._take_seat_over(first.at, tell)
            self._controller = Controller(spec, self.plan, sampler, self._journal, applier, tell, now=self._clock.now)
            self._controller.open(self._clock.now())
            on_record = self._controller.fold.baseline
            if on_record is not None and on_record != self._baseline:
                tell(
                    f"the baseline on record is kept, {dict(on_record)}; set another with `raytune-hpo live baseline set`"
                )
            if on_record is None:
                self._controller.record_baseline(self._baseline, getpass.getuser(), self._clock.now())
            else:
                self._baseline = dict(on_record)
        except BaseException:
            self._journal.close()
            self._seat.let_go()
            raise

    def _take_seat_over(self, created_at: float, tell: Callable[[str], object]) -> None:
        """Leave aside what was left at the seat by another study, and for it."""
        before = self._seat.take_over(self.name, created_at)
        if before is None:
            return
        tell(f"the seat {self._seat.folder} was that of live study {before!r}, which does not run, and is taken over")
        for request in taken(self._seat.folder / "requests"):
            tell(f"{type(request).__name__} by {request.by} was left for {before!r}, and is not carried out")

    # -------------------------------------------------------------------------------------------- running

    def run(self, duration_s: float | None = None) -> None:
        """Tune until ``stop`` is called, or for ``duration_s`` seconds, and give heartbeats all the while.

        Raises:
            JournalError: decisions can no longer be written; the applier's watchdog restores the baseline.
        """
        begin = due = self._clock.now()
        while True:
            with self._turn:
                at = self._clock.now()
                # Within the lock, or a turn might begin after another thread has let the system go.
                if self._stop.is_set() or (duration_s is not None and at - begin >= duration_s):
                    break
                self._keep_baseline()  # before anything else is applied
                self._seat.give_heartbeat(at)
                if self._requests is not None:
                    self._requests.give_heartbeat(at)
                self._heed(at)
                if at >= due:
                    due = self._controller.turn(at)
            self._stop.wait(max(0.0, min(_POLL_S, due - self._clock.now())))

    def _keep_baseline(self) -> None:
        """Leave the baseline on record where it is found when the controller is gone."""
        if (baseline := self._controller.fold.baseline) is not None:
            self._seat.keep_baseline(baseline)
            self._baseline = dict(baseline)

    def _heed(self, at: float) -> None:
        """Carry out people's commands: the freeze flag at the applier, and requests."""
        flag, frozen = self._seat.frozen, self._controller.fold.frozen
        if flag is not None and frozen is None:
            said = Freeze(by=str(flag.get("by", "somebody")), reason=str(flag.get("reason", "")), at=at)
            self._controller.obey(said)
        for request in taken(self._seat.folder / "requests"):
            if isinstance(request, Freeze) and self._controller.fold.frozen is not None:
                continue  # the flag has frozen it already
            try:
                self._controller.obey(request)
            except (SpecError, SpaceError) as error:  # after any other, the controller cannot go on
                self._controller.tell(f"{type(request).__name__} was refused: {error}")

    def start(self) -> Live:
        """Run in a thread of this process, beside the service that calls ``decide``."""
        if self._thread is None:
            self._thread = threading.Thread(target=self.run, name=f"live {self.name}", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop tuning. The canary group goes back to what is promoted, which stays as it is.

        It waits for a turn that has begun; called again, it does nothing.

        Raises:
            JournalError: decisions can no longer be written; the applier's watchdog restores the baseline.
        """
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with self._turn:
            if self._has_stopped:
                return
            self._has_stopped = True
            try:
                self._controller.settle(self._clock.now())
                self._seat.forget_heartbeat()  # if settling has failed, the watchdog is to miss it
                if self._requests is not None:
                    self._requests.forget_heartbeat()
            finally:
                self._seat.let_go()
                self._journal.close()

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def decide(self, context: Mapping[str, float] | None = None) -> Choice:
        """A configuration for one request, as a context manager: ``with live.decide({"rps": 80}) as c: ...``.

        Takes microseconds: nothing is computed, written or sent. ``c.feedback(latency=...)`` records the outcome.

        Raises:
            HpoError: the system has an applier of its own, or the context is not made of finite numbers.
        """
        if self._requests is None:
            raise HpoError("decide is for studies without an applier, and this one has one; leave applier out")
        return self._requests.choose(self._baseline, context or {})

    # -------------------------------------------------------------------------------------------- people

    def status(self) -> LiveStatus:
        """The status of the study, from the journal."""
        return self._stored.status()

    def freeze(self, reason: str = "", by: str | None = None) -> None:
        """Stop all changes until ``thaw``; the canary group returns to what is promoted.

        Args:
            reason: why, for the journal.
            by: who is responsible; None: the user of this process. Both as for the methods below.
        """
        at, who = self._clock.now(), by or getpass.getuser()
        self._seat.freeze(who, reason, at)
        self._asked(Freeze(by=who, reason=reason, at=at))

    def thaw(self, by: str | None = None) -> None:
        """Allow changes again."""
        self._seat.thaw()
        self._asked(Thaw(by=by or getpass.getuser(), at=self._clock.now()))

    def roll_back(self, reason: str = "", by: str | None = None) -> None:
        """Apply the baseline everywhere, and discard all promoted configurations."""
        self._asked(SetBaseline(by=by or getpass.getuser(), at=self._clock.now(), reason=reason))

    def adopt(self, reason: str = "", by: str | None = None) -> None:
        """Make a manual change, for which the system was frozen, the baseline, and continue."""
        self._seat.thaw()
        self._asked(Adopt(by=by or getpass.getuser(), at=self._clock.now(), reason=reason))

    def replay(self) -> LiveReplay:
        """Compute all decisions again, and compare them with the journal."""
        return self._stored.replay()

    def _asked(self, request: Any) -> None:
        if self._thread is None:
            with self._turn:
                self._controller.obey(request)
        else:
            leave(self._seat.folder / "requests", request)


def _require_known(settings: Mapping[str, Any]) -> None:
    known = [f.name for f in fields(LivePlan)] + list(_OF_THE_SAMPLER)
    for key in settings:
        if key not in known:
            raise SpecError(f"Live has no setting {key!r}; {nearest(key, known)}")


def _require_patience(applier: Any, silent_s: float) -> None:
    """Refuse an applier that may wait so long for one change that the watchdog could not step in meanwhile."""
    if isinstance(applier, PullApplier) and applier.patience_s >= silent_s:
        raise SpecError(
            f"a PullApplier waits for a change for less than {TERMS} terms (term_s), after which the watchdog applies the "
            f"baseline, here {silent_s:g} s, got patience_s={applier.patience_s:g}; lower it, or begin a study with a "
            f"longer term_s"
        )


def _sampler(sampler: Any, plan: LivePlan, options: Mapping[str, Any]) -> Any:
    if sampler != "live":
        if options:
            raise SpecError(
                f"{', '.join(options)} are options of the sampler live, got sampler={sampler!r} beside them"
            )
        return registry.make("sampler", sampler)
    guards = [str(guard) for guard in plan.guards]
    newer = {"by_class": True, "beta": None} if plan.rules >= 2 else {}
    newest = {"shun_broken": True} if plan.rules >= 3 else {}
    made = {"name": "live", "context": list(plan.context), "guards": guards, **newer, **newest, **options}
    return registry.make("sampler", made)


def _rules_of(storage: Storage, name: str) -> int:
    """The version of the rules of a stored study; the newest one for a new study."""
    try:
        first = next(iter(storage.read(name)), None)
    except StudyNotFound:
        first = None
    if first is None:
        return RULES
    return LivePlan.stored(stored_spec(first).settings.get("live", {})).rules


def _require_same_plan(name: str, plan: LivePlan, stored: StudySpec) -> None:
    if "live" not in stored.settings:
        raise SpecMismatch(f"study {name!r} exists, and is not a live study; use another name")
    before, now = LivePlan.stored(stored.settings["live"]).to_json(), plan.to_json()
    for key, value in now.items():
        if before.get(key) != value:
            raise SpecMismatch(
                f"live study {name!r} was created with {key}={before.get(key)!r}, this run says {key}={value!r}; use "
                f"another name, or {key} as it was"
            )


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"raytune-hpo live: {text}\n")

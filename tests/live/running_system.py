"""A running system in virtual time, and samplers that say what a test wants them to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import raytune_hpo as hpo
from raytune_hpo.facts import StudyCreated
from raytune_hpo.goals import Goal
from raytune_hpo.journal.memory import MemoryStorage
from raytune_hpo.live.appliers import StaleChange
from raytune_hpo.live.controller import Controller
from raytune_hpo.live.messages import LiveCommand, SetBaseline
from raytune_hpo.live.plan import LivePlan
from raytune_hpo.protocols import Signal, Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.spec import Part, StudySpec

SPACE = hpo.Space({"threads": hpo.randint(1, 65), "timeout": hpo.uniform(0.0, 1.0)})
BASELINE = {"threads": 16, "timeout": 0.5}
SLOW = {"threads": 8, "timeout": 0.5}  # doubles p99
FAST = {"threads": 20, "timeout": 0.5}
START = 1_800_000_000.0


class System:
    """Two groups that run configurations, and answer with a cost and a p99 that has noise of 1 %."""

    def __init__(self, seed: int = 0) -> None:
        self.runs: dict[str, dict[str, Any]] = {"control": {}, "canary": {}}
        self.share = 0.0
        self.seq = -1
        self.log: list[tuple[str, dict[str, Any], int]] = []
        self.rps = 100.0
        self.cost: Callable[[Mapping[str, Any]], float] = lambda config: 200.0 - 4.0 * config["threads"]
        self.breaks: set[str] = set()  # of "apply", "read", "measure"
        self._seed, self._num_measured = seed, 0

    def split(self, share: float, seq: int) -> None:
        self._newer(seq)
        self.share = share

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        self._newer(seq)
        if "apply" in self.breaks:
            raise OSError("no route to host")
        self.runs[group] = dict(config)
        self.log.append((group, dict(config), seq))

    def read(self, group: str) -> Mapping[str, Any]:
        if "read" in self.breaks:
            return {"threads": 0, "timeout": 0.0}
        return self.runs[group]

    def measure(self, group: str, start: float, end: float) -> tuple[Mapping[str, float], Mapping[str, float]]:
        if "measure" in self.breaks:
            raise OSError("no metrics")
        self._num_measured += 1
        noise = 1.0 + 0.01 * derive(self._seed, "measure", self._num_measured).standard_normal(2)
        config = self.runs[group]
        p99 = 200.0 if config["threads"] < 12 else 100.0
        return {"cost": self.cost(config) * noise[0], "p99": p99 * noise[1]}, {"rps": self.rps}

    def _newer(self, seq: int) -> None:
        if seq < self.seq:
            raise StaleChange(f"fact {seq} is older than {self.seq}")
        self.seq = seq


class Scripted:
    """Suggests what it is given, one after the other; then it holds."""

    traits = Traits(reads_pending=False, reads_rng=False)

    def __init__(self, *, configs: tuple[Mapping[str, Any], ...] = ()) -> None:
        self.configs = configs
        self._tried = 0

    def bind(self, space: Any, goals: Any, seed: int) -> Scripted:
        return Scripted(configs=self.configs)

    def ask(self, number: int, pending: Any, rng: Any) -> Suggestion | Signal:
        if self._tried >= len(self.configs):
            return Signal.WAIT
        return Suggestion(self.configs[self._tried], meta={"why": "scripted"})

    def tell(self, trial: Any) -> None:
        self._tried += trial.is_suggested


class Story:
    """A live study of the system above, driven in virtual time."""

    def __init__(self, *configs: Mapping[str, Any], system: System | None = None, **settings: Any) -> None:
        given = {"guards": ["p99 <= 150"], "context": ["rps"], "window_s": 60.0, "observe": 5, "looks": [3, 6]}
        self.plan = LivePlan.of({**given, "changes_per_hour": 100, "exploration": 0.9, **settings})
        self.system = System() if system is None else system
        self.sampler = Scripted(configs=configs)
        self.spec = StudySpec(
            name="shop",
            space=SPACE,
            goals=(Goal("cost"),),
            sampler=Part(name="scripted"),
            settings={"live": self.plan.to_json()},
        )
        self.storage = MemoryStorage()
        self.at = START
        self.alarms: list[str] = []
        journal = self.storage.journal("shop", create=True, owner="me")
        journal.append([StudyCreated(spec=self.spec.to_json(), at=self.at)], expect=0)
        journal.close()
        self.start()
        self.obey(SetBaseline(config=BASELINE, by="ops", at=self.at))

    def start(self) -> None:
        """A controller that takes the study up from its facts."""
        self.journal = self.storage.journal("shop", create=False, owner="me")
        self.controller = Controller(self.spec, self.plan, self.sampler, self.journal, self.system, self.alarms.append)
        self.controller.open(self.at)

    def kill(self) -> None:
        """The controller is gone, and with it whatever it only remembered."""
        self.journal.close()

    @property
    def fold(self) -> Any:
        return self.controller.fold

    @property
    def facts(self) -> list[Any]:
        return list(self.storage.read("shop"))

    @property
    def state(self) -> str:
        return self.fold.state

    def obey(self, command: LiveCommand) -> None:
        self.controller.obey(command)

    def run(self, *, windows: float | None = None, until: str | None = None, most: int = 200) -> None:
        """Turn for so many windows, or until the study is in a state."""
        end = self.at + (most if windows is None else windows) * self.plan.window_s
        while self.at < end:
            self.at = max(self.at, self.controller.turn(self.at))
            if until is not None and self.state == until:
                return
        assert until is None, f"it never came to {until!r}, it is {self.state!r}: {self.alarms}"


class VirtualTime:
    """The clock of an ``hpo.Live`` and the event that ends it, in one: its loop waits in no time.

    Args:
        meanwhile: called whenever the loop waits.
    """

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.at = START
        self._meanwhile, self._is_set = meanwhile, False

    def now(self) -> float:
        return self.at

    def wait(self, timeout: float) -> None:
        self.at += max(timeout, 0.01)
        self._meanwhile()

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set


def lived(monkeypatch: Any, time: VirtualTime, **given: Any) -> hpo.Live:
    """An ``hpo.Live`` in virtual time."""
    monkeypatch.setattr("raytune_hpo.live.live.WallClock", lambda: time)
    monkeypatch.setattr("raytune_hpo.live.live._POLL_S", 30.0)
    settings = {
        "guards": ["p99 <= 150"],
        "context": ["rps"],
        "window_s": 60.0,
        "observe": 4,
        "looks": [2],
        "check_s": 30.0,
    }
    settings |= {"goal": "cost", "baseline": BASELINE, "name": "shop", "tell": lambda text: None, "exploration": 0.9}
    live = hpo.Live(SPACE, **{**settings, "changes_per_hour": 100, **given})
    live._stop = time  # type: ignore[assignment]
    return live


class Killed(BaseException):
    """A process is gone."""


class Fate:
    """Lets a process die when it touches the disk or the system for the so-manyth time.

    Args:
        is_after: whether the touch has had its effect by then.
    """

    def __init__(self, num: int, *, is_after: bool = False) -> None:
        self._left, self._is_after = num, is_after

    def touching(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def touch(*args: Any, **kwargs: Any) -> Any:
            self._left -= 1
            if self._left == 0 and not self._is_after:
                raise Killed
            made = function(*args, **kwargs)
            if self._left == 0:
                raise Killed
            return made

        return touch

    def over(self, owner: Any, *names: str) -> None:
        """Methods of an object that touch something."""
        for name in names:
            setattr(owner, name, self.touching(getattr(owner, name)))

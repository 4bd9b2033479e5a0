"""A live study with a story, in a storage that a server reads: a broken guard, a promotion, a freeze and a thaw."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import raytune_hpo as hpo
from raytune_hpo.facts import StudyCreated
from raytune_hpo.goals import Goal
from raytune_hpo.journal import open_storage
from raytune_hpo.live.controller import Controller
from raytune_hpo.live.messages import Freeze, SetBaseline, Thaw
from raytune_hpo.live.plan import LivePlan
from raytune_hpo.live.seat import Seat
from raytune_hpo.protocols import Signal, Suggestion, Traits
from raytune_hpo.rng import derive
from raytune_hpo.spec import Part, StudySpec

SPACE = hpo.Space({"threads": hpo.randint(1, 65), "timeout": hpo.uniform(0.0, 1.0)})
TRIED = ({"threads": 8, "timeout": 0.5}, {"threads": 20, "timeout": 0.5}, {"threads": 24, "timeout": 0.45})


class InTurn:
    """Suggests what the story needs, one after the other."""

    traits = Traits(reads_pending=False, reads_rng=False)

    def __init__(self, num_tried: int = 0) -> None:
        self._tried = num_tried

    def bind(self, space: Any, goals: Any, seed: int) -> InTurn:
        return InTurn()

    def ask(self, number: int, pending: Any, rng: Any) -> Suggestion | Signal:
        return Suggestion(TRIED[self._tried], meta={"safe": 0.97}) if self._tried < len(TRIED) else Signal.WAIT

    def tell(self, trial: Any) -> None:
        self._tried += trial.is_suggested


class Shop:
    """Doubles its p99 with few threads."""

    def __init__(self) -> None:
        self.runs: dict[str, Any] = {}
        self._num = 0

    def apply(self, config: Any, group: str, seq: int) -> None:
        self.runs[group] = dict(config)

    def read(self, group: str) -> Any:
        return self.runs[group]

    def measure(self, group: str, start: float, end: float) -> Any:
        self._num += 1
        noise = 1.0 + 0.01 * derive(0, "shop", self._num).standard_normal(2)
        threads, p99 = self.runs[group]["threads"], 200.0 if self.runs[group]["threads"] < 12 else 100.0
        rps = 110.0 + 0.002 * (start % 7_200.0)
        return {"cost": (200.0 - 4.0 * threads) * noise[0], "p99": p99 * noise[1]}, {"rps": rps}


def tell(storage: str, folder: Path, name: str, end: float, *, hours: float = 20.0, approve: bool = False) -> None:
    """Write the story of the hours up to a time."""
    plan = LivePlan.of({
        "guards": ["p99 <= 150", "p99 <= 1.3x"], "context": ["rps"], "observe": 6, "looks": [3, 6], "approve": approve,
        "changes_per_hour": 100, "exploration": 0.9, "check_s": 60.0,
    })  # fmt: skip
    spec = StudySpec(
        name=name, space=SPACE, goals=(Goal("cost"),), sampler=Part(name="live", options={"context": ["rps"]}),
        settings={"live": plan.to_json(), "seat": str(folder.absolute())},
    )  # fmt: skip
    seat, shop, store = Seat(folder), Shop(), open_storage(storage)
    journal = store.journal(name, create=True, owner="test")
    at = end - hours * 3_600.0
    journal.append([StudyCreated(spec=spec.to_json(), at=at)], expect=0)
    controller = Controller(spec, plan, InTurn(), journal, shop, lambda alarm: None)
    controller.open(at)
    controller.obey(SetBaseline(config={"threads": 16, "timeout": 0.5}, by="ops", at=at))
    seat.keep_baseline({"threads": 16, "timeout": 0.5})
    freeze_at = end - hours * 1_800.0
    while at < end:
        at = max(at, controller.turn(at))
        if at > freeze_at:
            controller.obey(Freeze(by="ann", reason="a sale", at=at))
            controller.obey(Thaw(by="bob", at=at + 1.0))
            freeze_at = math.inf
    journal.close()
    store.close()

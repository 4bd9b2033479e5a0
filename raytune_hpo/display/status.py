"""The table of statuses and verdicts: the word, mark and colour with which all displays show them.

Rows are found by the value of the enum (``Status.PRUNED`` is ``"pruned"``), since this package does not import trials. A
new status needs one row in ``STATUSES``, a new verdict one in ``VERDICTS``; lines, cards, figures and pages then show it.
The order of rows is the order of lists and stacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_hpo.display import colours as c


@dataclass(frozen=True, kw_only=True)
class StatusRow:
    """The look of one status.

    Attributes:
        word: for people, in counts and legends.
        mark: plotly's marker of its trials.
        line: plotly's line of its learning curves.
        fill: colour of areas that represent its trials; by default that of the mark.
        bright: colour that is readable on white and on black.
        at_rest: whether its trials have ended or are paused, so that they appear in the progress bar and in the histogram
            of durations.
        ends_early: whether learning curves of its trials end in a mark.
        drawn_as: the status under which figures of values draw its trials; by default itself.
        layer: figures of learning curves draw lower layers first.
    """

    word: str
    mark: Mapping[str, Any]
    line: Mapping[str, Any]
    bright: str
    fill: str = ""
    at_rest: bool = False
    ends_early: bool = False
    drawn_as: str = ""
    layer: int = 0

    @property
    def area(self) -> str:
        """The colour of areas."""
        return self.fill or str(self.mark["color"])


@dataclass(frozen=True, kw_only=True)
class VerdictRow:
    """The look of one verdict.

    Attributes:
        word: the effect on the trial, in a word for people.
        mark: plotly's marker of the report that received it; empty for none.
        bright: colour that is readable on white and on black.
    """

    word: str
    bright: str
    mark: Mapping[str, Any] = field(default_factory=dict)


_PRUNED_MARK = {"color": c.GREY, "symbol": "circle-open"}
_PAUSED_MARK = {"color": c.PURPLE, "symbol": "square-open"}

STATUSES: Mapping[str, StatusRow] = {
    "completed": StatusRow(
        word="completed",
        mark={"color": c.BLUE, "symbol": "circle", "opacity": 0.75},
        line={"color": c.PALE_BLUE, "width": 1.3},
        bright=c.BRIGHT_BLUE,
        at_rest=True,
        layer=3,
    ),
    "running": StatusRow(
        word="running",
        mark={"color": c.GREEN, "symbol": "diamond-open"},
        line={"color": c.GREEN, "width": 1.2},
        bright=c.BRIGHT_ORANGE,
        layer=2,
    ),
    "pruned": StatusRow(
        word="pruned",
        mark=_PRUNED_MARK,
        line={"color": c.PALE_GREY, "width": 1},
        bright=c.BRIGHT_GREY,
        fill="#b9bec7",
        at_rest=True,
        ends_early=True,
        layer=0,
    ),
    "paused": StatusRow(
        word="paused",
        mark=_PAUSED_MARK,
        line={"color": c.PALE_PURPLE, "width": 1},
        bright=c.BRIGHT_PURPLE,
        fill=c.FAINT_PURPLE,
        at_rest=True,
        layer=1,
    ),
    "failed": StatusRow(
        word="failed",
        mark={"color": c.RED, "symbol": "x"},
        line={"color": c.PALE_GREY, "width": 1, "dash": "dot"},
        bright=c.BRIGHT_RED,
        at_rest=True,
        ends_early=True,
        layer=1,
    ),
    "waiting": StatusRow(
        word="waiting",
        mark={"color": c.GREEN, "symbol": "diamond-tall-open"},
        line={"color": c.GREEN, "width": 1.2},
        bright=c.FAINT,
        drawn_as="running",
        layer=2,
    ),
}

# Completed trials that break an outcome constraint, where figures tell them from the others.
INFEASIBLE = StatusRow(
    word="breaks a constraint",
    mark={"color": c.RED, "symbol": "circle-x-open"},
    line={"color": c.PALE_GREY, "width": 1},
    bright=c.BRIGHT_RED,
)

VERDICTS: Mapping[str, VerdictRow] = {
    "continue": VerdictRow(word="continues", bright=c.BRIGHT_BLUE),
    "complete": VerdictRow(word="completed at its last step", bright=c.BRIGHT_BLUE),
    "pause": VerdictRow(word="paused", bright=c.BRIGHT_PURPLE, mark=_PAUSED_MARK),
    "stop": VerdictRow(word="stopped early", bright=c.BRIGHT_GREY, mark=_PRUNED_MARK),
}


def drawn_status(status: str) -> str:
    """The status under which figures of values draw trials of a status."""
    return STATUSES[status].drawn_as or status


def by_layer() -> list[str]:
    """The statuses that figures of learning curves distinguish, in the order in which they are drawn."""
    shown = [status for status, row in STATUSES.items() if not row.drawn_as]
    return sorted(shown, key=lambda status: STATUSES[status].layer)

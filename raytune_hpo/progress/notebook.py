"""Progress in a notebook: one display that is updated in place, by the waiting cell or by a background thread."""

from __future__ import annotations

import logging
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

from raytune_hpo.core.snapshot import Snapshot
from raytune_hpo.errors import HpoError
from raytune_hpo.progress.card import card, message_card
from raytune_hpo.progress.pace import Meter, Pace
from raytune_hpo.progress.words import line_of

_log = logging.getLogger("raytune_hpo")


class Card:
    """A study's card, updated in place by every front end that supports ``update_display_data``."""

    def __init__(self) -> None:
        self._id, self._last = f"raytune_hpo-{uuid.uuid4().hex}", ""

    def show(self, snapshot: Snapshot, rate: float | None, note: str = "") -> None:
        """Update the card if it looks different; the first time, put it below the running cell."""
        self._put(card(snapshot, rate, note), line_of(snapshot, rate))

    def say(self, text: str) -> None:
        """Show a sentence in the card's place."""
        self._put(message_card(text), text)

    def unsay(self) -> None:
        self._put("", "")

    def _put(self, text: str, plain: str) -> None:
        if text != self._last:
            shown: Any = sys.modules["IPython"].display
            both = {"text/html": text, "text/plain": plain}  # not every front end renders HTML
            shown.display(both, raw=True, display_id=self._id, update=bool(self._last))
            self._last = text

    def close(self, snapshot: Snapshot, rate: float | None) -> None:
        self.show(snapshot, rate)

    def forget_place(self) -> None:
        """Make the next ``show`` put the card below the running cell; older copies are updated with it."""
        self._last = ""


class Live:
    """A card that follows a study from a daemon thread, until the study has ended or ``stop`` is called.

    Args:
        look: returns the newest snapshot.
    """

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._look = look
        self._card, self._meter = Card(), Meter()
        self._lock = threading.Lock()  # a cell may show the card while the thread updates it
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._last: Snapshot | None = None

    def show(self) -> None:
        """Put the card below the running cell; it is updated there and where it was shown before."""
        snapshot = self._look()
        with self._lock:
            self._card.forget_place()
            self._update(snapshot)
        is_followed = self._thread is not None and self._thread.is_alive()
        if snapshot.status.is_running and not is_followed and not self._stopped.is_set():
            self._thread = threading.Thread(target=self._follow, name="raytune_hpo-card", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop updating the card, and leave it as it is."""
        self._stopped.set()

    def _follow(self) -> None:
        pace, is_running = Pace(), True
        try:
            while is_running and not self._stopped.wait(pace.pause_s):
                with pace:
                    snapshot = self._look()
                    with self._lock:
                        self._update(snapshot)
                is_running = snapshot.status.is_running
        except HpoError as error:
            if self._last is not None:  # the card itself shows why it no longer changes
                with self._lock:
                    self._card.show(self._last, None, note=str(error))
        except Exception:  # the kernel or Ray is shutting down: a card must not print a traceback into a user's cell
            _log.debug("a card is not updated any more", exc_info=True)

    def _update(self, snapshot: Snapshot) -> None:
        self._meter.note(snapshot.status.num_at_rest)
        self._last = snapshot
        self._card.show(snapshot, self._meter.rate())


def in_notebook() -> bool:
    """Whether an IPython kernel runs this; IPython is not imported to find out."""
    module: Any = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    # Jupyter, VS Code, Colab and Databricks name their shells differently; what they share is the kernel.
    return getattr(shell, "kernel", None) is not None

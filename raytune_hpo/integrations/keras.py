"""Keras: a callback that reports every epoch.

model.fit(X, y, validation_data=(X_valid, y_valid), callbacks=[reporter({"loss": "val_loss"})])
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_hpo.integrations.recording import require
from raytune_hpo.integrations.reporting import Metrics, Reporting, Save


def reporter(metrics: Metrics = None, *, every: int = 1, save: Save | None = None) -> Any:
    """A callback for ``Model.fit(callbacks=[...])``, with any backend.

    Args:
        metrics: which to report: all by default, a list of names such as "val_loss", or {your name: Keras' name}.
        every: the number of epochs from one report to the next; with ``validation_freq=2``, 2 or a multiple of it.
        save: ``save(model, folder)`` writes what the trial needs to resume; see ``hpo.report``. A resumed training counts
            its epochs from ``fit(initial_epoch=...)``, the ``step`` of its checkpoint.
    """
    require("keras", "keras")
    from keras.callbacks import Callback

    reporting = Reporting(metrics, every, save)

    class Reporter(Callback):  # type: ignore[misc]  # the library carries no types
        """Reports every epoch to the trial around it."""

        def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
            reporting(epoch + 1, logs or {}, self.model)

    return Reporter()

"""PyTorch Lightning: a callback that reports every epoch.

Trainer(max_epochs=20, callbacks=[reporter({"loss": "val_loss"})]).fit(module, train_loader, valid_loader)
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import Any

from raytune_hpo.integrations.recording import require
from raytune_hpo.integrations.reporting import Metrics, Reporting, Save

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")  # the same library under two names, which do not mix


def reporter(metrics: Metrics = None, *, every: int = 1, save: Save | None = None) -> Any:
    """A callback for a Trainer that trains in this process, on one device.

    An epoch is reported at its end, with the metrics logged in training and validation. If validation does not run in
    every epoch, epochs without it are not reported.

    Args:
        metrics: which to report: all by default, a list of logged names, or {your name: the logged name}.
        every: the number of epochs from one report to the next.
        save: ``save(trainer, folder)`` writes what the trial needs to resume; see ``hpo.report``. A training resumed with
            ``fit(ckpt_path=...)`` counts its epochs from there.
    """
    loaded = [name for name in _PACKAGES if name in sys.modules]
    found = [name for name in _PACKAGES if importlib.util.find_spec(name.partition(".")[0]) is not None]
    if not (loaded or found):
        require("lightning", "lightning")
    callback: Any = importlib.import_module([*loaded, *found, *_PACKAGES][0]).Callback
    reporting = Reporting(metrics, every, save)

    class Reporter(callback):  # type: ignore[misc]  # which of the two is known only now
        """Reports every epoch to the trial around it."""

        _is_validated = False

        def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
            self._is_validated = not trainer.sanity_checking

        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if self._is_validated or not trainer.enable_validation:
                reporting(trainer.current_epoch + 1, dict(trainer.callback_metrics), trainer)
            self._is_validated = False

    return Reporter()

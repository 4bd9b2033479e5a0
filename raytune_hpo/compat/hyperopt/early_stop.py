"""Early stopping of a search: hyperopt's own."""

from __future__ import annotations

from hyperopt.early_stop import no_progress_loss

__all__ = ["no_progress_loss"]

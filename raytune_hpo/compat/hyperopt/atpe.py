"""Adaptive TPE: hyperopt's own, with the packages that it needs."""

from __future__ import annotations

from hyperopt.atpe import suggest

__all__ = ["suggest"]

"""Annealing: hyperopt's own."""

from __future__ import annotations

from hyperopt.anneal import suggest

__all__ = ["suggest"]

"""Mixtures of algorithms: hyperopt's own, of which ours may be parts."""

from __future__ import annotations

from hyperopt.mix import suggest

__all__ = ["suggest"]

"""Mixtures of algorithms: hyperopt's own; this package's may be parts of them."""

from __future__ import annotations

from hyperopt.mix import suggest

__all__ = ["suggest"]

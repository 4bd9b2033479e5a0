"""Graphs of expressions: hyperopt's own."""

from __future__ import annotations

from hyperopt.pyll import Apply, Literal, as_apply, clone, dfs, rec_eval, scope, toposort

from raytune_hpo.compat.hyperopt.pyll import stochastic

__all__ = ["Apply", "Literal", "as_apply", "clone", "dfs", "rec_eval", "scope", "stochastic", "toposort"]

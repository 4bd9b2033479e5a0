"""The search object for scikit-learn: hyperopt's own, for ``algo=tpe.suggest`` of this package as well."""

from __future__ import annotations

from hyperopt.sklearn import HyperoptSearchCV

__all__ = ["HyperoptSearchCV"]

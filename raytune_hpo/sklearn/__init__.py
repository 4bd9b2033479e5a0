"""The face for scikit-learn: a search with cross-validation that stands where RandomizedSearchCV stood.

    search = hpo.sklearn.TunedSearchCV(estimator, distributions, n_iter=50, scheduler="asha", random_state=0)
    search.fit(X, y)

This process asks a ``Study`` for candidates and has their folds fitted as parallel calls (``runtime.calls``), on Ray by
default. What is taken from scikit-learn's private parts stands in ``borrowed.py``, and nowhere else.
"""

from raytune_hpo.sklearn.search import TunedSearchCV

__all__ = ["TunedSearchCV"]

"""Search with cross-validation for scikit-learn, a drop-in replacement for RandomizedSearchCV.

    search = hpo.sklearn.TunedSearchCV(estimator, distributions, n_iter=50, scheduler="asha", random_state=0)
    search.fit(X, y)

The calling process asks a ``Study`` for candidates and has their folds fitted as parallel calls (``runtime.calls``), on
Ray by default.

search          ``TunedSearchCV``: settings, the study, the refit
candidates      the loop: candidates, their fits, early stopping
folds           fitting and scoring one fold, in other processes
training        training at once, by ``partial_fit`` or by ``warm_start``
distributions   ``param_distributions`` as a space
table           ``cv_results_``
borrowed        the private parts of scikit-learn that are used, which no other module may touch
"""

from raytune_hpo.sklearn.search import TunedSearchCV

__all__ = ["TunedSearchCV"]

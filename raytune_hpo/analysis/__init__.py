"""Analysis of a study's trials: the best ones, the Pareto front, curves, importances, savings of early stopping.

Pure functions of trials and arrays. Losses are minimised, as everywhere inside; rows without a loss are NaN.
"""

"""What a study's trials say: the best, how it was found, the front, the curves, what stopping early saved.

Pure functions of trials and arrays. Losses are minimised, as everywhere inside; rows without a loss are NaN.
"""

"""The version of Optuna whose names and behaviour are those of this layer."""

__version__ = "5.0.0"

"""Runtimes: the worker loop, its messages to the optimizer, and two runtimes, local and simulated; Ray's is ``cluster``."""

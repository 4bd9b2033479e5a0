"""Compatibility layers: scripts that were written for other tuners run with a changed import."""

"""Compatibility: scripts that were written for other tuners, after one import line was changed."""

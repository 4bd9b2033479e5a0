"""Algorithms on arrays: arrays in, arrays out; nothing here knows a trial."""

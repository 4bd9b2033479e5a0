"""Numerical algorithms: arrays in, arrays out, without trials or spaces."""

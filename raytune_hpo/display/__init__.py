"""Formatting as text, HTML and SVG: functions of numbers and strings, independent of trials and goals."""

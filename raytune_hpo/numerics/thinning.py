"""Fewer of many, for pictures and messages whose size must not grow with the study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def steady(length: int, most: int) -> range:
    """At most ``most`` positions of a sequence that grows, evenly spread from the first on.

    The stride is a power of two: what is kept stays kept until the sequence has doubled, so that a picture which is drawn
    again and again does not flicker.
    """
    stride = 1
    while length > most * stride:
        stride *= 2
    return range(0, length, stride)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most ``most`` (>= 2) of the items in their order, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[round(index * (len(items) - 1) / (most - 1))] for index in range(most)]

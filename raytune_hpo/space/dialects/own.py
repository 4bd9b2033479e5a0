"""Spaces of this package nested inside another space."""

from __future__ import annotations

from typing import Any

from raytune_hpo.space.derived import unnumbered
from raytune_hpo.space.dialects import Foreign
from raytune_hpo.space.space import Space


def translate(thing: Any) -> Any:
    """The tree and the constraints of a Space."""
    return Foreign(unnumbered(thing.root), thing.constraints) if isinstance(thing, Space) else thing

"""Objects of this package that stand for spaces and domains."""

from __future__ import annotations

from typing import Any

from raytune_hpo.space.derived import unnumbered
from raytune_hpo.space.dialects import Foreign
from raytune_hpo.space.space import Space


def translate(thing: Any) -> Any:
    """The tree and the constraints of a Space; the domain of what has one, such as Optuna's distributions in ``compat``."""
    if isinstance(thing, Space):
        return Foreign(unnumbered(thing.root), thing.constraints)
    return thing.as_domain() if hasattr(type(thing), "as_domain") else thing

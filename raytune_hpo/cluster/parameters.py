"""Big arguments of an objective, sent to the cluster once."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

from raytune_hpo.errors import SpecError
from raytune_hpo.runtime.trial_run import Objective


class WithParameters:
    """An objective with some of its arguments filled in. On Ray these go through the object store, once per study."""

    def __init__(self, objective: Callable[..., Any], parameters: dict[str, Any]) -> None:
        self.objective, self.parameters = objective, parameters
        self.__name__ = getattr(objective, "__name__", type(objective).__name__)
        self.__doc__ = objective.__doc__

    def __call__(self, config: dict[str, Any]) -> Any:
        return self.objective(config, **self._values)

    def __repr__(self) -> str:
        return f"<{self.__name__} with {', '.join(self.parameters) or 'no parameters'}>"

    @functools.cached_property
    def _values(self) -> dict[str, Any]:
        """The arguments, without references: on Ray, workers have fetched the objects already; other runtimes do it here."""
        ray: Any = sys.modules.get("ray")
        if ray is None:  # nobody can have made a reference
            return self.parameters
        return {name: ray.get(v) if isinstance(v, ray.ObjectRef) else v for name, v in self.parameters.items()}


def with_parameters(objective: Callable[..., Any], **parameters: Any) -> Objective:
    """The objective with big arguments filled in: ``hpo.with_parameters(objective, X=X, y=y)``.

    They are put into Ray's object store once, and workers of one node share their memory: treat arrays as read-only. For an
    object that is there already, give its reference; the objective gets the object.

    Raises:
        SpecError: the objective cannot be called.
    """
    if not callable(objective):
        raise SpecError(f"an objective is a function of a configuration, got {objective!r}")
    return WithParameters(objective, parameters)

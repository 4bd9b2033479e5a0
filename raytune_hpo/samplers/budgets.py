"""The options of samplers that bring a scheduler with rungs."""

from __future__ import annotations

from raytune_hpo.errors import SpecError
from raytune_hpo.options import integer_option

LAST_STEP = "it is the last step of a trial, above min_steps"


def budget_options(name: str, max_steps: int | None, min_steps: int, eta: int) -> tuple[int, int, int]:
    """The options max_steps, min_steps and eta of a sampler, checked.

    Raises:
        SpecError: no max_steps, or not above min_steps; min_steps < 1; eta < 2.
    """
    if max_steps is None:
        raise SpecError(f'{name} needs max_steps, the last step of a trial: {{"name": "{name}", "max_steps": 81}}')
    eta = integer_option(name, "eta", eta, least=2)
    min_steps = integer_option(name, "min_steps", min_steps, least=1)
    return integer_option(name, "max_steps", max_steps, least=min_steps + 1, way_out=LAST_STEP), min_steps, eta

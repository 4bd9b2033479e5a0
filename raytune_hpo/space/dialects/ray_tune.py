"""ray.tune: its domains, ``grid_search`` and ``sample_from``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from raytune_hpo.errors import SpaceError
from raytune_hpo.space import constructors as ours
from raytune_hpo.space.functions import SampleFrom
from raytune_hpo.space.values import show


def translate(thing: Any) -> Any:
    """The translation of a ``ray.tune`` domain; any other object of Ray's is a constant."""
    if not any(kind.__module__.startswith("ray.tune.search.") for kind in type(thing).__mro__):
        return thing
    tune: Any = import_module("ray.tune.search.sample")

    if not isinstance(thing, tune.Domain):
        return thing
    if isinstance(thing, tune.Function):
        return SampleFrom(TuneFunction(thing.func))
    if isinstance(thing, tune.Categorical):
        return ours.grid_search(thing.categories) if thing.is_grid() else ours.choice(thing.categories)
    sampler = thing.get_sampler()
    q = None
    if isinstance(sampler, tune.Quantized):
        q, sampler = sampler.q, sampler.get_sampler()
    if isinstance(sampler, tune.Normal):
        return ours.randn(sampler.mean, sampler.sd) if q is None else ours.qrandn(sampler.mean, sampler.sd, q)
    kind = "int" if isinstance(thing, tune.Integer) else "float"
    scale = "log" if isinstance(sampler, tune.LogUniform) else "uniform"
    make = _MAKERS.get((kind, scale))
    if make is None or not isinstance(sampler, (tune.Uniform, tune.LogUniform)):
        raise SpaceError(f"ray.tune's {show(thing)} with sampler {sampler} is not known here; use one of ours")
    return make(thing.lower, thing.upper, q)


_MAKERS: dict[tuple[str, str], Callable[[Any, Any, Any], Any]] = {
    ("int", "uniform"): lambda lo, hi, q: ours.randint(lo, hi) if q is None else ours.qrandint(lo, hi, q),
    ("int", "log"): lambda lo, hi, q: ours.lograndint(lo, hi) if q is None else ours.qlograndint(lo, hi, q),
    ("float", "uniform"): lambda lo, hi, q: ours.uniform(lo, hi) if q is None else ours.quniform(lo, hi, q),
    ("float", "log"): lambda lo, hi, q: ours.loguniform(lo, hi) if q is None else ours.qloguniform(lo, hi, q),
}


class _Spec(dict[str, Any]):
    """A dict with its entries as attributes too, which functions given to ``tune.sample_from`` may rely on."""

    def __getattr__(self, name: str) -> Any:
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(name) from None
        return _Spec(value) if isinstance(value, dict) else value


@dataclass(frozen=True)
class TuneFunction:
    """A function given to ``tune.sample_from``: it takes nothing, the configuration, or a spec that has ``.config``."""

    function: Callable[..., Any]

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """The user's function, from which the name and digest are taken."""
        return self.function

    def __call__(self, config: dict[str, Any]) -> Any:
        try:
            inspect.signature(self.function).bind({})
        except TypeError:
            return self.function()
        try:
            return self.function(_Spec(config))
        except (AttributeError, KeyError) as error:
            # As in Ray, a function that fails with a configuration is called again in the older style.
            try:
                return self.function(_Spec(config=config))
            except (AttributeError, KeyError):
                raise error from None

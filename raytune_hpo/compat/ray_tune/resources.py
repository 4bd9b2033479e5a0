"""Resources of a trial as Ray's bundles, the first of which is for the trainable itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_hpo.compat.ray_tune.config import ScalingConfig
from raytune_hpo.compat.ray_tune.not_carried import warn_of_idle
from raytune_hpo.runtime.settings import checked_bundle

_OURS = {"CPU": "cpu", "GPU": "gpu"}
_THEIRS = {ours: theirs for theirs, ours in _OURS.items()}


class PlacementGroupFactory:
    """The resources of a trial as bundles, each of which is for one process.

    Args:
        bundles: such as ``[{"CPU": 1, "GPU": 0.5}]``.
        strategy: how bundles are spread over nodes; any but Ray's default has no effect, with a warning.

    Raises:
        ValueError: there are no bundles, one is no dict, or an amount is not valid.
    """

    def __init__(self, bundles: Sequence[Mapping[str, float]], strategy: str = "PACK", **options: Any) -> None:
        if not bundles or not all(isinstance(bundle, Mapping) for bundle in bundles):
            raise ValueError(
                f"a PlacementGroupFactory needs a list of bundles, such as [{{'CPU': 1}}], got {bundles!r}"
            )
        self.bundles = [_checked(bundle) for bundle in bundles]
        self.strategy = strategy
        warn_of_idle("PlacementGroupFactory", strategy=(strategy, "PACK"))

    @property
    def head_cpus(self) -> float:
        """The CPUs of the first bundle."""
        return self.bundles[0].get("CPU", 0.0)

    @property
    def head_bundle_is_empty(self) -> bool:
        """Whether the trainable itself needs nothing, and only its processes do."""
        return not self.bundles[0]

    @property
    def required_resources(self) -> dict[str, float]:
        """The sum of all bundles."""
        names = sorted({name for bundle in self.bundles for name in bundle})
        return {name: sum(bundle.get(name, 0.0) for bundle in self.bundles) for name in names}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroupFactory) and self.bundles == other.bundles

    def __hash__(self) -> int:
        return hash(repr(self.bundles))

    def __repr__(self) -> str:
        return f"PlacementGroupFactory({self.bundles!r})"


Request = Mapping[str, float] | PlacementGroupFactory | ScalingConfig | Callable[[dict[str, Any]], Any] | None


def resolved(request: Any, config: Callable[[], dict[str, Any]]) -> PlacementGroupFactory:
    """The resources that a script has requested.

    Args:
        request: as for ``with_resources``.
        config: returns a configuration of the space, for a request that depends on one.

    Raises:
        ValueError: the request is not one of these forms.
    """
    if callable(request):
        request = request(config())
    if request is None:
        return PlacementGroupFactory([{"CPU": 1}])
    if isinstance(request, ScalingConfig):
        return PlacementGroupFactory(request.bundles())
    if isinstance(request, Mapping):
        listed = {**request, **request.get("custom_resources", {})}
        listed.pop("custom_resources", None)
        return PlacementGroupFactory([listed])
    if hasattr(request, "bundles"):  # ours, or Ray's own
        return PlacementGroupFactory(request.bundles)
    raise ValueError(
        f"resources are a dict such as {{'cpu': 1}}, a PlacementGroupFactory or a function, got {request!r}"
    )


def _checked(bundle: Mapping[str, float]) -> dict[str, float]:
    """A bundle in Ray's words, without what it has none of."""
    checked = checked_bundle({_OURS.get(name, name): amount or 0 for name, amount in bundle.items()})
    return {_THEIRS.get(name, name): float(amount) for name, amount in checked.items() if amount}


def in_our_words(factory: PlacementGroupFactory) -> list[dict[str, float]]:
    """The bundles as ``hpo.Tuner`` takes them."""
    return [{_OURS.get(name, name): amount for name, amount in bundle.items()} for bundle in factory.bundles]

"""``ray.tune.utils``: the functions that scripts use."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from typing import Any

from raytune_hpo.compat.ray_tune.not_carried import stand_ins
from raytune_hpo.compat.ray_tune.trainable import Trainable
from raytune_hpo.compat.ray_tune.trial_folder import flattened as flatten_dict

__all__ = ["flatten_dict", "validate_save_restore", "wait_for_gpu"]


def validate_save_restore(
    trainable_cls: type[Trainable], config: Mapping[str, Any] | None = None, num_gpus: float = 0, **options: Any
) -> bool:
    """Check that a trainable class continues where it was saved: train, save, restore in another object, train.

    Raises:
        ValueError: it does not.
    """
    first = trainable_cls(config)
    for _ in range(3):
        first.train()
    with tempfile.TemporaryDirectory() as folder:
        first.save(folder)
        second = trainable_cls(config)
        second.restore(folder)
    if second.iteration != first.iteration:
        raise ValueError(f"a restored trainable is at iteration {first.iteration}, this one is at {second.iteration}")
    second.train()
    first.stop()
    second.stop()
    return True


def wait_for_gpu(*args: Any, **options: Any) -> bool:
    """Return at once, with a warning."""
    warnings.warn("wait_for_gpu does not look at GPUs here, and returns at once", stacklevel=2)
    return True


__getattr__ = stand_ins("ray.tune.utils", "leave it out")

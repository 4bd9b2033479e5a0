"""``ray.tune.registry``: trainables by name."""

from raytune_hpo.compat.ray_tune.prepared import register_env, register_trainable

__all__ = ["register_env", "register_trainable"]

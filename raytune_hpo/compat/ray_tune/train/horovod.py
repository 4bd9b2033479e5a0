"""``ray.train.horovod``: can be imported, but not used."""

from raytune_hpo.compat.ray_tune.not_carried import stand_ins

__getattr__ = stand_ins(
    "ray.train.horovod", "training with several workers stays with Ray Train, and its tuning with Ray Tune"
)

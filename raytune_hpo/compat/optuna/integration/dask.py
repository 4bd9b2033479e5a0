"""``DaskStorage``: studies that Dask's workers can be given; the process that makes it holds them."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.optuna.storages.places import BaseStorage, storage_of

__all__ = ["DaskStorage"]


class DaskStorage(BaseStorage):
    """Studies of this process, whose ``optimize`` may be submitted to workers of Dask, or to any process that unpickles it.

    Args:
        storage: where they are kept; None: in memory.
        name, client, register: of Dask's scheduler, which need not know of it.
    """

    is_shared = True

    def __init__(self, storage: Any = None, name: str | None = None, client: Any = None, register: bool = True) -> None:
        place = storage_of(storage)
        super().__init__(place.url)
        self.studies, self.on_left = place.studies, place.on_left

"""``DaskStorage``: studies that can be sent to Dask's workers; the process that creates it holds them."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.optuna.storages.places import BaseStorage, storage_of

__all__ = ["DaskStorage"]


class DaskStorage(BaseStorage):
    """Studies of this process whose ``optimize`` may be submitted to Dask's workers, or any process that unpickles it.

    Args:
        storage: where they are kept; None: in memory.
        name, client, register: for Dask's scheduler; without effect.
    """

    is_shared = True

    def __init__(self, storage: Any = None, name: str | None = None, client: Any = None, register: bool = True) -> None:
        place = storage_of(storage)
        super().__init__(place.url)
        self.studies, self.on_left = place.studies, place.on_left

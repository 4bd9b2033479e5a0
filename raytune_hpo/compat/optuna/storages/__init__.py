"""Storages, under Optuna's names."""

from __future__ import annotations

from typing import Any

from raytune_hpo.compat.optuna.exceptions import NotCarried
from raytune_hpo.compat.optuna.storages import journal
from raytune_hpo.compat.optuna.storages.journal import (
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
    JournalRedisBackend,
    JournalStorage,
)
from raytune_hpo.compat.optuna.storages.places import BaseStorage, InMemoryStorage, RDBStorage, storage_of
from raytune_hpo.compat.optuna.storages.retrying import RetryFailedTrialCallback, RetryHeartbeatStaleTrialCallback

__all__ = [
    "BaseStorage",
    "GrpcStorageProxy",
    "InMemoryStorage",
    "JournalFileBackend",
    "JournalFileOpenLock",
    "JournalFileStorage",
    "JournalFileSymlinkLock",
    "JournalRedisStorage",
    "JournalStorage",
    "RDBStorage",
    "RedisStorage",
    "RetryFailedTrialCallback",
    "RetryHeartbeatStaleTrialCallback",
    "fail_stale_trials",
    "get_storage",
    "journal",
    "run_grpc_proxy_server",
]

JournalFileStorage, JournalRedisStorage = JournalFileBackend, JournalRedisBackend  # their former names
RedisStorage = JournalRedisBackend  # what came before that


def get_storage(storage: Any) -> BaseStorage:
    """The storage of a URL; None for memory."""
    return storage_of(storage)


def fail_stale_trials(study: Any) -> None:
    """Does nothing: trials that a process left running fail when their study is opened again."""


class GrpcStorageProxy:
    """Not supported: processes on other machines take part as Ray workers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotCarried(
            "GrpcStorageProxy is not supported here; run trials on other machines with Study.optimize on Ray"
        )


def run_grpc_proxy_server(*args: Any, **kwargs: Any) -> None:
    """Not supported, see GrpcStorageProxy."""
    raise NotCarried("run_grpc_proxy_server is not supported here; `raytune-hpo serve` serves studies over HTTP")

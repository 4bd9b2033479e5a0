"""Creation of actors: packs this package, and creates shells with an object in them."""

from __future__ import annotations

import functools
import io
import os
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import ray
import ray.cloudpickle
from ray.exceptions import GetTimeoutError, RayError, RayTaskError

import raytune_hpo
from raytune_hpo.cluster import bootstrap
from raytune_hpo.errors import ClusterError, HpoError

NAMESPACE = "raytune_hpo"
pickler: Any = ray.cloudpickle  # it is untyped
OPTIMIZER, POOL, HOLDER = "optimizer", "pool", "holder"  # the roles of a study's named actors
WORKER, PREFETCHER, READER = "worker", "prefetcher", "reader"  # the roles of the other actors
HEAD = "node:__internal_head__"
MAX_INLINE = 60_000  # bytes; Ray keeps arguments below 100 kB with the actor, where a restart finds them
MAX_CALLS = 10_000  # at the same time, on actors that serve many
ANSWER_S = 900.0  # longer than a restarted optimizer waits for its journal; after that, the actor is taken for gone


@functools.cache
def package() -> tuple[str, bytes]:
    """This package: the digest of its files, and a zip file."""
    contents = bootstrap.contents_of(os.path.dirname(raytune_hpo.__file__))  # read once: somebody may be editing them
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(f"{bootstrap.PACKAGE}/{name}", content)
    return bootstrap.digest_of(contents), data.getvalue()


@functools.cache
def _shell(kind: type, role: str) -> Any:
    """The shell class of a role; Ray names processes after it. Not one per study: each class holds the package's bytes."""
    pickler.register_pickle_by_value(bootstrap)
    return ray.remote(type(role.capitalize(), (kind,), {"package": package(), "__module__": bootstrap.__name__}))


@functools.cache
def answering_task() -> Any:
    """``bootstrap.answer`` as a remote function: calls a function of this package, in a process that may be without it."""
    pickler.register_pickle_by_value(bootstrap)
    return ray.remote(bootstrap.answer)


def hire(
    role: str,
    target: str,
    args: Any,
    parcels: Sequence[Any] = (),
    *,
    needs: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
    serves_many: bool = False,
    **options: Any,
) -> Any:
    """Create an actor.

    Args:
        role: one of the roles above; the process's name.
        target: ``module:Class`` of the object in it.
        args: its positional arguments, pickled by ``packed``.
        parcels: further arguments that Ray itself must serialise, because they hold its references or handles; nothing in
            them may need this package.
        needs: modules to install by pip if they are missing, see ``bootstrap.install``.
        environ: variables set before anything is imported. Not by Ray's ``runtime_env={"env_vars": ...}``: that rules out
            the idle processes which Ray keeps ready, and starting one takes a second.
        serves_many: whether its methods are coroutines, and its ``run`` runs beside them.
        options: options of the Ray actor.
    """
    require_cluster()
    kind = bootstrap.AsyncShell if serves_many else bootstrap.Shell
    if serves_many:
        options["max_concurrency"] = MAX_CALLS
    shell = _shell(kind, role).options(**options)
    return shell.remote(target, args, list(parcels), dict(needs or {}), dict(environ or {}))


def actor_name(role: str, study: str) -> str:
    return f"{role}:{study}"


def find(role: str, study: str) -> Any:
    """The handle of a study's actor.

    Raises:
        ValueError: there is none.
        ClusterError: this process has left the cluster.
    """
    require_cluster()
    return ray.get_actor(actor_name(role, study), namespace=NAMESPACE)


def exists(role: str, study: str) -> bool:
    """Whether a study has a living actor of the role."""
    try:
        find(role, study)
    except ValueError:
        return False
    return True


def title(role: str, study: str) -> str:
    """The process title, as ``ps`` shows it after "ray::"."""
    return f"{role.capitalize()}:{study}"


def set_title(role: str, study: str) -> None:
    """Set the title of this process, if this version of Ray can do that."""
    untyped: Any = ray
    if hasattr(untyped._raylet, "setproctitle"):
        untyped._raylet.setproctitle(f"ray::{title(role, study)}")


def packed(*args: Any) -> bytes:
    data: bytes = pickler.dumps(args)
    return data


def get(ref: Any, timeout_s: float | None = None) -> Any:
    """``ray.get`` that raises our own errors as themselves.

    Raises:
        ClusterError: this process has left the cluster, before the call or during it.
    """
    require_cluster()
    try:
        return ray.get(ref, timeout=timeout_s)
    except RayTaskError as error:
        raise plain(error) from None
    except SystemExit as error:  # Ray's answer when another thread calls ray.shutdown(): the program would end silently
        if error.code != 0:
            raise
        require_cluster()
        raise


def require_cluster() -> None:
    """Refuse a call without a cluster, for which Ray would start another.

    Raises:
        ClusterError: this process has left the cluster.
    """
    if not ray.is_initialized():
        raise ClusterError("this process has left the cluster: ray.shutdown() was called")


def answer_of(ref: Any) -> Any:
    """``get`` with a timeout, for calls that are normally answered at once.

    Raises:
        ClusterError: there is no answer, for example because a node has died.
    """
    try:
        return get(ref, ANSWER_S)
    except GetTimeoutError as error:
        raise ClusterError(
            f"the cluster has not answered for {ANSWER_S / 60:.0f} minutes; "
            f"what was recorded is safe, run the study again to continue"
        ) from error


def plain(error: BaseException) -> BaseException:
    """Our own error inside an exception of Ray's, if there is one, or else that exception."""
    cause = error.cause if isinstance(error, RayTaskError) else None
    return cause if isinstance(cause, HpoError) else error


def is_gone(error: BaseException) -> bool:
    """Whether an exception of Ray's says that the actor is dead, rather than that its method raised."""
    return isinstance(error, RayError) and not isinstance(error, RayTaskError)


def was_restarted() -> bool:
    """Whether Ray has restarted the current actor after a crash."""
    with warnings.catch_warnings():  # Ray's own code calls what Ray has deprecated
        warnings.simplefilter("ignore")
        return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def on_head() -> dict[str, Any]:
    """Options that put an actor on the head node, and nowhere else."""
    return {"num_cpus": 0, "resources": {HEAD: 0.001}}

"""Shipping of objectives and other big objects: sent once, and kept by an actor that outlives the driver."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ObjectLostError, RayActorError

from raytune_hpo.cluster.parameters import WithParameters
from raytune_hpo.cluster.shells import HOLDER, MAX_INLINE, POOL, exists, find, get, pickler
from raytune_hpo.errors import ClusterError, SpecError
from raytune_hpo.runtime.trial_run import Objective

CODE = "code"
_OF_CLIENT = b"ray.util.client.common"  # the module of Ray Client's references and handles, useless in other processes


class Holder:
    """Owns a study's big objects, so that they outlive their driver and every restart. Runs in a Shell.

    Args:
        orphan_s: after so long without a call it ends, unless there is a pool: its driver died before creating one.
            None: it ends with its driver.
    """

    def __init__(self, study: str, orphan_s: float | None = None) -> None:
        self._study = study
        self._refs: dict[str, Any] = {}
        self._last_call: float | None = time.monotonic()  # None while one is being answered
        if orphan_s is not None:
            threading.Thread(target=self._end_as_orphan, args=(orphan_s,), daemon=True).start()

    def _end_as_orphan(self, orphan_s: float) -> None:
        while True:
            time.sleep(orphan_s / 4)
            if self.idle_s() > orphan_s and not exists(POOL, self._study):
                ray.kill(find(HOLDER, self._study))

    def idle_s(self) -> float:
        """Seconds since the last call."""
        last = self._last_call
        return 0.0 if last is None else time.monotonic() - last

    def keep(self, key: str, borrowed: list[Any]) -> None:
        """Put the value behind a driver's reference into the object store again, owned by this actor."""
        self._last_call = None
        try:
            self._refs[key] = ray.put(ray.get(borrowed[0]))
        finally:
            self._last_call = time.monotonic()

    def refs(self) -> dict[str, Any]:
        return self._refs

    def data(self, key: str) -> Any:
        return ray.get(self._refs[key])


class Keeper:
    """A driver's access to a study's Holder, which is created when it is first needed.

    Args:
        create: creates the Holder.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._holder: Any = None

    @property
    def is_used(self) -> bool:
        return self._holder is not None

    def keep(self, key: str, value: Any) -> None:
        """Have the Holder keep a value, or the value that a reference of Ray's leads to."""
        borrowed = value if isinstance(value, ray.ObjectRef) else ray.put(value)
        if self._holder is None:
            self._holder = self._create()
        try:
            get(self._holder.call.remote("keep", key, [borrowed]))
        except RayActorError as error:
            raise holder_lost() from error


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """An objective, packed for sending.

    Attributes:
        code: the pickled objective; None if it is big, and the holder has it.
        parameters: the names of the arguments of ``with_parameters``, which the holder has.
    """

    code: bytes | None
    parameters: tuple[str, ...] = ()


def pack_objective(objective: Any, keeper: Keeper) -> Parcel:
    """Pack an objective as a parcel; big objects go to the holder.

    Raises:
        SpecError: something in it cannot be sent to another process.
    """
    parameters: dict[str, Any] = {}
    if isinstance(objective, WithParameters):
        objective, parameters = objective.objective, objective.parameters
    code: bytes | None = _pickled(objective)
    for name, value in parameters.items():
        try:
            keeper.keep(f"parameter {name}", value)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            raise SpecError(
                f"parameter {name!r} cannot be sent to other processes: {_first_line(error)}; make it inside the objective"
            ) from error
    if code is not None and len(code) > MAX_INLINE:
        keeper.keep(CODE, code)
        code = None
    return Parcel(code=code, parameters=tuple(parameters))


def unpack_objective(parcel: Parcel, refs: Mapping[str, Any]) -> Objective:
    """The objective in a parcel, with its parameters.

    Raises:
        ClusterError: it cannot be imported here, or its data is gone.
    """
    try:
        data = parcel.code if parcel.code is not None else ray.get(refs[CODE])
        values = ray.get([refs[f"parameter {name}"] for name in parcel.parameters])
    except ObjectLostError as error:
        raise holder_lost() from error
    try:
        objective: Objective = pickler.loads(data)
    except Exception as error:
        raise ClusterError(cannot_load("the objective", error)) from error
    return WithParameters(objective, dict(zip(parcel.parameters, values, strict=True))) if values else objective


def cannot_load(what: str, error: Exception) -> str:
    """A message that says why workers cannot load something, and the way out."""
    return (
        f"workers cannot load {what}: {type(error).__name__}: {_first_line(error)}; what it imports must be installed on "
        f"every node, or sent there with ray.init(runtime_env={{'py_modules': [...], 'pip': [...]}})"
    )


def holder_lost() -> ClusterError:
    return ClusterError(
        "the objective or its parameters were lost with the process that held them; "
        "run the study again, and it continues where it stopped"
    )


def _pickled(objective: Any) -> bytes:
    try:
        data: bytes = pickler.dumps(objective)
    except Exception as error:  # pickling runs users' code, which may raise anything
        culprit = _culprit(objective)
        raise SpecError(
            f"the objective is sent to other processes, and {culprit or 'something in it'} cannot be sent "
            f"({_first_line(error)}); make it inside the objective, or pass what it is made from"
        ) from error
    if _OF_CLIENT in data:
        raise SpecError(
            f"over Ray Client, an objective cannot refer to actors or objects in Ray's store, and it refers to "
            f"{_culprit(objective) or 'one'}; make them its arguments, and give them by hpo.with_parameters"
        )
    return data


def _culprit(objective: Any) -> str | None:
    """The name of an object that cannot be sent, among those to which a function refers."""
    function = getattr(objective, "__func__", objective)
    code = getattr(function, "__code__", None)
    if code is None:
        held = vars(objective) if hasattr(objective, "__dict__") else {}
    else:
        cells = (cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell))
        held = {name: function.__globals__[name] for name in code.co_names if name in function.__globals__}
        held |= dict(zip(code.co_freevars, cells, strict=False))
    for name, value in held.items():
        try:
            can_be_sent = _OF_CLIENT not in pickler.dumps(value)
        except Exception:  # pickling runs users' code, which may raise anything
            can_be_sent = False
        if not can_be_sent:
            return f"{name!r} (a {type(value).__name__})"
    return None


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__

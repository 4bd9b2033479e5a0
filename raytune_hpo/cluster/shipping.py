"""How objectives and other big things travel: once, and kept by someone who stays."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ObjectLostError

from raytune_hpo.cluster.parameters import WithParameters
from raytune_hpo.cluster.shells import MAX_INLINE, get, pickler
from raytune_hpo.errors import ClusterError, SpecError
from raytune_hpo.runtime.trial_run import Objective

CODE = "code"


class Holder:
    """Owns the big things of a study, so that they outlive their driver and every restart. Lives in a Shell."""

    def __init__(self) -> None:
        self._refs: dict[str, Any] = {}

    def keep(self, key: str, borrowed: list[Any]) -> None:
        """Put the value behind a driver's reference again, as one's own."""
        self._refs[key] = ray.put(ray.get(borrowed[0]))

    def refs(self) -> dict[str, Any]:
        return self._refs

    def data(self, key: str) -> Any:
        return ray.get(self._refs[key])


class Keeper:
    """A driver's way to a study's Holder, which is created when there is something to hold.

    Args:
        create: creates it.
    """

    def __init__(self, create: Callable[[], Any]) -> None:
        self._create = create
        self._holder: Any = None

    @property
    def is_used(self) -> bool:
        return self._holder is not None

    def keep(self, key: str, value: Any) -> None:
        borrowed = ray.put(value)
        if self._holder is None:
            self._holder = self._create()
        get(self._holder.call.remote("keep", key, [borrowed]))


@dataclass(frozen=True, kw_only=True)
class Parcel:
    """An objective on its way.

    Attributes:
        code: pickled; None where it is big, and the holder has it.
        parameters: the names of what the holder has for ``with_parameters``.
    """

    code: bytes | None
    parameters: tuple[str, ...] = ()


def pack_objective(objective: Any, keeper: Keeper) -> Parcel:
    """The objective as a parcel; what is big goes to the holder.

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
    """Why workers cannot load something, and the way out."""
    return (
        f"workers cannot load {what}: {type(error).__name__}: {_first_line(error)}; what it imports must be installed on "
        f"every node, or sent there with ray.init(runtime_env={{'py_modules': [...], 'pip': [...]}})"
    )


def holder_lost() -> ClusterError:
    return ClusterError(
        "the objective or its parameters were lost with the process that held them; "
        "run the study again, and it goes on where it stopped"
    )


def _pickled(objective: Any) -> bytes:
    try:
        data: bytes = pickler.dumps(objective)
    except Exception as error:  # pickling runs strangers' code
        culprit = _culprit(objective)
        raise SpecError(
            f"the objective is sent to other processes, which {culprit or 'something in it'} does not allow "
            f"({_first_line(error)}); make it inside the objective, or pass what it is made from"
        ) from error
    return data


def _culprit(objective: Any) -> str | None:
    """The name of what cannot be pickled, among what a function refers to."""
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
            pickler.dumps(value)
        except Exception:  # whatever its pickling raises: this is the one
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

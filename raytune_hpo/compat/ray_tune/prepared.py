"""Trainables with parameters and resources: what ``with_parameters`` and ``with_resources`` return, in either order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from raytune_hpo.compat.ray_tune.error import NotCarried, TuneError
from raytune_hpo.compat.ray_tune.resources import resolved
from raytune_hpo.compat.ray_tune.trainable import Trainable

_FORMER = ("reporter", "checkpoint_dir")  # arguments of a function that Ray 1.x filled in
_registered: dict[str, Any] = {}


@dataclass(frozen=True)
class Prepared:
    """A trainable with its parameters and resources.

    Attributes:
        trainable: a function of a configuration, or a subclass of Trainable.
        parameters: keywords for the function, or for the class's ``setup``. On Ray they are sent once, by the object store.
        resources: see ``resources.resolved``; None: those that the trainable itself requests.
    """

    trainable: Callable[..., Any]
    parameters: dict[str, Any] = field(default_factory=dict)
    resources: Any = None

    @property
    def __name__(self) -> str:
        """The trainable's own name, after which its trials are named."""
        inner = getattr(self.trainable, "func", self.trainable)  # of a functools.partial
        return str(getattr(inner, "__name__", type(inner).__name__)).strip("<>")

    @property
    def is_class(self) -> bool:
        return isinstance(self.trainable, type) and issubclass(self.trainable, Trainable)

    @property
    def can_be_saved(self) -> bool:
        """Whether it is a class that defines ``save_checkpoint``."""
        return self.is_class and getattr(self.trainable, "save_checkpoint", None) is not Trainable.save_checkpoint

    @cached_property
    def former_arguments(self) -> tuple[str, ...]:
        """Which of ``reporter`` and ``checkpoint_dir`` the function takes, as in scripts for Ray 1.x."""
        try:
            names = list(inspect.signature(self.trainable).parameters)[1:]
        except (TypeError, ValueError):  # something built in
            return ()
        return tuple(name for name in _FORMER if name in names and name not in self.parameters)

    def check_arguments(self) -> None:
        """Check that a function can be called with a configuration and its parameters.

        Raises:
            TuneError: it takes others.
        """
        if self.is_class:
            return
        try:
            signature = inspect.signature(self.trainable)
        except (TypeError, ValueError):  # something built in
            return
        try:
            signature.bind({}, **dict.fromkeys((*self.former_arguments, *self.parameters)))
        except TypeError as error:
            raise TuneError(
                f"a function is called with a configuration, and with what with_parameters gives it, "
                f"{self.__name__}{signature} cannot be: {error}"
            ) from None

    def __call__(self, config: dict[str, Any]) -> Any:
        """Call the function, or create an object of the class."""
        if self.is_class:
            return self.trainable(config, parameters=self.parameters)
        return self.trainable(config, **self.parameters)


def prepared(trainable: Any) -> Prepared:
    """The ``Prepared`` form of anything that a script may give as a trainable.

    Raises:
        NotCarried: it is a Trainer of Ray Train, or the name of an algorithm of RLlib.
        TuneError: it cannot be run for another reason.
    """
    if isinstance(trainable, str):
        if trainable not in _registered:
            raise NotCarried(
                f"trainable {trainable!r} is not registered, and RLlib's algorithms have no counterpart here; "
                f"register it with tune.register_trainable, or run RLlib under Ray Tune"
            )
        trainable = _registered[trainable]
    if isinstance(trainable, Prepared):
        return trainable
    if isinstance(trainable, type) and not issubclass(trainable, Trainable):
        raise TuneError(f"a class to be trained is a subclass of tune.Trainable, got {trainable.__name__}")
    if not callable(trainable):
        raise NotCarried(
            f"a trainable is a function of a configuration or a subclass of tune.Trainable, got {trainable!r}; "
            f"what Ray Train trains with several workers stays with Ray Tune"
        )
    return Prepared(trainable)


def with_parameters(trainable: Any, **parameters: Any) -> Prepared:
    """The trainable with big arguments filled in: keywords of the function, or of the class's ``setup``."""
    made = prepared(trainable)
    return replace(made, parameters={**made.parameters, **parameters})


def with_resources(trainable: Any, resources: Any) -> Prepared:
    """The trainable with the resources that each of its trials needs.

    Args:
        resources: a dict such as ``{"cpu": 2, "gpu": 0.5}``, a PlacementGroupFactory, a ScalingConfig, or a function of a
            configuration, which is called at ``fit``; None: those that the trainable itself requests.

    Raises:
        ValueError: ``resources`` has another form.
    """
    if resources is not None and not callable(resources):
        resources = resolved(resources, dict)
    return replace(prepared(trainable), resources=resources)


def register_trainable(name: str, trainable: Any) -> None:
    """Register a trainable under a name."""
    _registered[name] = trainable


def register_env(name: str, env_creator: Any) -> None:
    """Not supported: environments belong to RLlib.

    Raises:
        NotCarried: always.
    """
    raise NotCarried(f"register_env({name!r}) is for RLlib, which has no counterpart here; run RLlib under Ray Tune")

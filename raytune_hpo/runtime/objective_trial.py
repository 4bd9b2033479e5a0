"""Define-by-run trials: an objective that defines its own space gets one, and asks it for parameters one by one.

The methods are Optuna's, for which most such objectives are written (Akiba, Sano, Yanase, Ohta, Koyama: Optuna, KDD 2019).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raytune_hpo.core.messages import Parameter
from raytune_hpo.errors import SpaceError, SpecError, TrialStopped, nearest
from raytune_hpo.metrics import json_value
from raytune_hpo.space.choices import Choice
from raytune_hpo.space.domain import Domain
from raytune_hpo.space.growing import domain_form, fits
from raytune_hpo.space.numeric import Float, Int
from raytune_hpo.space.values import show

_log = logging.getLogger("raytune_hpo")

Draw = Callable[[str, Mapping[str, Any]], Parameter]


class Parameters:
    """The parameters of one define-by-run trial: those suggested, and those asked for so far.

    Args:
        config: the suggested, or enqueued, values.
        known: the domains in which they were suggested, in their JSON form.
        draw: asks the optimizer for a parameter that is not in ``config``.
    """

    def __init__(self, config: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], draw: Draw) -> None:
        self._config, self._known, self._draw = config, known, draw
        self.asked: dict[str, Any] = {}

    def value(self, name: str, domain: Domain) -> Any:
        """The value of a parameter; the same each time it is asked for.

        Raises:
            SpaceError: the parameter had a domain of another kind before.
            TrialStopped: the trial has ended meanwhile.
        """
        if name in self.asked:
            return self.asked[name]
        form = domain_form(domain)
        if name in self._config and self._known.get(name) == form and fits(domain, self._config[name]):
            value = self._config[name]
        else:
            drawn = self._draw(name, form)
            if not drawn.is_held:
                raise TrialStopped("the trial has ended")
            if drawn.problem is not None:
                raise SpaceError(drawn.problem)
            value = drawn.value
        self.asked[name] = value
        return value

    def warn_of_unasked(self, number: int) -> None:
        """Warn of names in an enqueued point that the study does not know and the trial has not asked for: misspelt, say."""
        unasked = [name for name in self._config if name not in self.asked and name not in self._known]
        if unasked:
            _log.warning(
                "trial %d was enqueued with %s, which its objective has not asked for; %s",
                number,
                " and ".join(map(repr, unasked)),
                nearest(unasked[0], {*self.asked, *self._known}),
            )


class ObjectiveTrial:
    """A running trial, for an objective that defines its own space.

    Attributes:
        number: the trial's number, from 0.
        user_attrs: the attributes set by ``set_user_attr``.
    """

    def __init__(self, number: int, parameters: Parameters, report: Callable[[float, int], None]) -> None:
        self.number = number
        self.user_attrs: dict[str, Any] = {}
        self._parameters, self._report = parameters, report
        self._is_stopped = False

    @property
    def params(self) -> dict[str, Any]:
        """The parameters asked for so far, in that order."""
        return dict(self._parameters.asked)

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """A float from low to high, both included.

        Args:
            name: the parameter's name; asked for again, it has the same value.
            low, high: the bounds.
            step: only low, low + step, ... up to high; None: any number.
            log: uniform in the logarithm; low must be above 0.

        Raises:
            SpaceError: the range is not valid, or the parameter was of another kind before.
        """
        return float(self._parameters.value(name, Float(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """A whole number from low to high, both included. The arguments are those of ``suggest_float``.

        Raises:
            SpaceError: the range is not valid, or the parameter was of another kind before.
        """
        return int(self._parameters.value(name, Int(low, high, log=log, step=None if step == 1 else step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices: text, numbers, booleans or None.

        Raises:
            SpaceError: one of the choices is something else.
        """
        for choice in choices:
            if choice is not None and not isinstance(choice, (bool, int, float, str)):
                raise SpaceError(
                    f"choices are text, numbers, booleans or None, got {show(choice)} for {name!r}; "
                    f"choose among names, and look up what they stand for"
                )
        return self._parameters.value(name, Choice(choices))

    def report(self, value: float, step: int) -> None:
        """Report the metric at a step; afterwards ``should_prune`` has the scheduler's verdict.

        Raises:
            TrialStopped: the trial was stopped at an earlier report, or has ended.
        """
        if self._is_stopped:
            raise TrialStopped("the trial was stopped at an earlier report")
        try:
            self._report(value, step)
        except TrialStopped:
            self._is_stopped = True

    def should_prune(self) -> bool:
        """Whether the scheduler has stopped the trial: raise ``hpo.TrialStopped``, or return."""
        return self._is_stopped

    def set_user_attr(self, key: str, value: Any) -> None:
        """Set an attribute of the trial, which is journalled when the trial ends.

        Raises:
            SpecError: JSON cannot hold the value.
        """
        try:
            self.user_attrs[key] = json_value(value)
        except TypeError as error:
            raise SpecError(f"a note about a trial is JSON, got {show(value)} for {key!r}; {error}") from None

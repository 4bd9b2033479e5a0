"""Cases: checks bound to their arguments, which return or raise an AssertionError that names the broken rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


def case(check: Callable[..., None], *arguments: Any) -> Callable[[], None]:
    """The check of these arguments; whatever else it raises becomes an AssertionError with the rule from its docstring."""
    return partial(_run, check, *arguments)


def _run(check: Callable[..., None], *arguments: Any) -> None:
    rule = " ".join((check.__doc__ or check.__name__).split())
    try:
        check(*arguments)
    except AssertionError as error:
        if not str(error):
            raise AssertionError(rule) from error
        raise
    except Exception as error:
        raise AssertionError(f"{rule} It ended with {error!r}") from error

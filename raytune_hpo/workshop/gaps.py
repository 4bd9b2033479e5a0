"""Gaps of an exercise: placeholders for code that the reader has not written yet, and the comparison of answers."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from raytune_hpo.errors import HpoError


class YourTurn(HpoError):
    """An exercise needs the value of a gap that its reader has not filled yet."""

    def __init__(self, hint: str) -> None:
        super().__init__(hint)
        self.hint = hint

    def __str__(self) -> str:
        return f"this gap is not filled yet: {self.hint}"


def your_turn(hint: str) -> Any:
    """A gap: a value that raises YourTurn, with this hint, as soon as it is used."""
    return _Gap(hint)


def is_close(answer: Any, expected: Any, *, within: float = 1e-8) -> bool:
    """Whether an answer consists of the expected numbers, up to rounding and ``within``.

    False, too, for what is no number and for what has another shape, where ``np.allclose`` raises an error: for the None
    of a function without a return, for example.

    Raises:
        YourTurn: the answer is, or contains, a gap.
    """
    try:
        return bool(np.allclose(np.asarray(answer, dtype=float), expected, atol=within))
    except (TypeError, ValueError) as error:
        if isinstance(error.__cause__, YourTurn):
            raise error.__cause__ from None
        return False


# Methods that Python looks up on the type of a value rather than on the value, and numpy's protocols.
_SPECIAL = """
    repr str format bytes hash bool len length_hint iter next reversed contains getitem setitem delitem call
    lt le eq ne gt ge add sub mul matmul truediv floordiv mod divmod pow lshift rshift and or xor
    radd rsub rmul rmatmul rtruediv rfloordiv rmod rdivmod rpow rlshift rrshift rand ror rxor
    neg pos abs invert int float complex index round trunc floor ceil
    enter exit aenter aexit await aiter anext fspath dir copy deepcopy reduce reduce_ex
    array array_ufunc
"""


class _Gap:
    """A placeholder whose every use raises YourTurn."""

    __slots__ = ("_hint",)

    def __init__(self, hint: str) -> None:
        object.__setattr__(self, "_hint", hint)

    def __getattribute__(self, name: str) -> NoReturn:
        raise YourTurn(object.__getattribute__(self, "_hint"))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        _use(self)

    def __delattr__(self, name: str) -> NoReturn:
        _use(self)


def _use(gap: Any, *_: object, **__: object) -> NoReturn:
    raise YourTurn(object.__getattribute__(gap, "_hint"))


for _name in _SPECIAL.split():
    setattr(_Gap, f"__{_name}__", _use)

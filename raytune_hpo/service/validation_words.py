"""Words for what pydantic refuses: the rule, what is allowed, and what came instead."""

from __future__ import annotations

from typing import Any

from pydantic_core import ErrorDetails

from raytune_hpo.display.text import number, short

_WHOLE, _NUMBER, _TEXT = "must be a whole number", "must be a number", "must be text"
_OBJECT, _LIST, _EITHER = "must be an object", "must be a list", "must be true or false"
_LONG = "must have a length of at "
_RULES = {  # the type of an error: the rule, with values of the error's context
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must have as {discriminator} one of {expected_tags}",
    "union_tag_not_found": "must have a {discriminator}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_from_float": _WHOLE,
    "int_parsing_size": "must be a whole number of fewer digits",
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": "must be a finite number",
    "bool_type": _EITHER,
    "bool_parsing": _EITHER,
    "string_type": _TEXT,
    "string_unicode": "must be text without lone surrogates",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "dict_type": _OBJECT,
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": _LONG + "least {min_length}",
    "string_too_long": _LONG + "most {max_length}",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": _LONG + "least {min_length}",
    "too_long": _LONG + "most {max_length}",
}


def in_words(error: ErrorDetails) -> str:
    """What follows the name of the field that pydantic refuses: ``must be at least 1; got 0``."""
    if error["type"] == "missing":
        return "must be there"
    if error["type"] not in _RULES:
        return error["msg"]
    told = {name: number(v) if isinstance(v, float) else v for name, v in error.get("ctx", {}).items()}
    return f"{_RULES[error['type']].format(**told)}; got {_shown(error['input'])}"


def _shown(value: Any) -> str:
    """What came, as JSON names it."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return short(repr(value), 60) if isinstance(value, (str, list, dict)) else short(value)

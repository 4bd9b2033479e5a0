"""Names in paths: a parameter of a route is a whole segment of the path, percent-encoded where the route's URL is made."""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor


class Segment(Convertor[str]):
    """A name as one segment of a path, whatever its characters."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("segment", Segment())


def with_segments(path: str) -> str:
    """A route's path whose parameters without a convertor are segments."""
    return re.sub(r"\{(\w+)\}", r"{\1:segment}", path)

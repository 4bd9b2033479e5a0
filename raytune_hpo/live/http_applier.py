"""Applier over HTTP, and a meter that queries Prometheus."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from raytune_hpo.display.text import cut
from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.live.appliers import SHOWN, Measurement, StaleChange, json_said
from raytune_hpo.live.file_applier import Meter
from raytune_hpo.options import positive

_CONFLICT = 409


class HttpApplier:
    """Sends configurations by PUT to ``URL/config?group=``, and reads them back from there.

    The body of the PUT is ``{"config": {...}, "seq": n}``, with ``"share"`` for the canary group; 409 refuses a stale
    change. GET answers the configuration. Without a meter, ``URL/measure?group=&start=&end=`` answers
    ``{"metrics": {...}, "context": {...}}``.

    Args:
        url: the ``URL`` above, such as ``http://localhost:8080/tuning``.
        meter: measures the groups; None: the URL is asked.
        token: sent as a bearer token.
        timeout_s: the seconds after which a request has failed.

    Raises:
        SpecError: the URL is not http or https, or the time-out not above 0.
    """

    def __init__(
        self, url: str, *, meter: Meter | None = None, token: str | None = None, timeout_s: float = 10.0
    ) -> None:
        self._url, self._meter, self._timeout_s = _checked_url(url), meter, positive("timeout_s", timeout_s)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._share, self._newest = 0.0, -1  # the seq of the newest change

    def split(self, share: float, seq: int) -> None:
        """Keep the share, which is sent with the canary group's next configuration."""
        if seq < self._newest:
            raise StaleChange(f"{self._url} has got change {self._newest}, which is newer than a split with seq {seq}")
        self._share = share

    def apply(self, config: Mapping[str, Any], group: str, seq: int) -> None:
        """PUT the configuration."""
        body: dict[str, Any] = {"config": dict(config), "seq": seq}
        if group == "canary":
            body["share"] = self._share
        _called(self._address("config", group=group), self._headers, self._timeout_s, body)
        self._newest = max(self._newest, seq)

    def read(self, group: str) -> Mapping[str, Any]:
        """GET the configuration."""
        found: Mapping[str, Any] = _called(self._address("config", group=group), self._headers, self._timeout_s)
        return found

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """Measure with the meter, or GET the measurements."""
        if self._meter is not None:
            return self._meter.measure(group, start, end)
        address = self._address("measure", group=group, start=start, end=end)
        said = _called(address, self._headers, self._timeout_s)
        return said.get("metrics", {}), said.get("context", {})

    def _address(self, path: str, **query: Any) -> str:
        return f"{self._url}/{path}?{urlencode(query)}"


class PrometheusMeter:
    """Measures by queries to Prometheus, each of which must return one number: a scalar, or a vector of one series.

    Args:
        url: Prometheus's own, such as ``http://localhost:9090``.
        queries: queries by metric. ``{group}`` and ``{window}`` in them are replaced, the latter by the time that is
            measured, like ``300s``, or ``250ms`` below a second; each is evaluated at the window's end.
        context: queries by column of the context.
        timeout_s: the seconds after which a query has failed.

    Raises:
        SpecError: the URL is not http or https, there is no query, one is not text, or the time-out is not above 0.
    """

    def __init__(
        self,
        url: str,
        queries: Mapping[str, str],
        context: Mapping[str, str] | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> None:
        if not queries:
            raise SpecError("a meter asks Prometheus at least one query, got none; name one for each metric")
        if not isinstance(queries, Mapping) or not isinstance(context or {}, Mapping):
            raise SpecError(f"queries are by metric, those of the context by column, got {queries!r} and {context!r}")
        for name, query in [*queries.items(), *(context or {}).items()]:
            if not isinstance(query, str):
                raise SpecError(f"a query of Prometheus is text, got {name} = {query!r}")
        self._url, self._queries, self._context = _checked_url(url), dict(queries), dict(context or {})
        self._timeout_s = positive("timeout_s", timeout_s)

    def measure(self, group: str, start: float, end: float) -> Measurement:
        """The results of all queries. Those without a result are left out; so are those with several, with a warning.

        Raises:
            HpoError: Prometheus cannot be reached, refuses a query, or answers no number.
        """
        window = f"{round(end - start)}s" if end - start >= 1.0 else f"{math.ceil(1_000 * (end - start))}ms"

        def asked(queries: Mapping[str, str]) -> dict[str, float]:
            found = {}
            for name, query in queries.items():
                words = {"query": query.replace("{group}", group).replace("{window}", window), "time": f"{end:.3f}"}
                said = _called(f"{self._url}/api/v1/query?{urlencode(words)}", {}, self._timeout_s)
                if (value := _number(name, words["query"], said)) is not None:
                    found[name] = value
            return found

        return asked(self._queries), asked(self._context)


def _number(name: str, query: str, said: Mapping[str, Any]) -> float | None:
    """The number in Prometheus's answer to a query; None if there is none, or no single one."""
    if said.get("status") == "error":
        raise HpoError(f"Prometheus refuses the query of {name}, {query}: {cut(str(said.get('error')), SHOWN)}")
    try:
        result = said["data"]["result"]
        if said["data"].get("resultType") == "scalar":
            return float(result[1])
        numbers = [float(series["value"][1]) for series in result]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise HpoError(
            f"a query of Prometheus gives a scalar, or a vector of one series; {query}, of {name}, gave "
            f"{cut(json.dumps(said, ensure_ascii=False), SHOWN)}"
        ) from error
    if len(numbers) > 1:
        warnings.warn(
            f"{name} is left out: {query} gives {len(numbers)} series instead of one; aggregate them, like sum(...)",
            stacklevel=2,
        )
    return numbers[0] if len(numbers) == 1 else None


def _checked_url(url: Any) -> str:
    if not isinstance(url, str) or urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).netloc:
        raise SpecError(f'an address is like "http://localhost:9090", got {url!r}')
    return url.rstrip("/")


def _called(address: str, headers: Mapping[str, str], timeout_s: float, body: Any = None) -> dict[str, Any]:
    """Send a request, and return the answer, a JSON object.

    Raises:
        StaleChange: the server refuses a change because it has seen a newer one.
        HpoError: the server cannot be reached, refuses, or answers something else.
    """
    data = None if body is None else json.dumps(body).encode()
    request = Request(address, data, {"Content-Type": "application/json"}, method="PUT" if data else "GET")
    for name, value in headers.items():
        request.add_unredirected_header(name, value)  # the token is for this address, and none to which it leads on
    try:
        with urlopen(request, timeout=timeout_s) as answer:
            text = answer.read().decode(errors="replace")
    except HTTPError as error:
        if error.code == _CONFLICT and body is not None:
            raise StaleChange(f"{address} has seen a newer change; stop one of the controllers") from error
        reason = cut(error.read().decode(errors="replace").strip(), SHOWN)
        raise HpoError(f"{address} refuses with {error.code}: {reason or error.reason}") from error
    except (OSError, HTTPException) as error:
        raise HpoError(f"{address} cannot be reached: {error}") from error
    return json_said(f"{address} answers", text) if text.strip() else {}

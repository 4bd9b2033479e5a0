"""Behind a proxy that ends https and takes a prefix off: addresses, cookies and streams are those that the browser needs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.service.conftest import Server

HOST, PREFIX = "hpo.example.org", "/tuning"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    own = Server(tmp_path_factory.mktemp("proxied"), "--root-path", PREFIX, "--https", "--allowed-host", HOST)
    own.start()
    yield own
    own.stop()


@pytest.fixture(scope="module")
def proxied(server: Server) -> Iterator[httpx.Client]:
    """A browser's requests, as the proxy passes them on; it has logged in by the link."""
    headers = {"Host": HOST, "Sec-Fetch-Site": "same-origin"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=40) as client:
        assert server.link.startswith(f"http://127.0.0.1:{server.port}{PREFIX}/?token=")
        answer = client.get("/", params={"token": server.link.partition("token=")[2]})
        assert (answer.status_code, answer.headers["location"]) == (303, f"{PREFIX}/")
        name, _, rest = answer.headers["set-cookie"].partition("=")
        value, _, flags = rest.partition("; ")
        assert name == "__Host-raytune_hpo"
        assert {flag.lower() for flag in flags.split("; ")} >= {"httponly", "secure", "path=/", "samesite=strict"}
        client.cookies.clear()
        client.headers["Cookie"] = f"{name}={value}"
        yield client


@pytest.mark.parametrize("path", ["/", "/studies/s", "/studies/s/trials", "/studies/s/figures", "/new", "/tokens"])
def test_every_address_of_a_page_has_the_prefix(server: Server, proxied: httpx.Client, path: str) -> None:
    space = {"x": {"type": "float", "low": 0, "high": 1}}
    assert proxied.post("/v1/studies", json={"name": "s", "space": space, "seed": 1}).status_code in (200, 201)
    page = proxied.get(path)
    assert page.status_code == 200, page.text
    own = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
    assert own and all(address.startswith(f"{PREFIX}/") for address in own)
    for address in {address for address in own if "/static/" in address}:
        assert proxied.get(address.removeprefix(PREFIX)).status_code == 200


def test_workers_are_told_the_address_outside_of_the_proxy(proxied: httpx.Client) -> None:
    assert f"https://{HOST}{PREFIX}" in proxied.get("/new/workers").text


def test_problems_and_streams_pass_the_proxy(proxied: httpx.Client) -> None:
    assert proxied.get("/v1/studies/none").json()["type"] == f"{PREFIX}/problems/not-found"
    assert "'a/b'" in proxied.get("/v1/studies/a%2Fb").json()["detail"]
    with proxied.stream("GET", "/v1/studies/s/events") as stream:
        assert stream.headers["x-accel-buffering"] == "no"


def test_a_head_that_is_far_too_large_is_refused(proxied: httpx.Client) -> None:
    with contextlib.suppress(httpx.TransportError):  # it may be refused before it has been sent
        assert proxied.get("/v1/me", headers={"X-More": "a" * 300_000}).status_code == 400
    assert proxied.get("/v1/me").status_code == 200

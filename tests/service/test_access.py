"""Who may do what, and from where: every route, every role, strange hosts, other sites, secrets."""

from __future__ import annotations

import os
import stat
from urllib.parse import quote

import httpx
import pytest

from raytune_hpo.errors import HpoError, SpecError
from raytune_hpo.service.access import RateLimit
from raytune_hpo.service.app import ENDPOINTS
from raytune_hpo.service.guards import allowed_hosts
from raytune_hpo.service.tokens import ROLES, TokenStore

NAMES = {
    "study": "guarded",
    "number": "0",
    "position": "0",
    "lease": "none",
    "token": "none",
    "figure": "history",
    "worker": "none",
    "job": "none",
    "dataset": "none",
}


@pytest.fixture(scope="module")
def study(server):
    return server.create("guarded", limits={"num_trials": 1_000})


def asked(server, endpoint, role):
    path = endpoint.path.format(**NAMES)
    api = server.api(role)
    if endpoint.media == "text/event-stream":
        with api.stream(endpoint.method, path) as stream:
            return stream.status_code
    return api.request(endpoint.method, path, json={} if endpoint.body else None).status_code


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.name)
def test_every_route_asks_for_its_role(server, study, endpoint):
    if endpoint.name == "stop_study":
        pytest.skip("it would end the study of the others; see test_http_workers")
    assert asked(server, endpoint, "") == 401
    for role in ROLES:
        status = asked(server, endpoint, role)
        is_enough = ROLES.index(role) >= ROLES.index(endpoint.role)
        assert (status not in (401, 403)) == is_enough, (role, status)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "/v1/studies",
        "/v1/studies/guarded/events",
        "/v1/datasets",
        "/healthz",
        "/",
        "/new/table",
        "/tokens",
        "/static/hpo.js",
        "/problems/invalid",
    ],
)
def test_a_strange_host_gets_nothing_whatever_the_method(server, study, method, path):
    headers = {"Host": f"evil.example:{server.port}", "Authorization": f"Bearer {server.secrets['admin']}"}
    answer = httpx.request(method, f"{server.url}{path}", headers=headers)
    assert answer.status_code == 400
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:1", "localhost.evil:{port}", "127.0.0.1:{port}@evil", "[::1]"]
)
def test_a_host_is_compared_whole_with_its_port(server, host):
    answer = httpx.get(f"{server.url}/healthz", headers={"Host": host.format(port=server.port)})
    assert answer.status_code == 400


def test_hosts_that_the_starter_names_are_answered():
    assert {"hpo.example", "hpo.example:8270", "other:443"} < allowed_hosts(8270, ["hpo.example", "other:443"])
    with pytest.raises(SpecError, match="an allowed host is a name"):
        allowed_hosts(1, ["*"])


def test_every_answer_has_the_headers_that_hold_browsers_back(server):
    for path in ("/healthz", "/v1/studies", "/v1/nothing"):
        headers = httpx.get(f"{server.url}{path}").headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers


@pytest.fixture(scope="module")
def cookie(server, study):
    answer = httpx.get(server.link)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    said = answer.headers["set-cookie"].lower()
    assert "httponly" in said and "samesite=strict" in said and "path=/" in said
    return answer.headers["set-cookie"].partition(";")[0]


def test_the_link_is_good_once(server, cookie):
    again = httpx.get(server.link, headers={"Cookie": cookie})
    assert (again.status_code, again.headers["location"]) == (303, "/")  # whoever is logged in already
    again = httpx.get(server.link)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize(
    ("method", "headers", "is_let_in"),
    [
        ("GET", {"Sec-Fetch-Site": "same-origin"}, True),
        ("GET", {"Sec-Fetch-Site": "cross-site"}, False),
        ("GET", {"Sec-Fetch-Site": "same-site"}, False),
        ("POST", {"Sec-Fetch-Site": "same-origin"}, True),
        ("POST", {"Origin": "http://evil.example"}, False),
        ("POST", {"Origin": "null"}, False),
        ("POST", {"Origin": "{url}"}, True),
        ("POST", {}, False),
        ("DELETE", {"Sec-Fetch-Site": "cross-site", "Origin": "{url}"}, False),
    ],
)
def test_other_sites_cannot_use_the_cookie(server, cookie, method, headers, is_let_in):
    sent = {name: value.format(url=server.url) for name, value in headers.items()}
    paths = {
        "GET": ["studies/guarded/facts", "compare?study=guarded", "datasets", "studies/guarded/best/code"],
        "POST": ["studies/guarded/queue", "studies/guarded/observations", "studies/guarded/audit", "datasets"],
        "DELETE": ["tokens/none", "studies/guarded/queue/0", "datasets/none"],
    }
    for path in paths[method]:
        body = {} if method == "POST" else None
        answer = httpx.request(method, f"{server.url}/v1/{path}", headers={"Cookie": cookie, **sent}, json=body)
        assert (answer.status_code != 403) == is_let_in, (path, answer.text)


@pytest.mark.parametrize(
    "path", ["/new/model", "/new/workers", "/new/installed", "/new/table", "/tokens", "/studies/guarded/delete"]
)
@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {}])
def test_forms_of_other_sites_do_nothing(server, cookie, path, headers):
    answer = httpx.post(f"{server.url}{path}", headers={"Cookie": cookie, **headers}, data={"role": "admin"})
    assert answer.status_code == 403
    assert "hpo_" not in answer.text


def test_a_token_for_one_study_knows_no_other(server, study):
    server.create("other")
    secret = server.api().post("/tokens", json={"role": "worker", "study": "guarded"}).json()["token"]
    headers = {"Authorization": f"Bearer {secret}"}
    assert httpx.get(f"{server.url}/v1/studies/guarded", headers=headers).status_code == 200
    assert httpx.get(f"{server.url}/v1/studies/other", headers=headers).status_code == 404
    names = [line["name"] for line in httpx.get(f"{server.url}/v1/studies", headers=headers).json()["items"]]
    assert names == ["guarded"]


def test_a_token_is_revoked_at_once(server):
    made = server.api().post("/tokens", json={"role": "viewer", "label": "short"}).json()
    headers = {"Authorization": f"Bearer {made['token']}"}
    assert httpx.get(f"{server.url}/v1/me", headers=headers).json()["label"] == "short"
    assert server.api().delete(f"/tokens/{made['id']}").status_code == 204
    assert httpx.get(f"{server.url}/v1/me", headers=headers).status_code == 401


def test_tokens_are_kept_as_digests_in_a_private_file(server):
    kept = server.tokens.read_text()
    assert not any(secret in kept for secret in server.secrets.values())
    assert stat.S_IMODE(os.stat(server.tokens).st_mode) == 0o600
    listed = server.api().get("/tokens").text
    assert "digest" not in listed and not any(secret in listed for secret in server.secrets.values())


def test_tokens_that_cannot_be_read_are_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(HpoError, match="tokens.json cannot be read: Not a directory; see --tokens"):
        TokenStore(tmp_path / "file" / "tokens.json").create("viewer")


def test_a_token_expires(tmp_path):
    store = TokenStore(tmp_path / "tokens.json")
    secret, token = store.create("viewer", expires_in_s=3600)
    assert store.find(secret) == token
    assert store.find(secret + "x") is None
    assert store.find("hpo_") is None
    late, _ = store.create("viewer", expires_in_s=1e-9)
    assert store.find(late) is None
    with pytest.raises(SpecError, match="expires after a time above 0 s, got 0"):
        store.create("viewer", expires_in_s=0)
    assert store.list() == [token]  # so that no other is taken for one with which somebody could still log in


def test_the_last_admin_stays(own_server):
    key = own_server.api().get("/me").json()["id"]
    assert own_server.api().delete(f"/tokens/{key}").json()["type"] == "/problems/last-admin"


def test_a_limit_counts_what_lies_within_its_time():
    limit = RateLimit(2, 10.0)
    limit.count("a", 0.0)
    limit.count("a", 4.0)
    assert limit.wait_s("a", 5.0) == 5.0
    assert limit.wait_s("b", 5.0) == 0.0
    assert limit.wait_s("a", 10.5) == 0.0


def test_guessing_tokens_is_slowed_down(own_server):
    headers = {"Authorization": "Bearer hpo_00000000_guess"}
    answers = [httpx.get(f"{own_server.url}/v1/me", headers=headers) for _ in range(12)]
    assert [a.status_code for a in answers] == [401] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) >= 1
    known = {"Authorization": f"Bearer {own_server.secrets['viewer']}"}  # at the same address, a proxy's perhaps
    assert httpx.get(f"{own_server.url}/v1/me", headers=known).status_code == 200
    assert httpx.get(f"{own_server.url}/v1/me").status_code == 401


# ------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"name": "a", "space": {"x": NaN}}', 400, "not JSON"),
        (b'{"name": "a", "name": "b"}', 400, "each key once"),
        (b"\xff", 400, "UTF-8"),
        (b"[" * 100_000, 400, "deep"),
        (b'{"name": "a", "seed": %s}' % (b"9" * 5_000), 400, "at most 1000 digits, got 5,000; write it as text"),
        (b'{"name": "a", "space": {"x": 1}, "more": 1}', 422, "more"),
        (b'{"name": "' + b"a" * 201 + b'", "space": {}}', 422, "200"),
        (b'{"name": "a/b", "space": {"x": {"type": "float", "low": 0, "high": 1}}}', 422, "no '/'"),
        (b'{"name": "a\\u0007", "space": {"x": {"type": "float", "low": 0, "high": 1}}}', 422, "printable"),
        (b'{"name": "a", "space": {}}', 422, "at least one entry"),
        (b'{"name": "a", "space": {"x": {"type": "float", "low": 1, "high": 0}}}', 422, "/space/x"),
        (b'{"name": "a", "space": {"x": {"type": "float", "low": 0, "high": 1, "log": true}}}', 422, "log"),
        (b'{"name": "a", "space": {"x": {"type": "flaot"}}}', 422, "one of float"),
        (b'{"name": "a", "space": {"x": {"type": "choice", "values": []}}}', 422, "1 to 1,000"),
        (b'{"name": "a", "space": {"x": {"type": "int", "low": 0, "high": 1}}, "sampler": "gpp"}', 422, "did you mean"),
        (b'"' + b"a" * (1 << 20) + b'"', 413, "1,048,576"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_rule(server, body, status, said):
    answer = server.api().post("/studies", content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.json()["detail"]
    assert "Traceback" not in answer.text and str(server.storage.parent) not in answer.text


def test_a_body_of_unknown_length_is_counted_while_it_comes(server):
    answer = server.api().post("/studies", content=(b"a" * 65_536 for _ in range(40)))
    assert answer.status_code == 413


def test_a_whole_number_may_be_written_as_a_float(server):
    body = {"name": "whole-numbers", "space": {"x": {"type": "float", "low": 0, "high": 1}}}
    for num_trials, status in ((3.0, 201), (3.5, 422), (True, 422)):
        answer = server.api().post("/studies", json={**body, "limits": {"num_trials": num_trials}})
        assert answer.status_code == status, answer.text


def test_a_method_that_there_is_not_is_answered_by_those_that_there_are(server):
    answer = server.api().put("/studies/guarded", json={})
    assert (answer.status_code, answer.json()["type"]) == (405, "/problems/method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "PATCH", "DELETE"}


def test_nothing_is_decompressed(server):
    answer = server.api().post("/studies", content=b"x", headers={"Content-Encoding": "gzip"})
    assert answer.status_code == 400


def test_the_same_key_gives_the_same_answer(server):
    server.create("keyed")
    body, headers = {"configs": [{"x": 0.5, "n": 1}]}, {"Idempotency-Key": "k1"}
    api = server.api("editor")
    first, second = (api.post("/studies/keyed/queue", json=body, headers=headers) for _ in range(2))
    assert first.json() == second.json() == {"enqueued": 1, "positions": [0], "waiting": 1}
    other = api.post("/studies/keyed/queue", json={"configs": [{"x": 0.1, "n": 1}]}, headers=headers)
    assert other.json()["type"] == "/problems/key-reused"
    one, again, another = (
        api.post("/studies/keyed/audit", headers={"Idempotency-Key": key}).json()["id"] for key in ("a", "a", "b")
    )
    assert one == again != another


NASTY_NAMES = ["<script>alert(1)", "a b", "ä", "100%", "..x", "a?b=c#d", "'; --", "研究", "💥", "a%2Fb", 'a, "b"']


@pytest.mark.parametrize("name", NASTY_NAMES)
def test_nasty_names_are_only_names(server, name):
    body = {"name": name, "space": {"x": {"type": "float", "low": 0, "high": 1}}, "sampler": "random"}
    made = server.api().post("/studies", json=body)
    assert (made.status_code, made.json()["name"]) == (201, name)
    assert made.headers["location"] == f"/v1/studies/{quote(name, safe='')}"
    found = httpx.get(f"{server.url}{made.headers['location']}", headers=server.api("viewer").headers)
    assert found.json()["name"] == name
    tag = {"If-None-Match": found.headers["etag"]}
    assert server.api("viewer").get(f"/studies/{quote(name, safe='')}", headers=tag).status_code == 304
    same = server.api().patch(
        f"/studies/{quote(name, safe='')}",
        json={"limits": {"num_trials": 3}},
        headers={"If-Match": tag["If-None-Match"]},
    )
    assert same.json()["limits"]["num_trials"] == 3


def test_a_browser_is_logged_out_when_its_token_ends(own_server):
    admin, store = own_server.api(), TokenStore(own_server.tokens)
    secret, token = store.create("viewer", expires_in_s=3600)
    own_server.secrets["short"] = secret
    browser = own_server.browser("short")
    (mine,) = (each for each in store.list() if each.under == token.id)
    assert mine.expires_at == token.expires_at
    assert browser.get("/").status_code == 200
    assert admin.delete(f"/tokens/{token.id}").status_code == 204
    assert browser.get("/").status_code == 401
    own_server.browser("admin")  # it ends with the token, and so is not another admin
    key = admin.get("/me").json()["id"]
    assert admin.delete(f"/tokens/{key}").json()["type"] == "/problems/last-admin"


def test_a_token_for_one_study_is_told_of_no_other(server, study):
    secret, _ = TokenStore(server.tokens).create("editor", study="not there")
    headers = {"Authorization": f"Bearer {secret}"}
    for path in ("/v1/studies/not%20there", "/v1/compare?study=not%20there", "/studies/not%20there"):
        answer = httpx.get(f"{server.url}{path}", headers=headers)
        assert answer.status_code == 404
        assert "there is no study" in answer.text and "guarded" not in answer.text and "studies.db" not in answer.text


def test_a_token_for_one_study_gets_the_jobs_of_that_study(server, study):
    secret, _ = TokenStore(server.tokens).create("editor", study="guarded")
    headers = {"Authorization": f"Bearer {secret}"}
    own = httpx.post(f"{server.url}/v1/studies/guarded/audit", headers=headers).json()
    assert httpx.get(f"{server.url}/v1/jobs/{own['id']}", headers=headers).json()["study"] == "guarded"
    server.create("unguarded")
    other = server.api("editor").post("/studies/unguarded/audit").json()
    assert httpx.get(f"{server.url}/v1/jobs/{other['id']}", headers=headers).status_code == 404

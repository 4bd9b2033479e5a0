"""Python client of the service: create studies, ask and tell over HTTP. Needs no extra."""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from raytune_hpo.display.text import writable
from raytune_hpo.errors import HpoError, SpecError, StudyEnded, StudyNotFound, StudyWaiting
from raytune_hpo.metrics import json_value, sendable
from raytune_hpo.runtime.output import BoundedText
from raytune_hpo.service import floats

if TYPE_CHECKING:
    from raytune_hpo.facts import Fact
    from raytune_hpo.results import Results
    from raytune_hpo.space import Space

TIMEOUT_S = 60.0
RETRIES = 5  # of a message that got no answer, or was told to come again
MAX_PAUSE_S, MAX_RETRY_AFTER_S = 5.0, 60.0  # between them: our own pause, and one that the answer asks for
AGAIN = (429, 502, 503, 504)  # statuses of "come again"; 502 and 504 are a proxy's, while the service is away
WAIT_S = 20.0
PAGE = 10_000  # facts
TOKEN_VARIABLE = "RAYTUNE_HPO_TOKEN"
GONE = (404, 410)  # statuses of a lease: its study was deleted, or it has ended
LET_GO = ("superseded", "already-finished", "not-found")  # refusals after which a trial is no longer its worker's


class ServiceError(HpoError):
    """The service has refused a request, or cannot be reached.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        problem: the document that explains it.
    """

    def __init__(self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status, self.problem = status, dict(problem or {})

    @property
    def kind(self) -> str:
        """The last part of the problem's type: ``superseded``, say."""
        return str(self.problem.get("type", "")).rpartition("/")[2]


class _NoAnswer(ServiceError):
    """There is no answer yet: nothing came, or the request to come again.

    Attributes:
        retry_after_s: the pause that was asked for, in seconds.
    """

    def __init__(
        self, message: str, status: int = 0, problem: Mapping[str, Any] | None = None, *, retry_after_s: float = 0.0
    ) -> None:
        super().__init__(message, status, problem)
        self.retry_after_s = retry_after_s


class Client:
    """A client of one service. Thread-safe: each request opens its own connection.

    Args:
        url: such as ``http://127.0.0.1:8270``.
        token: by default the environment variable ``RAYTUNE_HPO_TOKEN``.

    Raises:
        SpecError: the URL is not http or https, or there is no token, or it cannot be one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SpecError(f"the service is at a URL such as http://127.0.0.1:8270, got {url!r}")
        given = os.environ.get(TOKEN_VARIABLE, "") if token is None else token
        secret = given.strip()  # a file's ends with a line break
        if not secret:
            raise SpecError(f"a token is needed: raytune-hpo token create, then token=... or {TOKEN_VARIABLE}")
        if not (secret.isascii() and secret.isprintable()) or " " in secret:  # the message must not show it
            raise SpecError(
                "a token is one word of ASCII characters, as raytune-hpo token create prints it; got other text"
            )
        self._parts, self._secret = parts, secret

    def create_study(
        self, name: str, space: Mapping[str, Any] | None = None, *, num_trials: int | None = None, **settings: Any
    ) -> RemoteStudy:
        """Create a study, or find one with the same name and spec.

        Args:
            space: in the service's JSON, such as ``{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True}}``;
                None where the objective brings its own.
            settings: further fields of the request: metric, mode, sampler, scheduler, limits, seed, valid_range, points,
                objective ...

        Raises:
            SpecError: JSON cannot hold one of them.
            ServiceError: the study was refused, or there is no answer.
        """
        limits = {**settings.pop("limits", {}), **({} if num_trials is None else {"num_trials": num_trials})}
        brought = {} if space is None else {"space": space}
        try:
            self.request("POST", "/studies", {"name": name, **brought, "limits": limits, **settings})
        except TypeError as error:
            shown = '{"lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": true}}'
            raise SpecError(f"a study is sent as JSON, its space as in {shown}; {error}") from None
        return self.study(name)

    def study(self, name: str) -> RemoteStudy:
        """An existing study."""
        return RemoteStudy(self, name)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        tries: float = RETRIES,
        on_silence: Callable[[str], object] = lambda why: None,
    ) -> Any:
        """The JSON answer to a request below ``/v1``. Repeated if no answer comes: every request of the API may be repeated.

        Args:
            tries: how often it is sent at most; with infinity, until it is answered.
            on_silence: called once with the reason, if the first few have got no answer and it is sent further on.

        Raises:
            ServiceError: it was refused, or there is no answer.
        """
        pause_s, num_tries = 0.2, 0
        while True:
            try:
                return self._answer(method, path, body)
            except _NoAnswer as silence:
                num_tries += 1
                if num_tries >= tries:
                    raise
                if num_tries == RETRIES:
                    on_silence(str(silence))
                time.sleep(max(pause_s, silence.retry_after_s))
                pause_s = min(2 * pause_s, MAX_PAUSE_S)

    def _answer(self, method: str, path: str, body: Any) -> Any:
        """The JSON answer to a request that is sent once.

        Raises:
            _NoAnswer: it may be sent again.
            ServiceError: it was refused.
        """
        try:
            status, headers, data = self._exchange(method, path, body)
        except (OSError, HTTPException) as failure:
            raise _NoAnswer(f"{self._parts.netloc} does not answer: {failure}; is the service running?") from None
        retry_after_s = _retry_after_s(headers.get("retry-after", ""))
        if status == 202 and method == "GET":
            raise _NoAnswer("the study is still being read", 202, retry_after_s=retry_after_s)
        try:
            document, is_json = json.loads(data) if data else None, True
        except ValueError:
            document, is_json = None, False
        if status < 300 and is_json:
            return document
        problem = document if isinstance(document, dict) else {}
        stranger = (
            f"HTTP {status} from {self._parts.netloc} is not the service's answer; "
            "is the URL right, and does a proxy before it reach the service?"
        )
        detail = str(problem.get("detail", stranger))
        refused = ServiceError(detail, status, problem)
        if status in AGAIN and refused.kind != "worker-quarantined":
            raise _NoAnswer(detail, status, problem, retry_after_s=retry_after_s)
        raise refused

    def _exchange(self, method: str, path: str, body: Any) -> tuple[int, Mapping[str, str], bytes]:
        connect = HTTPSConnection if self._parts.scheme == "https" else HTTPConnection
        connection = connect(self._parts.hostname or "", self._parts.port, timeout=TIMEOUT_S)
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        try:
            data = None if body is None else _strict_json(body)
            connection.request(method, f"{self._parts.path.rstrip('/')}/v1{path}", data, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@dataclass(frozen=True, kw_only=True)
class RemoteTrial:
    """A trial to run.

    Attributes:
        next_step: the next step whose report gets a verdict; None: no report does.
        from_step, checkpoint: the step after which it resumes, and where the checkpoint of that step is.
        seed: for the objective's own random numbers.
    """

    number: int
    attempt: int
    config: Mapping[str, Any]
    next_step: int | None = None
    from_step: int | None = None
    checkpoint: str | None = None
    seed: int = 0


class RemoteStudy:
    """A study of the service, with this process as a worker; a thread sends heartbeats while it has trials.

    ``Client.study`` and ``Client.create_study`` return it.

    While the service is down, no trial is taken from its worker. So once a worker has been answered, its messages wait
    for a service that is away, however long that takes; else results would be lost.

    Args:
        client: the client of the service.
        name: the study's name.
        ttl_s: for how many seconds without a message the service keeps this worker's trials for it.
        worker: this worker's name, which no other worker of the study has at the same time: it is how the service knows
            which trials to give again after a lost reply. Generated by default.
        say: called once with a line whenever the service is found to be away; by default it is a warning.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        worker: str | None = None,
        ttl_s: float = 60.0,
        say: Callable[[str], object] = warnings.warn,
    ) -> None:
        self.name = name
        self.worker = worker or f"py-{os.getpid()}-{secrets.token_hex(3)}"
        self._client, self._ttl_s, self._say = client, ttl_s, say
        self._path = f"/studies/{quote(name, safe='')}"
        self._held: dict[int, RemoteTrial] = {}
        self._stopping: set[int] = set()
        self._failed: set[int] = set()  # by their own reports
        self._lease: str | None = None
        self._closing: threading.Event | None = None  # ends the heartbeats; None: there are none

    def ask(self, *, wait_s: float = WAIT_S) -> RemoteTrial:
        """The next trial to run.

        Args:
            wait_s: how long to wait for one, up to 30 s.

        Raises:
            StudyWaiting: there is none now, but there may be one later.
            StudyEnded: there will be none.
        """
        asking = {"worker": self.worker, "ttl_s": self._ttl_s, "wait_s": wait_s, "holding": sorted(self._held)}
        answer = self._send("POST", "/leases", asking)
        if answer["over"]:
            raise StudyEnded(f"study {self.name!r} has nothing to ask: {answer.get('reason') or 'it has ended'}")
        self._lease = answer["lease"]
        if not answer["assignments"]:
            raise StudyWaiting(f"study {self.name!r} has nothing to ask now: all trials are handed out")
        trial = RemoteTrial(**answer["assignments"][0])
        self._held[trial.number] = trial
        self._stopping.discard(trial.number)  # an earlier attempt of it was to stop
        if self._closing is None:
            self._closing = threading.Event()
            threading.Thread(
                target=self._beat, args=(self._closing,), name="raytune_hpo-heartbeats", daemon=True
            ).start()
        return trial

    def report(
        self, trial: RemoteTrial, step: int, metrics: Mapping[str, Any] | float, *, checkpoint: str | None = None
    ) -> str:
        """Report metrics at a step and return the verdict. Metrics that are not valid fail the trial: the verdict is "stop".

        Args:
            checkpoint: where your checkpoint of this step is, as text; the trial resumes from it.

        Returns:
            "continue"; "stop": end the trial and ``tell``; "pause" or "complete": the trial ends here, without ``tell``.
        """
        held = self._held.get(trial.number, trial)
        body = {
            "attempt": held.attempt,
            "reports": [{"step": sendable("step", step), "metrics": self._named(metrics)}],
            "checkpoint": checkpoint,
        }
        answer = self._send("POST", f"/trials/{trial.number}/reports", body)
        if answer["attempt"] != held.attempt:  # it was taken for lost, and continues here as a new attempt
            self._held[trial.number] = RemoteTrial(**{**vars(held), "attempt": answer["attempt"]})
        if "error" in answer:
            self._failed.add(trial.number)
        if answer["verdict"] in ("pause", "complete") or "error" in answer:
            self._held.pop(trial.number, None)
        return str(answer["verdict"])

    def tell(
        self, trial: RemoteTrial, metrics: Mapping[str, Any] | float | None = None, **outcome: Any
    ) -> dict[str, Any]:
        """Tell a trial's result and return the trial as recorded. If told twice, the first result stays.

        If the metrics are not valid (NaN, missing ...), the trial is recorded as failed.

        Args:
            metrics: None: the last report is the result.
            outcome: further fields: ``output``, ``duration_s``, ``checkpoint``. A long output loses its middle.
        """
        return self._end(trial, {"metrics": {} if metrics is None else self._named(metrics), **outcome})

    def fail(self, trial: RemoteTrial, error: str, **outcome: Any) -> dict[str, Any]:
        """Tell that a trial failed, with the error's text."""
        return self._end(trial, {"status": "failed", "error": error, **outcome})

    def prune(self, trial: RemoteTrial, **outcome: Any) -> dict[str, Any]:
        """Tell that a trial was ended early, because of ``is_stopping`` or a verdict."""
        return self._end(trial, {"status": "pruned", **outcome})

    def is_stopping(self, trial: RemoteTrial) -> bool:
        """Whether a user wants the trial stopped, or it now belongs to another worker; as of the last heartbeat."""
        return trial.number in self._stopping

    def results(self) -> Results:
        """The trials up to now.

        Raises:
            StudyNotFound: there is no such study.
        """
        from raytune_hpo.core.ledger import Ledger
        from raytune_hpo.results import Results

        facts: list[Fact] = []
        while True:
            page = self._facts(len(facts), PAGE)
            facts += page
            if len(page) < PAGE:
                return Results.from_ledger(Ledger.fold(facts))

    @cached_property
    def space(self) -> Space:
        """The study's space, with stand-ins for functions in it.

        Raises:
            StudyNotFound: there is no such study.
        """
        from raytune_hpo.spec import stored_spec

        return stored_spec(*self._facts(0, 1)).space

    def _facts(self, start: int, limit: int) -> list[Fact]:
        """The study's facts from one on."""
        from raytune_hpo.codec import decode

        try:
            rows = self._client.request("GET", f"{self._path}/facts?from={start}&limit={limit}")["items"]
        except ServiceError as error:
            if error.status == 404:
                raise StudyNotFound(str(error)) from None
            raise
        for row in rows:
            del row["seq"]
        return [decode(row.pop("kind"), row.pop("version"), json.dumps(row)) for row in rows]

    def close(self) -> None:
        """Give back the trials that were asked for and not told; a service that is away takes them when the lease ends.

        The study may be used again.
        """
        self._leave(RETRIES)

    def _leave(self, tries: int) -> None:
        if self._closing is not None:
            self._closing.set()
            self._closing = None
        if self._lease is not None and self._held:
            try:
                self._client.request("DELETE", f"{self._path}/leases/{self._lease}", tries=tries)
            except ServiceError as error:
                is_over = error.status in GONE or isinstance(error, _NoAnswer)  # or will be, once the lease has ended
                if not is_over:
                    raise
        self._held.clear()

    def __enter__(self) -> RemoteStudy:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        is_interrupted = error is not None and not isinstance(error, Exception)
        self._leave(1 if is_interrupted else RETRIES)  # Ctrl-C does not wait for a service that is away

    def _end(self, trial: RemoteTrial, outcome: dict[str, Any]) -> dict[str, Any]:
        path = f"/trials/{trial.number}"
        told: dict[str, Any]
        if trial.number in self._failed:
            told = self._send("GET", path)
            return told
        texts = {name: _kept(outcome[name]) for name in ("output", "error") if isinstance(outcome.get(name), str)}
        body = {"attempt": self._held.get(trial.number, trial).attempt, **outcome, **texts}
        try:
            told = self._send("PUT", f"{path}/result", body)
        except ServiceError as error:
            if error.kind in LET_GO:
                self._let_go(trial.number)
            raise
        self._let_go(trial.number)
        return told

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to a message of this worker; waits for it once the worker has been answered."""
        if self._lease is None:
            return self._client.request(method, f"{self._path}{path}", body)
        return self._client.request(
            method,
            f"{self._path}{path}",
            body,
            tries=math.inf,
            on_silence=lambda why: self._say(f"the service does not answer; waiting ({why})"),
        )

    def _let_go(self, number: int) -> None:
        """Send no more heartbeats for a trial. Before its result is accepted, others would get it, or this worker again."""
        self._held.pop(number, None)
        self._stopping.discard(number)

    def _named(self, metrics: Mapping[str, Any] | float) -> dict[str, Any]:
        if not isinstance(metrics, Mapping):
            metrics = {self._metric: metrics}
        return {str(name): sendable(str(name), value) for name, value in metrics.items()}

    @cached_property
    def _metric(self) -> str:
        """The name of the study's metric, which never changes."""
        return str(self._send("GET", "")["metric"])

    def _beat(self, closing: threading.Event) -> None:
        while not closing.wait(self._ttl_s / 3):
            if self._lease is None or not self._held:
                continue
            try:
                answer = self._client.request("PUT", f"{self._path}/leases/{self._lease}", {})
                self._stopping |= {v["number"] for v in answer["verdicts"] if v["verdict"] == "stop"}
            except ServiceError as error:
                # The worker gets other errors with its next report or result; the next heartbeat may get through.
                if error.status in GONE:  # others have the trials, or nobody wants them
                    self._stopping |= set(self._held)


def _strict_json(body: Any) -> str:
    """A body as the service reads it: no NaN, and Python's numbers for those of numpy."""
    return json.dumps(floats.written(body), default=lambda value: floats.written(json_value(value)), allow_nan=False)


def _kept(text: str) -> str:
    """What is kept of a text of any length, as the service takes it."""
    kept = BoundedText()
    kept.write(writable(text))
    return str(kept)


def _retry_after_s(text: str) -> float:
    """The seconds of the header ``Retry-After``; 0 where it is not there, or is a date, as proxies may send it."""
    try:
        return min(max(0.0, float(text)), MAX_RETRY_AFTER_S)
    except ValueError:
        return 0.0

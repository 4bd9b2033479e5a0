"""Proxies of studies in other processes: ``optimize`` calls its objective there, and the owner process does the rest."""

from __future__ import annotations

import functools
import os
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener, answer_challenge, deliver_challenge
from typing import TYPE_CHECKING, Any

import cloudpickle

from raytune_hpo.compat.optuna.study.optimizing import Settings
from raytune_hpo.compat.optuna.study.workers import answered, call_there

if TYPE_CHECKING:
    from raytune_hpo.compat.optuna.study.study import Study
    from raytune_hpo.compat.optuna.trial.live import Trial

_PATIENCE = 128  # the backlog of connections
_RETRY_S = 0.1  # after a connection that could not be accepted


class DistantStudy:
    """A proxy of a study that another process holds: it can be optimised here, and its attributes read.

    Args:
        address, key: where that process listens, and its authentication key.
        name: of the study.
    """

    def __init__(self, address: tuple[str, int], key: bytes, name: str) -> None:
        self._address, self._key, self._name = address, key, name

    def __reduce__(self) -> tuple[Any, ...]:
        return DistantStudy, (self._address, self._key, self._name)

    def optimize(self, func: Callable[[Any], Any], *args: Any, **options: Any) -> None:
        """As ``Study.optimize``, with ``func`` called here."""
        self._optimize_by(func, Settings(*args, **options))

    def _optimize_by(self, func: Callable[[Any], Any], settings: Settings) -> None:
        """Called by ``Study.optimize``, which Dask pickles as a function of its class, with this proxy as the study."""
        with Client(self._address, authkey=self._key) as line:
            line.send_bytes(cloudpickle.dumps(("optimize", self._name, settings)))
            while True:
                kind, content = line.recv()
                if kind != "run":
                    _result(kind, content)
                    return
                try:
                    outcome: tuple[str, Any] = "value", call_there(func, content, functools.partial(_asked, line))
                except BaseException as error:  # whatever an objective raises: the study decides how to handle it
                    outcome = "error", error
                line.send_bytes(cloudpickle.dumps(outcome))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        with Client(self._address, authkey=self._key) as line:
            line.send_bytes(cloudpickle.dumps(("get", self._name, name)))
            return _result(*line.recv())


def distant(study: Study) -> tuple[Any, ...]:
    """The function and arguments that create the proxy in another process, as ``__reduce__`` returns them."""
    server = _server()
    server.studies[study.study_name] = study
    return DistantStudy, (server.address, server.key, study.study_name)


class _Server:
    """Serves processes that have proxies of studies of this one, each in its own thread."""

    def __init__(self) -> None:
        self.studies: dict[str, Study] = {}
        self.key = os.urandom(32)
        try:
            host = socket.gethostbyname(socket.gethostname())
        except OSError:  # a name that cannot be resolved
            host = "127.0.0.1"
        self._listener = Listener((host, 0), backlog=_PATIENCE)
        self.address: tuple[str, int] = self._listener.address
        threading.Thread(target=self._listen, name="raytune_hpo-studies", daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                line = self._listener.accept()
            except OSError:  # this process has no file descriptor left, for one
                time.sleep(_RETRY_S)
                continue
            threading.Thread(target=self._serve, args=(line,), daemon=True).start()

    def _serve(self, line: Connection) -> None:
        try:
            # Here and not in ``accept``, where a client that says nothing would keep all others waiting.
            deliver_challenge(line, self.key)
            answer_challenge(line, self.key)
            kind, name, content = cloudpickle.loads(line.recv_bytes())
            study = self.studies[name]
            try:
                answer: tuple[str, Any] = "value", None
                if kind == "get":
                    answer = "value", getattr(study, content)
                else:
                    study._optimize_by(functools.partial(_called, line), content)
            except Exception as error:  # of the objective or the study: raised in the calling process
                answer = "error", error
            line.send_bytes(cloudpickle.dumps(answer))
        except (AuthenticationError, EOFError, OSError):  # it has no key, or has ended: its trial has failed
            return
        finally:
            line.close()


@functools.cache
def _server() -> _Server:
    return _Server()


def _called(line: Connection, trial: Trial) -> Any:
    """Have the objective called at the other end, and answer the calls of its trial."""
    line.send(("run", trial.number))
    while True:
        kind, content = cloudpickle.loads(line.recv_bytes())
        if kind != "ask":
            return _result(kind, content)
        try:
            answer = "value", answered(trial, content)
        except Exception as error:  # raised in the objective, where it called
            answer = "error", error
        line.send_bytes(cloudpickle.dumps(answer))


def _asked(line: Connection, question: Any) -> Any:
    line.send_bytes(cloudpickle.dumps(("ask", question)))
    return _result(*line.recv())


def _result(kind: str, content: Any) -> Any:
    if kind == "error":
        raise content
    return content

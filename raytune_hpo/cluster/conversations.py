"""Conversations: calls as Ray tasks that ask their caller questions while they run.

For studies whose optimizer is in the caller's process: a call sends its questions through a mailbox, an actor without CPUs,
and one thread of the caller answers them.
"""

from __future__ import annotations

import asyncio
import itertools
import pickle
import threading
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from raytune_hpo.cluster.connecting import connect
from raytune_hpo.cluster.failures import cause_of
from raytune_hpo.cluster.shells import answering_task, get, hire, package, packed
from raytune_hpo.errors import ClusterError

Question = tuple[int, Any, bytes]  # the number of the question, the key of the call that asks, and what it asks
Ask = Callable[[Any], Any]
MAILBOX = "mailbox"
WAIT_S = 5.0  # how long the caller's thread waits for questions before it checks whether it is to end
_RUN = f"{__name__}:run_call"


class Mailbox:
    """Carries questions of calls to the caller, and the answers back. Runs in an AsyncShell.

    Both are pickled: what cannot be unpickled must not keep the mailbox, or the caller's thread, from carrying the rest.
    """

    def __init__(self) -> None:
        self._questions: asyncio.Queue[Question] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = itertools.count()

    async def run(self) -> None:
        """Nothing runs in the background."""

    async def ask(self, key: Any, question: bytes) -> bytes:
        """Ask a question of a call, and return the answer once there is one."""
        number = next(self._numbers)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        self._questions.put_nowait((number, key, question))
        return await future

    async def take(self) -> list[Question]:
        """The open questions; empty if none comes for a while."""
        try:
            taken = [await asyncio.wait_for(self._questions.get(), WAIT_S)]
        except asyncio.TimeoutError:
            return []
        while not self._questions.empty():
            taken.append(self._questions.get_nowait())
        return taken

    async def answer(self, number: int, reply: bytes) -> None:
        """Answer a question."""
        self._answers.pop(number).set_result(reply)


class Conversations:
    """Runs calls on the cluster. Each takes one of the caller's threads.

    Args:
        function: called on the cluster with a key and a function that asks; its result or exception is passed back.
        answer: called in this process with the key and the question. Its exceptions are raised in the call.
    """

    def __init__(self, function: Callable[[Any, Ask], Any], answer: Callable[[Any, Any], Any]) -> None:
        connect()
        self._function, self._answer = packed(function), answer
        self._mailbox = hire(MAILBOX, f"{__name__}:Mailbox", packed(), serves_many=True, num_cpus=0)
        self._package = ray.put(package())
        self._is_over = False
        self._answering = threading.Thread(target=self._keep_answering, name="raytune_hpo-answers", daemon=True)
        self._answering.start()

    def call(self, key: Any) -> Any:
        """Call the function on the cluster, and wait for its result.

        Raises:
            Exception: whatever the function raises.
            ClusterError: its process was lost.
        """
        task = answering_task().options(num_cpus=1, max_retries=0)
        ref = task.remote([self._package], _RUN, self._function, key, self._mailbox)
        try:
            return get(ref)
        except RayTaskError as error:
            if error.cause is None:
                raise
            raise error.cause from error
        except RayError as error:
            reason, _ = cause_of(error)
            raise ClusterError(reason) from error

    def close(self) -> None:
        """End the mailbox."""
        self._is_over = True
        ray.kill(self._mailbox)

    def _keep_answering(self) -> None:
        while not self._is_over:
            try:
                questions = get(self._mailbox.call.remote("take"))
            except RayError:
                return  # it was killed by ``close``, or with the cluster: the calls raise
            for number, key, question in questions:
                self._mailbox.call.remote("answer", number, self._reply(key, question))

    def _reply(self, key: Any, question: bytes) -> bytes:
        """The answer or, if there is none, the exception that is to be raised in the call that asked."""
        try:
            (asked,) = pickle.loads(question)
            return packed(self._answer(key, asked), None)
        except Exception as error:  # it belongs to the call that asked
            return _packed_error(error)


def _packed_error(error: Exception) -> bytes:
    """An exception as it is or, if it cannot be sent, as one that can, with its message."""
    try:
        reply = packed(None, error)
        pickle.loads(reply)  # some exceptions can be pickled, and not be unpickled
        return reply
    except Exception as reason:  # pickling runs users' code, which may raise anything
        text = f"{type(error).__name__}: {error}; the exception itself cannot be sent to the worker: {reason}"
        return packed(None, ClusterError(text))


def run_call(function: bytes, key: Any, mailbox: Any) -> Any:
    """Run one call, in a process of the cluster."""
    (called,) = pickle.loads(function)

    def ask(question: Any) -> Any:
        answer, error = pickle.loads(ray.get(mailbox.call.remote("ask", key, packed(question))))
        if error is not None:
            raise error
        return answer

    return called(key, ask)

"""Messages from trials on a cluster to the driver: an actor holds them until the driver takes and answers them."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from raytune_hpo.compat.ray_tune.driver import Driver
from raytune_hpo.compat.ray_tune.listener import Heard
from raytune_hpo.compat.ray_tune.trials import Trial

TAKE_S = 1.0  # how long the actor lets the driver wait for messages
MAILBOX = "mailbox"  # the actor's role
_TARGET = "raytune_hpo.compat.ray_tune.mailbox:Mailbox"


class Mailbox:
    """The queue of messages, in an actor. Senders pickle the messages."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._letters: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()

    async def run(self) -> None:
        """Return at once: there is no background work."""

    async def ask(self, letter: bytes) -> bytes:
        """Pass on a trial's message, and return the driver's answer."""
        self._number += 1
        number = self._number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._letters.put((number, letter))
        try:
            return await answer
        finally:
            del self._waiting[number]

    async def take(self) -> list[tuple[int, bytes]]:
        """The new messages of trials; waits a while if there are none."""
        letters: list[tuple[int, bytes]] = []
        try:
            letters.append(await asyncio.wait_for(self._letters.get(), TAKE_S))
        except asyncio.TimeoutError:
            return letters
        while not self._letters.empty():
            letters.append(self._letters.get_nowait())
        return letters

    async def answer(self, answers: list[tuple[int, bytes]]) -> None:
        """Pass on the driver's answers."""
        for number, data in answers:
            waiting = self._waiting.get(number)
            if waiting is not None and not waiting.done():
                waiting.set_result(data)


class ByMail:
    """A Listener in a trial's process, which sends events to the driver and waits for its answers."""

    is_over = False  # the study itself tells workers

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def started(self, trial: Trial) -> None:
        self._say("started", trial)

    def heard(self, trial_id: str, result: dict[str, Any]) -> Heard:
        heard: Heard = self._say("heard", trial_id, result)
        return heard

    def saved(self, trial_id: str, checkpoint: str) -> None:
        self._say("saved", trial_id, checkpoint)

    def paused(self, trial_id: str) -> None:
        self._say("paused", trial_id)

    def ended(self, trial_id: str, error: str | None) -> None:
        self._say("ended", trial_id, error)

    def _say(self, method: str, *args: Any) -> Any:
        from raytune_hpo.cluster.shells import get, packed, pickler

        return pickler.loads(get(self._actor.call.remote("ask", packed(method, *args))))


class Postman:
    """Carries messages to the driver, and its answers back, in a thread of the driver's process."""

    def __init__(self, driver: Driver) -> None:
        from raytune_hpo.cluster.shells import hire, packed

        self._driver = driver
        self.actor = hire(MAILBOX, _TARGET, packed(), serves_many=True, num_cpus=0)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="raytune_hpo-postman", daemon=True)
        self._thread.start()

    @property
    def listener(self) -> ByMail:
        """The listener for trials."""
        return ByMail(self.actor)

    def close(self) -> None:
        """Carry the remaining messages, and end the actor."""
        import ray

        self._is_over.set()
        self._thread.join(10 * TAKE_S)
        ray.kill(self.actor)

    def _carry(self) -> None:
        from raytune_hpo.cluster.shells import get, pickler

        try:
            while True:
                is_last = self._is_over.is_set()
                letters = get(self.actor.call.remote("take"))
                answers = []
                for number, letter in letters:
                    method, *args = pickler.loads(letter)
                    answers.append((number, pickler.dumps(getattr(self._driver, method)(*args))))
                if answers:
                    get(self.actor.call.remote("answer", answers))
                elif is_last:
                    return
        except Exception as error:  # the cluster is gone, or something cannot be unpickled here
            self._driver.give_up(error)

"""The connection to a study's optimizer through Ray, from an event loop that Ray must not block."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray.exceptions import ActorUnavailableError, RayError, RayTaskError

from raytune_hpo.cluster.connecting import stay_connected
from raytune_hpo.cluster.shells import OPTIMIZER, find, plain
from raytune_hpo.errors import ClusterError

PATIENCE_S = 5.0  # for an answer, beyond the time that the call itself may take
AGAIN_S = 0.5


class OptimizerLine:
    """A ``Line`` through Ray.

    Args:
        address: the cluster's address; see ``stay_connected``.
    """

    def __init__(self, study: str, address: str | None) -> None:
        self._study, self._address = study, address
        self._optimizer: Any = None

    async def __call__(self, method: str, *args: Any, wait_s: float = 0.0) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s + PATIENCE_S
        while True:
            try:
                if self._optimizer is None:
                    finding = loop.run_in_executor(ray_thread(), self._found)
                    self._optimizer = await asyncio.wait_for(finding, deadline - loop.time())
                answering = asyncio.wrap_future(self._optimizer.call.remote(method, *args).future())
                return await _awaited(answering, deadline - loop.time())
            except asyncio.TimeoutError:
                raise ClusterError(
                    f"the optimizer of study {self._study!r} has not answered for {PATIENCE_S:.0f} s; try again"
                ) from None
            except RayTaskError as error:
                raise plain(error) from None
            except ActorUnavailableError:  # it is being restarted, or the network has a bad moment
                await asyncio.sleep(AGAIN_S)
            except ConnectionError as error:  # Ray Client has given up
                self._optimizer = None
                raise ClusterError(
                    f"the connection to the cluster of study {self._study!r} broke; try again"
                ) from error
            except RayError as error:
                self._optimizer = None  # a later actor of this name is another one
                raise self._gone() from error

    def _found(self) -> Any:
        stay_connected(self._address)
        try:
            return find(OPTIMIZER, self._study)
        except ValueError:
            raise self._gone() from None

    def _gone(self) -> ClusterError:
        return ClusterError(
            f"study {self._study!r} has not ended, and no optimizer of it runs on the cluster; run it again where its "
            f"objective is"
        )


@functools.cache
def ray_thread() -> ThreadPoolExecutor:
    """The single thread for Ray's blocking calls: with an unresponsive cluster, threads must not pile up."""
    return ThreadPoolExecutor(1, thread_name_prefix="raytune_hpo-cluster")


async def _awaited(answering: asyncio.Future[Any], timeout_s: float) -> Any:
    """Wait for the answer. After a timeout the call is not cancelled, as it may be in a transaction already."""
    answering.add_done_callback(lambda done: done.cancelled() or done.exception())  # or asyncio logs its error
    if not (await asyncio.wait([answering], timeout=max(timeout_s, 0.0)))[0]:
        raise asyncio.TimeoutError
    return answering.result()

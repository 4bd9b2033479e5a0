"""Lines between workers and the optimizer: what they carry, whom they let in, and what happens when they break."""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import pytest
import ray.cloudpickle as cloudpickle
from cluster_support import SPACE, assert_each_once, by_value

import raytune_hpo as hpo
from raytune_hpo.cluster import direct
from raytune_hpo.cluster.direct import Address, Connection, Listener


class Loop:
    """An event loop in a thread, as the optimizer's actor has one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def do(self, awaitable: Awaitable[Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(awaitable, self._loop).result(10)

    def listening(self, answer: Callable[[str, tuple[Any, ...]], Awaitable[Any]]) -> Listener:
        listener = Listener(answer, cloudpickle.dumps)
        self.do(listener.open("127.0.0.1"))
        return listener

    def end(self) -> None:
        self.do(_all_cancelled())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _all_cancelled() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.end()


async def echo(method: str, args: tuple[Any, ...]) -> Any:
    if method == "fail":
        raise ValueError("no such thing")
    return method, args


def address_of(listener: Listener) -> Address:
    assert listener.address is not None
    return listener.address


def test_a_line_carries_whatever_pickles(loop: Loop) -> None:
    line = Connection(address_of(loop.listening(echo)), cloudpickle.dumps)
    for args in ((), (1, None, {"a": [float("nan")]}), (b"x" * 3_000_000,)):
        method, back = line.call("say", args)
        assert method == "say"
        assert repr(back) == repr(args)
    assert line.call("lambda", (lambda x: x + 1,))[1][0](1) == 2


def test_many_workers_have_lines_of_their_own(loop: Loop) -> None:
    arrived = asyncio.Event()

    async def wait_for_the_other(method: str, args: tuple[Any, ...]) -> Any:
        if method == "second":
            arrived.set()
        await asyncio.wait_for(arrived.wait(), 60)
        return method

    address = address_of(loop.listening(wait_for_the_other))
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(Connection(address).call("first", ())))
    first.start()
    assert Connection(address).call("second", ()) == "second"
    first.join(60)
    assert answers == ["first"]


def test_who_does_not_know_the_secret_is_not_let_in(loop: Loop) -> None:
    called = []

    async def answer(method: str, args: tuple[Any, ...]) -> Any:
        called.append(method)

    address = address_of(loop.listening(answer))
    with pytest.raises(OSError):
        Connection(replace(address, secret=b"guessed")).call("exchange", ())
    assert not called


def test_strangers_who_say_nothing_do_not_use_up_the_files(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "MAX_UNPROVEN", 3)
    address = address_of(loop.listening(echo))
    strangers = [socket.create_connection((address.host, address.port), 5) for _ in range(5)]
    greeted = [bool(stranger.recv(1)) for stranger in strangers]
    assert greeted == [True, True, True, False, False], "the last ones are cut"
    for stranger in strangers:
        stranger.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # until those who have gone are noticed
        try:
            assert Connection(address).call("say", ()) == ("say", ())
            return
        except OSError:
            time.sleep(0.01)
    raise AssertionError("a worker was not let in after the strangers had gone")


class Bomb:
    """Explodes where it is unpickled."""

    exploded: ClassVar[list[bool]] = []

    def __reduce__(self) -> Any:
        return Bomb.exploded.append, (True,)


def bare(message: Any) -> bytes:
    data = pickle.dumps(message)
    return struct.pack(">Q", len(data)) + data


def test_whoever_sits_on_the_optimizers_port_must_know_the_secret_too() -> None:
    Bomb.exploded.clear()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def pretend() -> None:
            caller, _ = server.accept()
            with caller:
                caller.sendall(bytes(32))
                said = caller.recv(64, socket.MSG_WAITALL)
                caller.sendall(said[:32])  # its own proof, given back
                data = pickle.dumps(Bomb())
                caller.sendall(struct.pack(">Q", len(data)) + data)

        thread = threading.Thread(target=pretend)
        thread.start()
        with pytest.raises(OSError, match="does not know its secret"):
            Connection(Address("127.0.0.1", server.getsockname()[1], b"s" * 32))
        thread.join(5)
    assert not Bomb.exploded


def test_frames_have_a_largest_size_in_both_directions(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    async def repeat(method: str, args: tuple[Any, ...]) -> Any:
        return b"x" * args[0]

    address = address_of(loop.listening(repeat))
    monkeypatch.setattr(direct, "MAX_MESSAGE", 10_000)
    line = Connection(address)
    with pytest.raises(direct.MessageTooBig):
        line.call("say", (b"x" * 20_000,))
    assert line.call("say", (5_000,)) == b"x" * 5_000  # it is as good as before
    with pytest.raises(OSError):
        line.call("say", (20_000,))
    liar = Connection(address)
    liar._socket.sendall(struct.pack(">Q", 1 << 60))
    with pytest.raises(OSError):
        liar._read(1)


@pytest.mark.parametrize(
    "forged",
    [
        lambda line, said: bare(Bomb()) + bytes(32),
        lambda line, said: bare(Bomb()) + said[-32:],  # with the seal of another message
        lambda line, said: said,  # said again
        lambda line, said: said[:20] + bytes([said[20] ^ 1]) + said[21:],
        lambda line, said: line._frames.closed(b"optimizer", ("say", ())),  # an answer given back as a question
    ],
    ids=["no seal", "another's seal", "repeated", "one bit", "reflected"],
)
def test_after_the_proofs_every_frame_is_proved_as_well(loop: Loop, forged: Callable[[Any, bytes], bytes]) -> None:
    called: list[str] = []

    async def answer(method: str, args: tuple[Any, ...]) -> None:
        called.append(method)

    Bomb.exploded.clear()
    line = Connection(address_of(loop.listening(answer)))
    said = line._frames.closed(b"caller", ("say", ()))
    line._socket.sendall(said)
    line._frames.opened(b"optimizer", line._read(direct._length(line._read(8)) + 32))
    line._socket.sendall(forged(line, said))
    with pytest.raises(OSError):
        line._read(1)
    assert called == ["say"] and not Bomb.exploded


def test_an_answer_that_somebody_puts_in_is_not_unpickled() -> None:
    secret = b"s" * 32
    Bomb.exploded.clear()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def between() -> None:  # whoever lets the two prove themselves, and then speaks for the optimizer
            caller, _ = server.accept()
            with caller:
                caller.sendall(bytes(32))
                said = caller.recv(64, socket.MSG_WAITALL)
                caller.sendall(direct._proof(secret, b"optimizer", said[32:]))
                caller.recv(8, socket.MSG_WAITALL)
                caller.sendall(bare(Bomb()) + bytes(32))
                caller.recv(1 << 16)

        thread = threading.Thread(target=between)
        thread.start()
        line = Connection(Address("127.0.0.1", server.getsockname()[1], secret))
        with pytest.raises(OSError, match="must carry the seal of its sender"):
            line.call("say", ())
        line.close()
        thread.join(5)
    assert not Bomb.exploded


def test_secrets_are_not_shown(loop: Loop) -> None:
    assert "secret" not in repr(address_of(loop.listening(echo)))


def test_an_error_breaks_the_line_and_only_this_one(loop: Loop) -> None:
    address = address_of(loop.listening(echo))
    line, other = Connection(address), Connection(address)
    with pytest.raises(OSError):
        line.call("fail", ())
    assert other.call("say", ()) == ("say", ())


def test_where_ray_uses_tls_there_are_no_lines(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USE_TLS", "1")
    assert loop.listening(echo).address is None


@pytest.mark.ray
@pytest.mark.slow
def test_where_a_line_breaks_for_good_everything_goes_through_ray(cluster: None, name: str, storage: str) -> None:
    @by_value
    def objective(config: dict) -> float:
        import gc

        from raytune_hpo.cluster import direct, trial_worker

        def refused(address: object, dumps: object) -> None:
            raise ConnectionRefusedError("all ports are closed")

        trial_worker.Connection = refused  # in this worker's process
        for broken in [thing for thing in gc.get_objects() if isinstance(thing, direct.Connection)]:
            broken.close()
        hpo.report(loss=config["x"], step=1)
        time.sleep(0.06)  # one trial a lease
        return config["x"]

    results = hpo.tune(objective, SPACE, num_trials=8, sampler="random", name=name, storage=storage, progress=False)
    assert all(len(trial.reports) == 1 for trial in results)
    assert_each_once(storage, name, 8)

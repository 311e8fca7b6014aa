"""What any broker of ours must keep, judged by delivery: the embedded one and Mosquitto."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiomqtt
import pytest

from bench.brokers import wire
from orchestrator.dispatch import access
from orchestrator.dispatch.access import BrokerSettings
from orchestrator.labs.enrolment import secret_hash

ROOT = "cosmolocal/v1"
SECRETS = {"orchestrator": "o-secret", "lab-a": "a-secret", "lab-b": "b-secret"}

RUBBISH = (
    b"",
    b"\x00" * 64,
    b"\x10\xff\xff\xff\x7f",
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00" + b"\xff" * 100,
)
STEP_PARENT = """
import os, subprocess, sys, time
command = [sys.executable, "-m", "orchestrator.dispatch.broker", sys.argv[1]]
subprocess.Popen([*command, str(os.getpid())])
time.sleep(60)
"""


@dataclass(frozen=True)
class Guarded:
    kind: str
    port: int
    passwords: Path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
        return True
    return False


@contextlib.contextmanager
def embedded(passwords: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    config = passwords.with_name("broker.toml")
    BrokerSettings("127.0.0.1", port, passwords).write(config)
    command = [sys.executable, "-m", "orchestrator.dispatch.broker", str(config)]
    process = subprocess.Popen([*command, str(os.getpid())])
    try:
        for _ in range(200):
            if listens(port):
                break
            assert process.poll() is None, "the broker did not start"
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        assert process.wait(10) == 0


@pytest.fixture(params=["embedded", "mosquitto"])
def broker(
    request: pytest.FixtureRequest, tmp_path: Path, start_mosquitto: Callable[..., object]
) -> Iterator[Guarded]:
    passwords = tmp_path / "passwd"
    access.write_passwords(passwords, {user: secret_hash(s) for user, s in SECRETS.items()})
    if request.param == "embedded":
        port = free_port()
        with embedded(passwords, port):
            yield Guarded("embedded", port, passwords)
        return
    folder = tmp_path / "files"
    access.write_mosquitto(folder, passwords, "127.0.0.1", 1)
    started = start_mosquitto(*access.mosquitto_lines(folder))
    yield Guarded("mosquitto", started.port, passwords)  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def client(
    broker: Guarded,
    user: str,
    *,
    secret: str | None = None,
    identifier: str | None = None,
    will: aiomqtt.Will | None = None,
    keepalive: int = 60,
) -> AsyncGenerator[aiomqtt.Client]:
    async with aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        username=user,
        password=SECRETS.get(user) if secret is None else secret,
        identifier=identifier or user,
        protocol=aiomqtt.ProtocolVersion.V311,
        clean_session=True,
        will=will,
        keepalive=keepalive,
        timeout=5,
    ) as connected:
        yield connected


async def heard(listening: aiomqtt.Client, within_s: float = 0.7) -> list[tuple[str, bytes]]:
    """Everything that arrives until nothing has come for so long."""
    found: list[tuple[str, bytes]] = []
    with contextlib.suppress(TimeoutError):
        while True:
            async with asyncio.timeout(within_s):
                message = await anext(aiter(listening.messages))
                assert isinstance(message.payload, bytes)
                found.append((str(message.topic), message.payload))
    return found


async def listen_to_all(orchestrator: aiomqtt.Client) -> None:
    assert 0x80 not in await orchestrator.subscribe([(each, 1) for each in access.HEARD_FILTERS])


async def subscribe_anyway(curious: aiomqtt.Client, *filters: str) -> None:
    for each in filters:
        with contextlib.suppress(aiomqtt.MqttError):
            await curious.subscribe(each, qos=1)


async def test_a_word_goes_each_way(broker: Guarded):
    async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
        await listen_to_all(city)
        await lab.subscribe(f"{ROOT}/lab-a/down", qos=1)
        await city.publish(f"{ROOT}/lab-a/down", b"offer", qos=1)
        await lab.publish(f"{ROOT}/lab-a/up", b"report", qos=1)
        assert await heard(lab) == [(f"{ROOT}/lab-a/down", b"offer")]
        assert await heard(city) == [(f"{ROOT}/lab-a/up", b"report")]


@pytest.mark.parametrize(
    ("user", "secret"),
    [("lab-a", "wrong"), ("lab-a", ""), ("lab-z", "a-secret"), ("orchestrator", "a-secret")],
)
async def test_who_has_not_the_secret_stays_out(broker: Guarded, user: str, secret: str):
    with pytest.raises(aiomqtt.MqttError):
        async with client(broker, user, secret=secret):
            pass


async def test_a_lab_hears_nothing_that_is_not_for_it(broker: Guarded):
    async with client(broker, "orchestrator") as city, client(broker, "lab-b") as other:
        await subscribe_anyway(
            other, "#", f"{ROOT}/#", f"{ROOT}/+/down", f"{ROOT}/lab-a/down", f"{ROOT}/lab-a/up",
            f"{ROOT}/lab-a/presence", "$SYS/#",
        )  # fmt: skip
        async with client(broker, "lab-a") as lab:
            await city.publish(f"{ROOT}/lab-a/down", b"secret offer", qos=1)
            await lab.publish(f"{ROOT}/lab-a/up", b"secret report", qos=1)
            await lab.publish(f"{ROOT}/lab-a/presence", b"here", qos=1, retain=True)
            assert await heard(other) == []


async def test_a_lab_cannot_speak_for_another_or_for_the_city(broker: Guarded):
    async with (
        client(broker, "orchestrator") as city,
        client(broker, "lab-a") as lab,
        client(broker, "lab-b") as forger,
    ):
        await listen_to_all(city)
        await lab.subscribe(f"{ROOT}/lab-a/down", qos=1)
        for topic in ("lab-a/up", "lab-a/presence", "lab-a/telemetry", "lab-a/down", "lab-b/down"):
            with contextlib.suppress(aiomqtt.MqttError):
                await forger.publish(f"{ROOT}/{topic}", b"forged", qos=1)
        assert await heard(city) == []
        assert await heard(lab, 0.2) == []


async def test_a_will_may_only_be_about_oneself(broker: Guarded):
    async with client(broker, "orchestrator") as city:
        await listen_to_all(city)
        will = aiomqtt.Will(f"{ROOT}/lab-a/presence", b"gone", qos=1, retain=True)
        await _die(broker, "lab-b", will)
        assert await heard(city) == []
        await _die(broker, "lab-a", will)
        assert await heard(city, 2) == [(f"{ROOT}/lab-a/presence", b"gone")]


async def _die(broker: Guarded, user: str, will: aiomqtt.Will) -> None:
    """Connect with this will and be cut off, if let in at all."""
    program = (
        "import aiomqtt, asyncio, os, sys\n"
        "async def main():\n"
        " will = aiomqtt.Will(sys.argv[3], sys.argv[4], qos=1, retain=True)\n"
        " async with aiomqtt.Client('127.0.0.1', int(sys.argv[5]), username=sys.argv[1],\n"
        "   password=sys.argv[2], identifier=sys.argv[1], will=will, timeout=5,\n"
        "   protocol=aiomqtt.ProtocolVersion.V311):\n"
        "  os._exit(0)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, user, SECRETS[user], will.topic, "gone", str(broker.port),
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await process.wait()


@pytest.mark.parametrize("secret", ["b-secret", "wrong", None])
async def test_nobody_takes_another_clients_place(broker: Guarded, secret: str | None):
    """With lab-a's client id, as lab-b, as lab-a with a wrong secret, or with a nameless one."""
    async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
        await lab.subscribe(f"{ROOT}/lab-a/down", qos=1)
        user = "lab-b" if secret == "b-secret" else "lab-a" if secret else "lab-z"
        stolen: list[tuple[str, bytes]] = []
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(broker, user, secret=secret or "", identifier="lab-a") as thief:
                await subscribe_anyway(thief, f"{ROOT}/lab-a/down")
                await city.publish(f"{ROOT}/lab-a/down", b"one", qos=1)
                stolen = await heard(thief)
        await city.publish(f"{ROOT}/lab-a/down", b"two", qos=1)
        assert stolen == []
        assert (f"{ROOT}/lab-a/down", b"two") in await heard(lab)


async def test_the_same_lab_again_replaces_itself_and_is_present_last(broker: Guarded):
    """The will of the older connection comes before what the newer one says."""
    topic = f"{ROOT}/lab-a/presence"
    will = aiomqtt.Will(topic, b"gone", qos=1, retain=True)
    async with client(broker, "orchestrator") as city:
        await listen_to_all(city)
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(broker, "lab-a", will=will) as older:
                await older.publish(topic, b"here 1", qos=1, retain=True)
                async with client(broker, "lab-a", will=will) as newer:
                    await newer.subscribe(f"{ROOT}/lab-a/down", qos=1)
                    await newer.publish(topic, b"here 2", qos=1, retain=True)
                    said = [payload for _, payload in await heard(city)]
                    assert said[-1] == b"here 2"
                    await city.publish(f"{ROOT}/lab-a/down", b"offer", qos=1)
                    assert await heard(newer) == [(f"{ROOT}/lab-a/down", b"offer")]


async def test_retained_presence_reaches_who_asks_and_nobody_else(broker: Guarded):
    async with client(broker, "lab-a") as lab:
        await lab.publish(f"{ROOT}/lab-a/presence", b"here", qos=1, retain=True)
        await asyncio.sleep(0.2)
    async with client(broker, "lab-b") as other:
        await other.subscribe(f"{ROOT}/lab-b/down", qos=1)
        assert await heard(other) == []
    async with client(broker, "orchestrator") as city:
        await listen_to_all(city)
        assert await heard(city) == [(f"{ROOT}/lab-a/presence", b"here")]


async def test_no_message_is_lost_while_others_come_and_go(broker: Guarded):
    """Every acknowledged message arrives while four other clients connect and subscribe."""
    async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
        await listen_to_all(city)
        going = True

        async def churn(number: int) -> None:
            while going:
                with contextlib.suppress(aiomqtt.MqttError):
                    async with client(broker, "lab-b", identifier="lab-b") as other:
                        await other.subscribe(f"{ROOT}/lab-b/down", qos=1)
                        await other.publish(f"{ROOT}/lab-b/telemetry", b"%d" % number, qos=0)

        churning = [asyncio.create_task(churn(number)) for number in range(4)]
        got: list[bytes] = []

        async def listen() -> None:
            async for message in city.messages:
                if str(message.topic).endswith("lab-a/up"):
                    assert isinstance(message.payload, bytes)
                    got.append(message.payload)
                    if len(got) == 600:
                        return

        listening = asyncio.create_task(listen())
        for number in range(600):
            await lab.publish(f"{ROOT}/lab-a/up", b"%d" % number, qos=1)
        await asyncio.wait_for(listening, 20)
        going = False
        await asyncio.gather(*churning)
    assert got == [b"%d" % number for number in range(600)]


async def test_a_message_over_the_limit_ends_only_its_sender(broker: Guarded):
    async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
        await listen_to_all(city)
        with contextlib.suppress(aiomqtt.MqttError):
            async with client(broker, "lab-b") as loud:
                await loud.publish(f"{ROOT}/lab-b/up", b"x" * 200_000, qos=1, timeout=2)
        await lab.publish(f"{ROOT}/lab-a/up", b"y" * 65_000, qos=1)
        assert [len(payload) for _, payload in await heard(city)] == [65_000]


@contextlib.asynccontextmanager
async def raw(broker: Guarded, user: str) -> AsyncGenerator[asyncio.StreamWriter]:
    """A connection without a client library, let in; nothing is read from it any more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", broker.port)
    try:
        writer.write(wire.connect(user, user, SECRETS[user]))
        assert (await reader.readexactly(4))[3] == 0
        yield writer
    finally:
        writer.close()


async def _sent(writer: asyncio.StreamWriter, packets: Iterable[bytes], within_s: float) -> int:
    """How many go out before the broker takes no more, or ends the connection."""
    sent = 0
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(within_s):
            for packet in packets:
                writer.write(packet)
                await writer.drain()
                sent += 1
    return sent


async def test_a_subscribe_of_256_mb_is_not_read_to_its_end(broker: Guarded):
    """Topic after topic, each of them small: only the packet's own length says how much it is."""
    async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
        await listen_to_all(city)
        topics = b"\0\1a\1" * 16_384
        giant = wire.framed(wire.SUBSCRIBE << 4 | 2, b"\0\1", wire.LONGEST)
        async with raw(broker, "lab-b") as writer:
            assert await _sent(writer, [giant, *[topics] * 4_000], 60) < 400
        await lab.publish(f"{ROOT}/lab-a/up", b"still here", qos=1)
        assert (f"{ROOT}/lab-a/up", b"still here") in await heard(city)


async def test_rubbish_on_the_port_harms_nobody(broker: Guarded):
    async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
        await listen_to_all(city)
        for rubbish in RUBBISH:
            _, writer = await asyncio.open_connection("127.0.0.1", broker.port)
            writer.write(rubbish)
            await writer.drain()
            writer.close()
        await lab.publish(f"{ROOT}/lab-a/up", b"still here", qos=1)
        assert await heard(city) == [(f"{ROOT}/lab-a/up", b"still here")]


async def test_a_client_that_stops_breathing_is_given_up(broker: Guarded):
    """A half-open connection: after its keep-alive its will is told."""
    async with client(broker, "orchestrator") as city:
        await listen_to_all(city)
        process = await _breathing(broker)
        try:
            here = await asyncio.wait_for(anext(aiter(city.messages)), 30)
            assert here.payload == b"here"
            process.send_signal(signal.SIGSTOP)
            message = await asyncio.wait_for(anext(aiter(city.messages)), 30)
        finally:
            process.kill()
            await process.wait()
        assert message.payload == b"gone"


async def _breathing(broker: Guarded) -> asyncio.subprocess.Process:
    program = (
        "import aiomqtt, asyncio, sys\n"
        "async def main():\n"
        " topic = 'cosmolocal/v1/lab-a/presence'\n"
        " will = aiomqtt.Will(topic, 'gone', qos=1, retain=True)\n"
        " async with aiomqtt.Client('127.0.0.1', int(sys.argv[1]), username='lab-a',\n"
        "   password='a-secret', identifier='lab-a', will=will, timeout=5, keepalive=2,\n"
        "   protocol=aiomqtt.ProtocolVersion.V311) as lab:\n"
        "  await lab.publish(topic, 'here', qos=1, retain=True)\n"
        "  await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, str(broker.port))


async def test_a_restarted_broker_is_empty_and_serves_again(tmp_path: Path):
    passwords, port = tmp_path / "passwd", free_port()
    access.write_passwords(passwords, {user: secret_hash(s) for user, s in SECRETS.items()})
    for _ in range(2):
        with embedded(passwords, port) as process:
            broker = Guarded("embedded", port, passwords)
            async with client(broker, "orchestrator") as city, client(broker, "lab-a") as lab:
                await listen_to_all(city)
                assert await heard(city, 0.2) == []
                await lab.publish(f"{ROOT}/lab-a/presence", b"here", qos=1, retain=True)
                assert len(await heard(city, 0.3)) == 1
            assert process.poll() is None


async def test_who_says_more_than_is_taken_is_held_back(tmp_path: Path):
    """The city reads nothing: what one lab says stays with that lab, not in the broker's memory."""
    passwords, port = tmp_path / "passwd", free_port()
    access.write_passwords(passwords, {user: secret_hash(s) for user, s in SECRETS.items()})
    loud = wire.Message(f"{ROOT}/lab-b/up", b"x" * 60_000, 0).packet()
    with embedded(passwords, port):
        broker = Guarded("embedded", port, passwords)
        async with raw(broker, "orchestrator") as city, raw(broker, "lab-b") as lab:
            city.write(wire.subscribe(f"{ROOT}/+/up"))
            await asyncio.sleep(1)
            assert await _sent(lab, [loud] * 5_000, 4) < 500


async def test_enrolled_and_retired_while_the_broker_runs(tmp_path: Path):
    passwords, port = tmp_path / "passwd", free_port()
    access.write_passwords(passwords, {"lab-a": secret_hash("a-secret")})
    with embedded(passwords, port):
        broker = Guarded("embedded", port, passwords)
        async with client(broker, "lab-a") as lab:
            access.write_passwords(passwords, {"lab-b": secret_hash("b-secret")})
            async with client(broker, "lab-b"):
                with pytest.raises(aiomqtt.MqttError):
                    await asyncio.wait_for(anext(aiter(lab.messages)), 10)
        with pytest.raises(aiomqtt.MqttError):
            async with client(broker, "lab-a"):
                pass


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's parent-death signal")
def test_the_broker_dies_with_its_parent(tmp_path: Path):
    passwords, port = tmp_path / "passwd", free_port()
    access.write_passwords(passwords, {"lab-a": secret_hash("a-secret")})
    BrokerSettings("127.0.0.1", port, passwords).write(tmp_path / "broker.toml")
    parent = subprocess.Popen([sys.executable, "-c", STEP_PARENT, str(tmp_path / "broker.toml")])
    for _ in range(200):
        if listens(port):
            break
        time.sleep(0.05)
    assert listens(port)
    parent.kill()
    parent.wait()
    for _ in range(50):
        if not listens(port):
            return
        time.sleep(0.05)
    pytest.fail("the broker outlived its parent")

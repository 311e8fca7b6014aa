"""Ports that are ours alone, that hang up, and that are not there."""

import os
import pty
import socket
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.errors import LinkLost, Refused
from firmware_bridge.links import open_link


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    master, slave = pty.openpty()
    tty.setraw(slave)
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    os.close(master)


def test_bytes_go_both_ways_and_silence_is_no_error(terminal: tuple[int, str]) -> None:
    master, name = terminal
    link = open_link(name, 250000)
    assert link.read(0.01) == b""
    link.write(b"M105\n")
    assert os.read(master, 100) == b"M105\n"
    os.write(master, b"ok T:20\n\x00\xff\x13")
    assert link.read(1) == b"ok T:20\n\x00\xff\x13"
    link.close()
    link.close()
    with pytest.raises(LinkLost, match="closed"):
        link.read(0)
    with pytest.raises(LinkLost, match="closed"):
        link.write(b"x")


def test_a_port_is_taken_once(terminal: tuple[int, str], tmp_path: Path) -> None:
    _, name = terminal
    alias = tmp_path / "by-id"
    alias.symlink_to(name)
    link = open_link(str(alias))
    with pytest.raises(Refused, match="in use"):
        open_link(name)
    link.close()
    open_link(name).close()


def test_a_hang_up_is_lost_at_once() -> None:
    master, slave = pty.openpty()
    link = open_link(os.ttyname(slave))
    os.close(slave)
    os.close(master)
    with pytest.raises(LinkLost):
        link.read(5)
    with pytest.raises(LinkLost):
        link.write(b"x")
    link.close()


def test_a_port_that_takes_nothing(terminal: tuple[int, str]) -> None:
    _, name = terminal
    link = open_link(name)
    with pytest.raises(LinkLost, match="takes no bytes"):
        link.write(b"x" * 1_000_000, timeout_s=0.1)
    link.close()


def test_what_is_no_port(tmp_path: Path) -> None:
    with pytest.raises(LinkLost, match="plugged in"):
        open_link(str(tmp_path / "nothing"))
    plain = tmp_path / "file"
    plain.write_bytes(b"")
    with pytest.raises((LinkLost, Refused)):
        open_link(str(plain))
    with pytest.raises(Refused, match="host and a port"):
        open_link("socket://nowhere")


def test_a_socket_is_a_link_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = open_link(f"socket://127.0.0.1:{server.getsockname()[1]}")
        peer, _ = server.accept()
        link.write(b"?")
        assert peer.recv(10) == b"?"
        peer.sendall(b"<Idle>\n")
        assert link.read(1) == b"<Idle>\n"
        peer.close()
        with pytest.raises(LinkLost, match="hung up"):
            link.read(1)
        link.close()
    with pytest.raises(LinkLost, match="does not answer"):
        open_link(f"socket://127.0.0.1:{server_port_nobody_has()}")


def server_port_nobody_has() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

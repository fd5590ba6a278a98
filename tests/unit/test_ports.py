"""Ports of test servers stay theirs while a server is down."""

import socket

import pytest

from tests.ports import free_ports


def listen(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))  # with SO_REUSEADDR, as servers do


def test_a_port_is_served_again_and_again() -> None:
    (port,) = free_ports(1)
    for _ in range(2):
        with listen(port) as server, socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""


def test_nobody_gets_it_by_chance_and_no_connection_comes_from_it() -> None:
    (port,) = free_ports(1)
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_ports_are_never_given_twice() -> None:
    ports = [port for _ in range(20) for port in free_ports(3)]
    assert len(set(ports)) == 60

"""Ports of the demo: the usual one where it is free, any free one where it is not."""

import socket


def choose(preferred: int, *, udp: bool = False) -> int:
    """`preferred` when nothing listens there on loopback, else a free port."""
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as probe:
            if not udp:  # two UDP programs with this option would share the port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            chosen: int = probe.getsockname()[1]
            return chosen
    raise OSError("no free port on loopback")

"""The services of a built server, by type."""

from typing import TypeVar

from server.app import Server

S = TypeVar("S")


def service_of(server: Server, kind: type[S]) -> S:
    """KeyError-like failure when no domain offers it."""
    for domain in server.domains:
        if kind in domain.services:
            service: S = domain.services[kind]
            return service
    raise AssertionError(f"no domain offers {kind.__name__}")

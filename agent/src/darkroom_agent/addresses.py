"""Sockets for aiohttp that connect to public addresses only (`darkroom.addresses` has the rule).

The address is checked at the moment a socket for it is made, so no second look-up of a name can exchange it, and
every redirect is checked as the first request is.
"""

import socket
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any, TypeAlias

from darkroom.addresses import ForbiddenAddressError, Network, is_allowed

__all__ = ["AddrInfo", "ForbiddenAddressError", "Network", "guarded_socket", "is_allowed"]

AddrInfo: TypeAlias = tuple[Any, Any, int, str, tuple[Any, ...]]


def guarded_socket(allowed: Iterable[Network] = ()) -> Callable[[AddrInfo], socket.socket]:
    """A socket factory for aiohttp's connector that makes sockets for allowed addresses only.

    It raises `ForbiddenAddressError` for others.
    """
    networks = tuple(allowed)

    def make(info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, target = info
        host = str(target[0]).partition("%")[0]  # a link-local address may carry its interface
        if family not in {socket.AF_INET, socket.AF_INET6} or not is_allowed(ip_address(host), networks):
            raise ForbiddenAddressError
        return socket.socket(family, kind, protocol)

    return make

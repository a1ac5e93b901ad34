"""Which network addresses strangers may make us connect to: public ones.

Links to inputs and URLs of webhooks come from strangers, and what follows them stands inside the network: a link
must not make it ask the instance's metadata service, the runtime beside it, or anything else that trusts its
neighbours (server-side request forgery). The rule is asked about the address that a socket is about to be made for,
so no second look-up of a name can exchange it.
"""

import errno
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

_FORBIDDEN: tuple[Network, ...] = (
    # what is_global of Python 3.11 lets pass, or did at times (the registries of RFC 6890 grow)
    IPv4Network("0.0.0.0/8"),  # "this network"; 0.0.0.0 reaches the host itself
    IPv4Network("100.64.0.0/10"),  # carrier-grade NAT, and inside some VPCs (RFC 6598)
    IPv4Network("168.63.129.16/32"),  # the metadata service of another cloud, on a public address
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    IPv4Network("198.18.0.0/15"),  # benchmarks (RFC 2544)
    IPv4Network("240.0.0.0/4"),  # reserved, broadcast included
    IPv6Network("::/96"),  # IPv4-compatible, unspecified and loopback (RFC 4291)
    IPv6Network("64:ff9b:1::/48"),  # local NAT64: what stands behind is unknown (RFC 8215)
    IPv6Network("100::/64"),  # discarded (RFC 6666)
    IPv6Network("2001::/23"),  # protocol assignments, Teredo included (RFC 2928)
    IPv6Network("2001:db8::/32"),  # documentation (RFC 3849)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
    IPv6Network("5f00::/16"),  # segment routing (RFC 9602)
    IPv6Network("fc00::/7"),  # unique local; EC2's IPv6 metadata service is among them
    IPv6Network("fec0::/10"),  # site-local of old (RFC 3879)
)

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


class ForbiddenAddressError(OSError):
    """The address is not a public one."""

    def __init__(self) -> None:
        # one text for every address: the connector then raises this very error, not a summary of several
        super().__init__(errno.EACCES, "the address is not a public one")


def inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, 6to4, NAT64); otherwise the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_allowed(address: Address, allowed: Iterable[Network] = ()) -> bool:
    """True for public unicast addresses, and for those in `allowed`."""
    target = inner(address)
    if any(candidate in network for network in allowed for candidate in (address, target)):
        return True
    return (
        target.is_global
        and not target.is_multicast
        and not target.is_reserved
        and not any(target in network for network in _FORBIDDEN)
    )

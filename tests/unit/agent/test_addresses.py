"""Which addresses may be fetched from, each with a reason."""

import socket
from ipaddress import ip_address, ip_network

import pytest

from darkroom_agent.addresses import ForbiddenAddressError, guarded_socket, is_allowed


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0", "unspecified: reaches this host"),  # noqa: S104  nothing is bound
        ("0.1.2.3", "this network"),
        ("10.1.2.3", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback, to its end"),
        ("168.63.129.16", "a cloud's metadata service on a public address"),
        ("169.254.169.254", "instance metadata"),
        ("169.254.170.2", "credentials of containers"),
        ("169.254.170.23", "credentials of EKS pods"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private, to its end"),
        ("192.0.0.1", "protocol assignments"),
        ("192.0.2.1", "documentation"),
        ("192.88.99.1", "6to4 relay"),
        ("192.168.1.1", "private"),
        ("198.18.0.1", "benchmarks"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.250", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "loopback, mapped"),
        ("::ffff:169.254.169.254", "metadata, mapped"),
        ("::ffff:10.0.0.1", "private, mapped"),
        ("64:ff9b::169.254.169.254", "metadata behind NAT64"),
        ("64:ff9b::10.0.0.1", "private behind NAT64"),
        ("64:ff9b:1::1", "local NAT64"),
        ("100::1", "discard"),
        ("2001::1", "Teredo"),
        ("2001:db8::1", "documentation"),
        ("2002:7f00:1::", "loopback in 6to4"),
        ("2002:a9fe:a9fe::", "metadata in 6to4"),
        ("3fff::1", "documentation"),
        ("5f00::1", "segment routing"),
        ("fc00::1", "unique local"),
        ("fd00:ec2::254", "instance metadata, version 6"),
        ("fd00:ec2::23", "credentials of EKS pods, version 6"),
        ("fe80::1", "link-local"),
        ("fec0::1", "site-local"),
        ("ff02::1", "multicast"),
    ],
)
def test_addresses_that_are_not_public_are_forbidden(address: str, reason: str) -> None:
    assert not is_allowed(ip_address(address)), reason


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "52.218.0.1",
        "172.32.0.1",
        "100.128.0.1",
        "198.20.0.1",
        "2600:1f18::1",
        "2606:4700:4700::1111",
        "64:ff9b::1.1.1.1",
        "::ffff:1.1.1.1",
        "2002:101:101::",
    ],
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ip_address(address))


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3"])
def test_a_network_can_be_allowed(address: str) -> None:
    assert is_allowed(ip_address(address), [ip_network("10.1.0.0/16")])
    assert not is_allowed(ip_address(address), [ip_network("10.2.0.0/16")])


@pytest.mark.parametrize(
    "info",
    [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80)),
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fe80::1%eth0", 80, 0, 2)),
        (socket.AF_UNIX, socket.SOCK_STREAM, 0, "", ("/run/docker.sock",)),
    ],
)
def test_no_socket_is_made_for_a_forbidden_address(info: tuple[int, int, int, str, tuple[object, ...]]) -> None:
    with pytest.raises(ForbiddenAddressError):
        guarded_socket()(info)

"""Posting over real sockets: what counts as an answer, how long one is waited for, and where nothing is sent."""

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.receivers import Receiver, raw, run_receiver, says

from darkroom.addresses import Network
from darkroom.deliveries import Fault, Reply
from darkroom.net.posts import HttpPoster

HERE = (ip_network("127.0.0.0/8"),)
BODY = b'{"type": "task.succeeded"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with run_receiver() as running:
        yield running


def post(
    url: str,
    *,
    seconds: float = 5,
    allowed: tuple[Network, ...] = HERE,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    poster = HttpPoster(allowed, seconds, tls or ssl.create_default_context())
    return poster.post(url, BODY, {"webhook-id": "1"})


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names lead to, for this test; every look-up counts anew."""
    known: dict[str, list[str]] = {}
    look_up = socket.getaddrinfo

    def answer(host: str, port: int, **rest: Any) -> list[Any]:
        if host not in known:
            return list(look_up(host, port, **rest))
        found = known[host]
        address = found.pop(0) if len(found) > 1 else found[0]
        return [(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


def test_the_body_and_the_headers_arrive_as_they_are(receiver: Receiver) -> None:
    assert post(f"{receiver.url}?token=a%20b") == Reply(status=204)

    (got,) = receiver.received
    assert (got.path, got.body) == ("/hooks?token=a%20b", BODY)
    assert got.headers["webhook-id"] == "1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [200, 202, 301, 307, 400, 410, 500, 503])
def test_the_status_is_the_answer(receiver: Receiver, status: int) -> None:
    receiver.answers = [says(status, b"more")]

    assert post(receiver.url) == Reply(status=status)


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answers = [says(307, location=f"{receiver.url}/elsewhere"), says(200)]

    reply = post(receiver.url)

    assert (reply.status, reply.delivered) == (307, False)
    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        pytest.param("120", 120, id="seconds"),
        pytest.param("Fri, 31 Dec 1999 23:59:59 GMT", 0, id="a date in the past"),
        pytest.param("soon", None, id="nonsense"),
        pytest.param("-5", None, id="negative"),
        pytest.param("9" * 400, 999_999_999, id="huge"),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(
    receiver: Receiver, header: str, seconds: float | None
) -> None:
    receiver.answers = [says(503, retry_after=header)]

    assert post(receiver.url) == Reply(status=503, retry_after=seconds)


def test_a_huge_body_is_not_read_to_its_end(receiver: Receiver) -> None:
    size = 1 << 33
    receiver.answers = [raw(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, b"x" * 1_000_000, pause=0.01)]

    assert post(receiver.url) == Reply(status=200)


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        pytest.param(raw(b"", pause=30), Fault.TIMEOUT, id="says nothing"),
        pytest.param(raw(*[b"H"] * 100, pause=0.1), Fault.TIMEOUT, id="drips its status"),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\n", *[b"X-A: b\r\n"] * 90, pause=0.1), Fault.TIMEOUT, id="drips its headers"
        ),
        pytest.param(raw(), Fault.CONNECTION_FAILED, id="hangs up"),
        pytest.param(raw(b"SSH-2.0-OpenSSH_9.7\r\n"), Fault.BAD_ANSWER, id="speaks something else"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500), Fault.BAD_ANSWER, id="endless headers"),
    ],
)
def test_what_is_no_answer_is_a_fault_within_the_deadline(receiver: Receiver, answer: Any, fault: Fault) -> None:
    receiver.answers = [answer]
    started = time.monotonic()

    assert post(receiver.url, seconds=0.7) == Reply(fault=fault)
    assert time.monotonic() - started < 1.5


def test_a_slow_body_does_not_undo_an_answer(receiver: Receiver) -> None:
    receiver.answers = [raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", *[b"x"] * 100, pause=0.1)]
    started = time.monotonic()

    assert post(receiver.url, seconds=0.7) == Reply(status=200)
    assert time.monotonic() - started < 1.5


def test_a_port_where_nobody_listens_is_a_fault() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert post(f"http://127.0.0.1:{port}/") == Reply(fault=Fault.CONNECTION_FAILED)


def test_a_name_without_an_address_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nothing)

    assert post("https://nowhere.example/") == Reply(fault=Fault.UNKNOWN_HOST)


def test_what_cannot_be_a_name_is_a_fault() -> None:
    assert post("https://" + "a" * 70 + ".example/") == Reply(fault=Fault.UNKNOWN_HOST)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00:ec2::254", "64:ff9b::a9fe:a9fe"],
)
def test_a_name_that_leads_inside_is_not_connected_to(
    receiver: Receiver, names: dict[str, list[str]], address: str
) -> None:
    names["rebound.example"] = [address]

    assert post(f"https://rebound.example:{receiver.port}/", allowed=()) == Reply(fault=Fault.FORBIDDEN_ADDRESS)
    assert receiver.received == []


@pytest.mark.parametrize("url", ["https://127.0.0.1:{}/", "https://localhost:{}/", "https://2130706433:{}/"])
def test_this_host_is_not_connected_to_however_it_is_written(receiver: Receiver, url: str) -> None:
    assert post(url.format(receiver.port), allowed=()) == Reply(fault=Fault.FORBIDDEN_ADDRESS)


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    receiver: Receiver, names: dict[str, list[str]]
) -> None:
    names["rebinding.example"] = ["127.0.0.1", "169.254.169.254"]  # a second look-up would find the second

    assert post(f"http://rebinding.example:{receiver.port}/") == Reply(status=204)
    assert len(names["rebinding.example"]) == 1


def test_without_tls_only_networks_that_were_allowed_are_posted_to(names: dict[str, list[str]]) -> None:
    names["public.example"] = ["1.1.1.1"]

    assert post("http://public.example/", allowed=()) == Reply(fault=Fault.FORBIDDEN_ADDRESS)


def test_a_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_receiver() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        post(receiver.url)

    assert (len(proxy.received), len(receiver.received)) == (0, 1)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    day = timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.now(UTC) - day)
        .not_valid_after(datetime.now(UTC) + day)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "receiver.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def tls_receiver(certificate: Path) -> Iterator[Receiver]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with run_receiver(tls) as running:
        yield running


def test_over_tls_a_trusted_receiver_gets_its_webhook(tls_receiver: Receiver, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    assert post(tls_receiver.url, tls=trusting) == Reply(status=204)
    assert tls_receiver.received[0].body == BODY


def test_a_certificate_that_nobody_vouches_for_is_not_trusted(tls_receiver: Receiver) -> None:
    assert post(tls_receiver.url) == Reply(fault=Fault.TLS_FAILED)
    assert tls_receiver.received == []


def test_a_certificate_of_another_name_is_not_trusted(tls_receiver: Receiver, certificate: Path) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))

    assert post(f"https://localhost:{tls_receiver.port}/", tls=trusting) == Reply(fault=Fault.TLS_FAILED)


def test_a_receiver_without_tls_gets_nothing_over_https(receiver: Receiver) -> None:
    assert post(f"https://127.0.0.1:{receiver.port}/", seconds=2).fault in {
        Fault.TLS_FAILED,
        Fault.CONNECTION_FAILED,
    }
    assert receiver.received == []

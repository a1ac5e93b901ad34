"""Which webhooks are accepted."""

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from darkroom.addresses import Network
from darkroom.errors import InvalidRequestError
from darkroom.webhooks import Webhook, check_webhook

LOOPBACK = [ip_network("127.0.0.0/8")]


def refusal(url: str, allowed: list[Network] | None = None) -> str:
    with pytest.raises(InvalidRequestError) as caught:
        check_webhook(Webhook(url=url), allowed or [], at="webhook")
    (fault,) = caught.value.fields
    assert fault.field == "webhook.url"
    return fault.message


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/hooks?token=1&x=%20",
        "https://example.com:8443/hooks",
        "https://xn--bcher-kva.example/",
        "https://1.1.1.1/",
        "https://[2606:4700:4700::1111]/hooks",
    ],
)
def test_public_https_urls_are_accepted(url: str) -> None:
    check_webhook(Webhook(url=url))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hooks",
        "ftp://example.com/",
        "https://",
        "https:///hooks",
        "https://example.com:0/",
        "https://example.com:70000/",
        "https://example.com/a b",
        "https://example.com/\r\nx: y",
        "https://bücher.example/",
        "https://user:password@example.com/",
        "https://user@example.com/",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_what_is_no_url_of_ours_is_no_webhook(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook(url=url)
    assert [fault["loc"] for fault in caught.value.errors()] == [("url",)]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/", "loopback"),
        ("https://localhost/", "a name that every resolver knows"),
        ("https://a.localhost./", "likewise"),
        ("https://127.1/", "loopback, shortened"),
        ("https://2130706433/", "loopback as a number"),
        ("https://0x7f000001/", "loopback in hexadecimal"),
        ("https://0177.0.0.1/", "loopback in octal"),
        ("https://10.0.0.8:8443/", "private"),
        ("https://169.254.169.254/latest/meta-data", "instance metadata"),
        ("https://[::1]/", "loopback"),
        ("https://[::ffff:10.0.0.1]/", "private, mapped"),
        ("https://[fe80::1%25eth0]/", "link-local"),
        ("https://[fd00:ec2::254]/", "instance metadata"),
    ],
)
def test_an_address_that_is_not_public_is_refused_without_a_look_up(url: str, reason: str) -> None:
    assert "not public" in refusal(url), reason


def test_plain_http_is_refused() -> None:
    assert "https://" in refusal("http://example.com/hooks")
    assert "https://" in refusal("http://1.1.1.1/hooks", [*LOOPBACK])


def test_in_a_network_that_is_allowed_both_schemes_are_accepted() -> None:
    for url in ("http://127.0.0.1:8080/hooks", "https://127.0.0.1:8443/hooks", "http://localhost:8080/"):
        check_webhook(Webhook(url=url), LOOPBACK)
    assert "not public" in refusal("http://10.0.0.1/", [*LOOPBACK])


def test_an_unknown_event_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        Webhook.model_validate({"url": "https://example.com", "events": ["task.succeeded", "task.finished"]})

    (fault,) = caught.value.errors()
    assert (fault["loc"], fault["input"]) == (("events", 1), "task.finished")
    assert "'task.failed'" in fault["msg"]


@pytest.mark.parametrize("name", ["", "../a", "a/b", "a" * 65, "a\n"])
def test_what_cannot_be_a_secrets_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Webhook(url="https://example.com", secret_ref=name)

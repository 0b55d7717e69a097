"""Who may see credentials, and how challenges and headers are read."""

from __future__ import annotations

import base64
import json

import pytest

from wherry.registry import url as urls
from wherry.registry.auth import may_send_credentials, parse_challenges
from wherry.registry.credentials import parse_registry_auth_header, registry_of_address
from wherry.registry.errors import Refused
from wherry.registry.proxies import ProxySettings


@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        ("https://r.test", "https://r.test/token", True),
        ("https://r.test:5000", "https://r.test/token", True),
        ("http://r.test:5000", "http://r.test:5000/token", True),
        ("http://r.test:5000", "http://r.test:5001/token", False),
        ("https://registry-1.docker.io", "https://auth.docker.io/token", True),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("https://registry.example.co.uk", "https://auth.example.co.uk/t", True),
        ("https://good.co.uk", "https://evil.co.uk/t", False),
        ("https://a.github.io", "https://b.github.io/t", False),
        ("https://r.test", "https://r.test.evil.example/t", False),
        ("https://registry.good.example", "https://evil.example/t", False),
        ("https://127.0.0.1:1", "https://127.0.0.2:1/t", False),
        ("https://10.0.0.1", "https://10.0.0.1:8443/t", True),
        ("https://r", "https://s/t", False),
    ],
)
def test_realms_that_may_see_credentials(registry: str, realm: str, allowed: bool) -> None:
    assert may_send_credentials(urls.parse(registry), urls.parse(realm)) is allowed


def test_listed_realm_may_see_credentials() -> None:
    registry, realm = urls.parse("http://r.test"), urls.parse("http://auth.other.test:8080/t")
    assert not may_send_credentials(registry, realm)
    assert may_send_credentials(registry, realm, ["auth.other.test:8080"])


def test_challenges_are_read_with_quotes_commas_and_several_at_once() -> None:
    found = parse_challenges(['Bearer realm="https://a/t?x=1,2",service="s \\"q\\"", scope=pull', "Basic realm=x"])
    assert [(one.scheme, one.realm, one.service, one.scope) for one in found] == [
        ("bearer", "https://a/t?x=1,2", 's "q"', "pull"),
        ("basic", "x", "", ""),
    ]
    for odd in ("", "=", 'Bearer realm="', "Bearer,,,", "\0", 'Bearer realm="a" junk'):
        parse_challenges([odd])


@pytest.mark.parametrize(
    "header", ["", "!!!", "e30", "bnVsbA==", base64.b64encode(b"[1]").decode(), "=" * 9, "W" * 999]
)
def test_odd_auth_headers_count_as_none(header: str) -> None:
    assert parse_registry_auth_header(header) is None


def test_auth_header_is_read_in_both_alphabets_and_without_padding() -> None:
    body = json.dumps({"username": "a", "password": "ÿ>?ÿ>?", "serveraddress": "r.test"}).encode()
    for text in (base64.urlsafe_b64encode(body), base64.b64encode(body), base64.urlsafe_b64encode(body).rstrip(b"=")):
        found = parse_registry_auth_header(text.decode())
        assert found is not None and found.password == "ÿ>?ÿ>?"
        assert "ÿ" not in repr(found)
    packed = json.dumps({"auth": base64.b64encode(b"u:p:q").decode()}).encode()
    found = parse_registry_auth_header(base64.b64encode(packed).decode())
    assert found is not None and (found.username, found.password) == ("u", "p:q")


def test_login_addresses_of_the_hub_are_one() -> None:
    for address in ("", "https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"):
        assert registry_of_address(address) == "docker.io"
    assert registry_of_address("https://r.test:5000/v2/") == "r.test:5000"


@pytest.mark.parametrize(
    "text",
    ["file:///etc/passwd", "unix:/x", "//host/x", "http://", "http://u:p@h/", "http://h:99999/", "http://h/\r\nX: y"],
)
def test_urls_that_are_not_plain_http_are_refused(text: str) -> None:
    with pytest.raises(Refused):
        urls.parse(text)


@pytest.mark.parametrize(
    ("url", "proxied"),
    [("http://r.test/", True), ("https://r.test/", True), ("http://localhost:5000/", False),
     ("http://127.0.0.1/", False),
     ("https://in.corp/", False), ("https://corp/", False), ("https://notcorp/", True), ("https://10.1.2.3/", False),
     ("https://other.test:8443/", False), ("https://other.test/", True)],
)  # fmt: skip
def test_no_proxy_is_honoured(url: str, proxied: bool) -> None:
    settings = ProxySettings("http://p:3128", "p:3128", ".corp, 10.0.0.0/8,other.test:8443")
    assert (settings.choose(urls.parse(url)) is not None) is proxied


def test_proxies_come_from_the_environment_below_the_configuration() -> None:
    environment = {"HTTPS_PROXY": "http://env:1", "http_proxy": "http://low:2", "HTTP_PROXY": "http://up:3"}
    found = ProxySettings(https="http://own:9").over(ProxySettings.from_environment(environment))
    assert (found.http, found.https) == ("http://low:2", "http://own:9")

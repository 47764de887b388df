"""What is judged is what is served: ambiguous spellings are refused."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, Route, Service
from gateway.enforcement.target import names_host, split
from gateway.routing import Routing


@pytest.mark.parametrize(
    "target",
    [
        "/accounts/%31",
        "/accounts/%2e%2e/admin",
        "/accounts/..%2fadmin",
        "/accounts/../admin",
        "/accounts/.",
        "//admin",
        "/accounts//1",
        "/accounts;x/1",
        "/accounts/%3bx",
        "/accounts%00",
        "/accounts\\admin",
        "/accounts/%5cadmin",
        "/%41dmin",
        "/%7euser",
        "/caf\xc3",
        "/%ff",
        "/a/%252e%252e/b",
        "/a/%u002e%u002e/b",
        "/a/100%",
        "/a#b",
        "/a?b#c",
        "/a?b c",
        "/a?b\tc",
        "/a?caf\xc3",
        "/a/%2",
        "/a/%zz",
        "/a/%%32%66b",
        "accounts",
        "http://other/accounts",
        "",
        "*",
    ],
)
def test_an_ambiguous_path_is_none(target: str) -> None:
    assert split(target) is None


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/accounts/1", "/accounts/1", ""),
        ("/accounts/1?a=%2e%2e;b//c", "/accounts/1", "a=%2e%2e;b//c"),
        ("/bank.Ledger/Watch", "/bank.Ledger/Watch", ""),
        ("/caf%C3%A9", "/café", ""),
        ("/a%40b", "/a@b", ""),
        ("/.well-known/x", "/.well-known/x", ""),
    ],
)
def test_a_plain_path_is_decoded_once(target: str, path: str, query: str) -> None:
    assert split(target) == (path, query)


@given(st.text(alphabet="/.%;\\2eEfF05cabz?", max_size=20))
def test_a_decoded_path_never_needs_decoding_again(rest: str) -> None:
    found = split(f"/{rest}")
    if found is not None:
        path, _ = found
        assert ".." not in path.split("/")
        assert "//" not in path
        assert unquote(path) == path


def test_the_first_route_wins() -> None:
    services = {name: Service(address="127.0.0.1", port=1) for name in ("deep", "wide")}
    routes = (Route(prefix="/a/b", service="deep"), Route(prefix="/a", service="wide"))
    routing = Routing(Config(services=services, routes=routes))
    found = [getattr(routing.match(path), "service", None) for path in ("/a/b/c", "/a/c", "/x")]
    assert found == ["deep", "wide", None]


@pytest.mark.parametrize("host", ["bank.example", "bank", "a_b.c-d:8443", "10.0.0.1:80", "[::1]", "[2001:db8::1]:443"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert names_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a.",
            "*",
            "a b",
            "a@b",
            "a/b",
            "a,b",
            "a%2fb",
            "a?b",
            "a#b",
            "a\\b",
            "a\tb",
            "a\n",
        ),
        *("http://a", "a:b", "a:", "a:123456", "[::1", "::1", "[a.b]x", "caf\xc3\xa9", "\0", "a" * 64, "a." * 32 + "a"),
    ],
)
def test_any_other_host_is_ambiguous(host: str) -> None:
    assert not names_host(host)

"""Normal forms of URIs: equal for spellings of one resource, different for different resources."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.identity import uri

UNRESERVED = "ABYZabyz0189-._~"
_segment = st.text("".join(sorted({*UNRESERVED, *"!$&'()*+,;=:@|[]"})), max_size=6)
_escape = st.integers(0, 255).map(lambda code: f"%{code:02X}")
_piece = st.lists(_segment | _escape, max_size=3).map("".join)
_path = st.lists(_piece | st.sampled_from([".", "..", "%2e%2E"]), max_size=5).map(lambda parts: "/" + "/".join(parts))
_name = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?(\.[a-z]{2,3})?", fullmatch=True)
_host = _name | st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(lambda address: f"[{address}]")
_port = st.just("") | st.integers(1, 65_535).map(lambda port: f":{port}")
_scheme = st.sampled_from(["http", "https"])
_uri = st.tuples(_scheme, st.just("://"), _host, _port, _path).map("".join)


@pytest.mark.parametrize(
    ("spelling", "normal"),
    [
        ("https://server.example.com/token", "https://server.example.com/token"),
        ("HTTPS://Server.EXAMPLE.com/Token", "https://server.example.com/Token"),
        ("https://h:443/a", "https://h/a"),
        ("http://h:80/a", "http://h/a"),
        ("https://h:80/a", "https://h:80/a"),
        ("https://h:/a", "https://h/a"),
        ("https://h:08443/a", "https://h:8443/a"),
        ("https://h", "https://h/"),
        ("https://h?q=1", "https://h/"),
        ("https://h#f?q", "https://h/"),
        ("https://h/a?q=/../b#f", "https://h/a"),
        ("https://h/%7euser/%c3%a9", "https://h/~user/%C3%A9"),
        ("https://h/%41%2f%2E%2e%5c", "https://h/A%2F..%5C"),
        ("https://h/%2e/a/%2E%2e/b", "https://h/b"),
        ("https://h/a/./b/../c/..", "https://h/a/"),
        ("https://h/../../a/.", "https://h/a/"),
        ("https://h/a//b/", "https://h/a//b/"),
        ("https://h/a//../b", "https://h/a/b"),
        ("https://h/...", "https://h/..."),
        ("https://h/%2541", "https://h/%2541"),
        ("https://ex%41mple.%c3%a9/", "https://example.%C3%A9/"),
        ("https://xn--bcher-kva.example/", "https://xn--bcher-kva.example/"),
        ("https://[2001:DB8:0:0::1]:443/", "https://[2001:db8::1]/"),
        ("https://[::ffff:192.0.2.1]:8443/", "https://[::ffff:c000:201]:8443/"),
        ("https://h/a|b[c]", "https://h/a|b[c]"),
    ],
)
def test_the_normal_form(spelling: str, normal: str) -> None:
    assert uri.normal(spelling) == normal


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/a",
            "h/a",
            "https:h/a",
            "https:/h/a",
            "//h/a",
            "ftp://h/a",
            "wss://h/a",
            "https:///a",
            "https://:443/a",
        ),
        *("https://alice@h/a", "https://alice:secret@h/a", "https://@h/a", "https://h@evil/a", "https://h:443@evil/a"),
        *("https://h:65536/a", "https://h:123456/a", "https://h:-1/a", "https://h:x/a"),
        *("https://[::1/a", "https://[]/a", "https://[v1.a]/a", "https://[fe80::1%25eth0]/a", "https://[12345::]/a"),
        *("https://h/%", "https://h/%4", "https://h/%4g", "https://h%4/a", "https://h%zz/a", "https://h/%%41"),
        *("https://h/a\\b", "https://h\\@evil/a", "https://h/ a", " https://h/a", "https://h/a\n", "https://h/a\x00"),
        *("https://h/é", "https://bücher.example/", "https://h/a?é", "https://h /a", "https://h/\udc80"),
    ],
)
def test_what_is_no_resource_has_no_normal_form(text: str) -> None:
    assert uri.normal(text) is None


@given(_uri)
def test_a_normal_form_is_its_own(spelling: str) -> None:
    normal = uri.normal(spelling)
    assert normal is not None
    assert uri.normal(normal) == normal


@given(_uri, st.data())
def test_spellings_of_one_resource_are_equal(one: str, data: st.DataObject) -> None:
    other = data.draw(respelled(one))
    assert uri.normal(other) == uri.normal(one)


@st.composite
def respelled(draw: st.DrawFn, one: str) -> str:
    """Another spelling, by each of the freedoms that RFC 3986 section 6.2 takes away."""
    parts = urlsplit(one)
    scheme, host, path = parts.scheme, one.split("/")[2].removesuffix(f":{parts.port}"), parts.path
    default = {"http": 80, "https": 443}[scheme]
    if parts.port in (None, default):
        host += draw(st.sampled_from(["", ":", f":{default}"]))
    else:
        host += f":{parts.port}"
    path = "".join(draw(escaped(token)) for token in re.findall("%..|.", path))
    dots = draw(st.sampled_from(["", "/.", "/x/..", "/%2E", "/x/y/../.%2e"]))
    tail = draw(st.sampled_from(["", "?q=1", "#f", "?a=/..#%41"]))
    return f"{draw(cased(scheme))}://{draw(cased(host))}{dots}{path}{tail}"


def escaped(token: str) -> st.SearchStrategy[str]:
    """An escape in either case; an unreserved character as itself or as its escape."""
    if len(token) > 1:
        return cased(token)
    return st.sampled_from([token, f"%{ord(token):02x}", f"%{ord(token):02X}"] if token in UNRESERVED else [token])


def cased(text: str) -> st.SearchStrategy[str]:
    return st.lists(st.booleans(), min_size=len(text), max_size=len(text)).map(
        lambda upper: "".join(c.upper() if up else c for c, up in zip(text, upper, strict=True))
    )


# Segments that are in normal form already, so that two of them are equal only if they are the same.
_plain = st.text("AaBb01-_~!$:@", min_size=1, max_size=4) | st.sampled_from(["%2F", "%20", "%25", "...", "%C3%A9", ""])
_plain_path = st.lists(_plain, min_size=1, max_size=3).map(lambda segments: "/" + "/".join(segments))
_resource = st.tuples(_scheme, _name, st.integers(1, 65_535), _plain_path)


@given(_resource, _resource)
def test_different_resources_are_never_equal(one: tuple[str, str, int, str], other: tuple[str, str, int, str]) -> None:
    assume(one != other)
    assert uri.normal("{}://{}:{}{}".format(*one)) != uri.normal("{}://{}:{}{}".format(*other))


@given(st.text() | st.from_regex(r"(?i)https?://.*", fullmatch=True))
def test_any_text_has_one_normal_form_or_none(text: str) -> None:
    normal = uri.normal(text)
    assert normal is None or uri.normal(normal) == normal

"""HTTP URIs by what they name: two spellings of one resource become the same text (RFC 3986 sections 6.2.2, 6.2.3)."""

from __future__ import annotations

import ipaddress
import re

# Query and fragment are not looked at. A path may hold any visible ASCII but a backslash, which some read as a slash:
# clients send more characters raw than RFC 3986 allows. What is no host by RFC 3986 section 3.2.2 has no normal form.
_URI = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>(?:[a-z0-9._~!$&'()*+,;=-]|%[0-9a-f]{2})+))"
    r"(?::(?P<port>[0-9]{0,5}))?(?P<path>(?:/[!-\"$->@-\[\]-~]*)?)(?:[?#][!-~]*)?\Z",
    re.IGNORECASE,
)
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")
_DEFAULT_PORT = {"http": 80, "https": 443}


def normal(uri: str) -> str | None:
    """The normal form of an absolute http or https URI, without query and fragment. None for anything else: user
    information, no host, a port out of range, broken escapes, characters that are not visible ASCII.
    """
    match = _URI.match(uri)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    host, port, path = _host(match), _port(match["port"] or "", scheme), _unescaped(match["path"])
    if host is None or port is None or path is None:
        return None
    return f"{scheme}://{host}{port}{_without_dots(path)}"


def _host(match: re.Match[str]) -> str | None:
    if match["name"] is not None:
        return _lower(_unescaped(match["name"]) or "")
    try:
        return f"[{ipaddress.IPv6Address(match['address'])}]"
    except ValueError:
        return None


def _lower(name: str) -> str:
    """Lower case, but for the digits of escapes, which are normal in upper case."""
    return _ESCAPE.sub(lambda escape: escape[0].upper(), name.lower())


def _port(text: str, scheme: str) -> str | None:
    number = int(text or _DEFAULT_PORT[scheme])
    if number > 65_535:
        return None
    return "" if number == _DEFAULT_PORT[scheme] else f":{number}"


def _unescaped(text: str) -> str | None:
    """With unreserved characters as themselves and all other escapes in upper case; None for a broken escape."""
    if "%" not in text:
        return text
    return None if any(escape[1] is None for escape in _ESCAPE.finditer(text)) else _ESCAPE.sub(_plain, text)


def _plain(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return character if _UNRESERVED.match(character) else escape[0].upper()


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4, for an absolute path; an empty one is the root."""
    if "/." not in path:
        return path or "/"
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)

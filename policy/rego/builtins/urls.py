"""URLs and their queries, as Go's net/url reads them: leniently in the path, strictly in the host."""

from __future__ import annotations

import ipaddress
import re
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

from policy.rego.builtins.operands import octets, text_of
from policy.rego.builtins.strings import texts
from policy.rego.values import UNDEFINED, to_python

MAX_PARAMETERS = 10_000  # of a query, as in Go
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):", re.ASCII)
_PORT = re.compile(r":[0-9]*\Z", re.ASCII)
_USER = re.compile(r"[A-Za-z0-9._:~!$&'()*+,;=%@-]*", re.ASCII)
_HOST = "!\"$&'()*+,-.:;<=>[]_~" + ascii_letters + digits  # may stand in a host
_RAW = f"[{re.escape(_HOST)}\u0080-\U0010ffff]"
_HOSTS = re.compile(f"(?:{_RAW}|%25|%[89A-Fa-f][0-9A-Fa-f])*")
_ZONES = re.compile(f"(?:{_RAW}|(?i:{'|'.join(f'%{ord(char):02x}' for char in _HOST + ' %')}))*")
_PATH = "$&+,-./:;=@_~"  # stands in a path as it is


def unescaped(text: str) -> str:
    """The text with its escapes decoded. Raises ValueError if one is incomplete."""
    if _BROKEN_ESCAPE.search(text):
        raise ValueError("incomplete escape")
    return text_of(unquote_to_bytes(octets(text))) if "%" in text else text


def _decoded(text: str) -> str:
    return unescaped(text.replace("+", " "))


def encode(text: str) -> str:
    """The text as it stands in a query."""
    return quote_plus(octets(text))


def decode(text: str) -> Any:
    """The text that stood in a query."""
    try:
        return _decoded(text)
    except ValueError:
        return UNDEFINED


def encode_object(fields: Any) -> Any:
    """A query of an object's texts, arrays and sets of texts, by name."""
    if type(fields) is not dict:
        return UNDEFINED
    pairs = []
    for name, value in sorted(to_python(fields).items(), key=lambda item: octets(item[0])):
        values = [value] if type(value) is str else value
        if type(values) is not list or not all(type(one) is str for one in values):
            return UNDEFINED
        pairs += [f"{encode(name)}={encode(one)}" for one in values]
    return "&".join(pairs)


def decode_object(query: str) -> Any:
    """Object of a query's names, and the values of each."""
    fields: dict[str, list[str]] = {}
    parts = query.split("&")
    if len(parts) > MAX_PARAMETERS or ";" in query:
        return UNDEFINED
    try:
        for part in filter(None, parts):
            name, _, value = part.partition("=")
            fields.setdefault(_decoded(name), []).append(_decoded(value))
    except ValueError:
        return UNDEFINED
    return fields


def parse(text: str) -> Any:
    """Object of the parts that a URL has: scheme, hostname, port, path, raw_path, raw_query, fragment."""
    try:
        found = _parts(text)
    except ValueError:
        return UNDEFINED
    return {name: value for name, value in found.items() if value}


def is_valid(text: Any) -> bool:
    """Whether it is a URL, absolute or relative."""
    return type(text) is str and text != "" and parse(text) is not UNDEFINED


def _parts(text: str) -> dict[str, str]:
    text, _, fragment = text.partition("#")
    if any(char < " " or char == "\x7f" for char in text):
        raise ValueError("control character")
    if text.startswith(":"):
        raise ValueError("no scheme")
    scheme = found[1].lower() if (found := _SCHEME.match(text)) else ""
    rest, _, query = text[found.end() if found else 0 :].partition("?")
    parts = {"scheme": scheme, "raw_query": query, "fragment": unescaped(fragment)}
    if not rest.startswith("/"):
        if scheme:
            return parts  # its rest is opaque
        if ":" in rest.partition("/")[0]:
            raise ValueError("the first segment looks like a scheme")
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, rest = rest[2:].partition("/")
        parts |= _authority(scheme, authority)
        rest = slash + rest
    path = unescaped(rest)
    return {**parts, "path": path, "raw_path": rest if rest != quote(octets(path), safe=_PATH) else path}


def _authority(scheme: str, authority: str) -> dict[str, str]:
    user, _, host = authority.rpartition("@")
    if not _USER.fullmatch(user):
        raise ValueError("no user")
    unescaped(user)
    name, port = _host_and_port(_host(scheme, host))
    return {"hostname": name, "port": port}


def _host(scheme: str, host: str) -> str:
    if "[" in host:
        return _literal(host)
    port = host[host.find(":") if scheme in ("http", "https") else host.rfind(":") :] if ":" in host else ""
    if port and not _PORT.fullmatch(port):
        raise ValueError("no port")
    return _checked(_HOSTS, host)


def _literal(host: str) -> str:
    """An IPv6 address in brackets (RFC 3986, RFC 6874)."""
    opening, closing = host.rfind("["), host.rfind("]")
    if opening > 0 or closing < 0 or not _PORT.fullmatch(host[closing + 1 :] or ":"):
        raise ValueError("no address")
    inside = host[1:closing]
    at = inside.find("%25")
    name = _checked(_HOSTS, inside[:at] if at >= 0 else inside) + (_checked(_ZONES, inside[at:]) if at >= 0 else "")
    address, mark, zone = name.partition("%")
    ipaddress.IPv6Address(address)
    if mark and not zone:
        raise ValueError("no zone")
    return f"[{name}]{host[closing + 1 :]}"


def _checked(allowed: re.Pattern[str], text: str) -> str:
    if not allowed.fullmatch(text):
        raise ValueError("no host")
    return unescaped(text)


def _host_and_port(host: str) -> tuple[str, str]:
    name, port = host, ""
    if found := _PORT.search(host):
        name, port = host[: found.start()], found.group()[1:]
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name, port


BUILTINS = {
    "uri.parse": texts(parse),
    "uri.is_valid": is_valid,
    "urlquery.encode": texts(encode),
    "urlquery.decode": texts(decode),
    "urlquery.encode_object": encode_object,
    "urlquery.decode_object": texts(decode_object),
}

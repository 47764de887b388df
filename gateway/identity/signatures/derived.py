"""Components that are derived from the request line (RFC 9421 section 2.2)."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes

from gateway.identity.signatures.message import Message

_LONGEST = 16_384  # characters of a query of which single parameters are signed
_MOST_PARAMETERS = 256
_METHOD = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}\Z")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9._~!$&'()*+,;=%-]{1,255})(?::([0-9]{0,5}))?\Z")
_PATH = re.compile(r'(/[!"$->@-~]*)?\Z')  # neither query nor fragment
_QUERY = re.compile(r'[!"$-~]*\Z')
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_DEFAULT_PORTS = {"http": "80", "https": "443"}


def derived(name: str, message: Message) -> str:
    """The value of a component without parameters. Raises ValueError where the message has none."""
    return _VALUES[name](message)


def query_parameters(query: str) -> dict[str, str]:
    """The parameters of a form-encoded query, names and values encoded anew (section 2.2.8). Raises ValueError for a
    query with broken escapes or other than UTF-8, of which readers would take two spellings for the same, and for one
    that names a parameter twice.
    """
    if len(query) > _LONGEST or query.count("&") > _MOST_PARAMETERS:
        raise ValueError(f"a query of more than {_LONGEST} characters or {_MOST_PARAMETERS} parameters")
    pairs = [part.partition("=") for part in query.split("&") if part]
    values = {_recoded(name): _recoded(value) for name, _, value in pairs}
    if len(values) != len(pairs):
        raise ValueError("a query that names a parameter twice")
    return values


def _recoded(part: str) -> str:
    if _BAD_ESCAPE.search(part):
        raise ValueError("a query with a broken escape")
    text = unquote_to_bytes(part.replace("+", " ")).decode()
    return quote(text, safe="*").replace("~", "%7E")  # the form-urlencoded percent-encode set of the URL standard


def _matched(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not pattern.match(text):
        raise ValueError(f"the {what} is not one that can be signed")
    return text


def _method(message: Message) -> str:
    return _matched(_METHOD, message.method, "method")


def _scheme(message: Message) -> str:
    scheme = message.scheme.lower()
    if scheme not in _DEFAULT_PORTS:
        raise ValueError("the scheme is neither http nor https")
    return scheme


def _authority(message: Message) -> str:
    """In lower case and without the scheme's own port (section 2.2.3)."""
    match = _AUTHORITY.match(message.authority.lower())
    if match is None:
        raise ValueError("the authority is not one that can be signed")
    host, port = match.groups()
    return host if port in (None, "", _DEFAULT_PORTS[_scheme(message)]) else f"{host}:{port}"


def _path(message: Message) -> str:
    return _matched(_PATH, message.path, "path") or "/"


def _query(message: Message) -> str:
    return "?" + _matched(_QUERY, message.query or "", "query")


def _request_target(message: Message) -> str:
    """In the origin form, which is the one that a service behind a gateway is asked in."""
    return _path(message) + (_query(message) if message.query is not None else "")


def _target_uri(message: Message) -> str:
    return f"{_scheme(message)}://{_authority(message)}{_request_target(message)}"


_VALUES: dict[str, Callable[[Message], str]] = {
    "@method": _method,
    "@target-uri": _target_uri,
    "@authority": _authority,
    "@scheme": _scheme,
    "@request-target": _request_target,
    "@path": _path,
    "@query": _query,
}

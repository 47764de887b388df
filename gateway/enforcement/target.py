"""A request's line as policy sees it: what is judged must be what the upstream serves."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

# Methods that there are; all that the HTTP parser of the fast path reads, so that each enforcement point refuses the
# same. CONNECT is none of them: it asks for a tunnel, which nobody gets.
METHODS: Final = frozenset(
    (
        *("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"),  # RFC 9110
        *("PATCH", "QUERY", "LINK", "UNLINK", "PURGE", "SOURCE"),
        *("PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK"),  # WebDAV (RFC 4918) and its extensions
        *("ACL", "BIND", "CHECKOUT", "MERGE", "MKACTIVITY", "MKCALENDAR", "REBIND", "REPORT", "SEARCH", "UNBIND"),
        *("M-SEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE"),  # UPnP
    )
)

# Spellings that a server may read differently from us: escaped unreserved or separator characters and controls, escapes
# of escapes, what begins an escape and is none (some read %u002e as a dot), path parameters, fragments, backslashes,
# raw bytes outside ASCII, dot segments and empty segments.
_AMBIGUOUS = re.compile(
    r"%(?:[01][0-9a-f]|2[def]|3[0-9b]|4[1-9a-f]|5[0-9acf]|6[1-9a-f]|7[0-9aef]|25[0-9a-f]{2})"
    r"|%(?![0-9a-f]{2})|[;#\\]|[^!-~]|//|/\.{1,2}(?:/|\Z)",
    re.IGNORECASE,
)
_NO_QUERY = re.compile(r"[^!-~]|#")  # RFC 3986 section 3.4: where such is in one, servers cut it there, or refuse it
# RFC 9110 section 7.2 and RFC 3986 section 3.2.2, without what no server of a bank is called: escapes and marks.
_HOST = re.compile(
    r"(?:[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,31}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?",
    re.IGNORECASE,
)


def names_host(host: str) -> bool:
    """Whether it is a name or an address, with a port or without: one that all servers read alike."""
    return _HOST.fullmatch(host) is not None


def split(target: str) -> tuple[str, str] | None:
    """Path, decoded once, and query; None where the spelling is ambiguous."""
    path, _, query = target.partition("?")
    if not path.startswith("/") or _AMBIGUOUS.search(path) or (query and _NO_QUERY.search(query)):
        return None
    return _decoded(path, query) if "%" in path else (path, query)


def _decoded(path: str, query: str) -> tuple[str, str] | None:
    try:
        return unquote(path, errors="strict"), query
    except UnicodeDecodeError:
        return None

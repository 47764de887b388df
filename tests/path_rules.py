"""What servers make of a request's target, each by its own rules: the path looked up, None where it is refused.

Written from their documentation, to compare with ours; tests/gateway/test_edge_paths.py holds them against the servers.
nginx: the location directive's "normalized URI". Python: `http.server` and `os.path.normpath`. Go: `net/url` and, for
files, `path.Clean`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

_ESCAPE = re.compile(rb"%(?:([0-9a-fA-F]{2})|)")


def nginx(target: bytes) -> bytes | None:
    """Decoded once, and then resolved: an escaped slash or dot counts as one."""
    path = re.split(rb"[?#]", target)[0]
    decoded = _decoded(path)
    if not path.startswith(b"/") or decoded is None or b"\0" in decoded:
        return None
    kept = list[bytes]()
    *folders, last = decoded.split(b"/")[1:]
    for segment in (*folders, last):
        if segment == b".." and not kept:
            return None
        if segment == b"..":
            kept.pop()
        elif segment not in (b"", b"."):
            kept.append(segment)
    folder = b"/" if last in (b"", b".", b"..") and kept else b""
    return b"/" + b"/".join(kept) + folder


def python(target: bytes) -> bytes | None:
    """Decoded once, where that can be, and normalised; nothing is refused."""
    path = target.split(b"?")[0].split(b"#")[0]
    decoded = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else b"%", path)
    words = [word for word in posixpath.normpath(decoded).split(b"/") if word not in (b"", b".", b"..")]
    folder = b"/" if path.rstrip().endswith(b"/") and words else b""
    return b"/" + b"/".join(words) + folder


def go(target: bytes) -> bytes | None:
    """Decoded once; a fragment is none in a request's target."""
    path = target.split(b"?")[0]
    decoded = _decoded(path)
    if not path.startswith(b"/") or decoded is None or re.search(rb"[\0-\x1f\x7f]", target):
        return None
    cleaned = b"/" + posixpath.normpath(decoded).lstrip(b"/")
    return cleaned + b"/" if decoded.endswith(b"/") and cleaned != b"/" else cleaned


def _decoded(path: bytes) -> bytes | None:
    """None for an escape that is none."""
    found = list(_ESCAPE.finditer(path))
    if any(each[1] is None for each in found):
        return None
    return _ESCAPE.sub(lambda each: bytes.fromhex(each[1].decode()), path)


RULES: Mapping[str, Callable[[bytes], bytes | None]] = {"nginx": nginx, "python": python, "go": go}

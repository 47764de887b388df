"""SPIFFE ids, read as their specification writes them: one spelling for one workload."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 2048  # bytes of an id (SPIFFE-ID, section 2.3)
_LONGEST_DOMAIN = 255  # bytes
_SCHEME = "spiffe://"
_DOMAIN = re.compile(r"[a-z0-9._-]+\Z")  # section 2.1
_SEGMENT = re.compile(r"[A-Za-z0-9._-]+\Z")  # section 2.2


@dataclass(frozen=True, slots=True)
class SpiffeId:
    """`spiffe://trust-domain/path`. The path is empty, or begins with a slash; without one it names the domain."""

    trust_domain: str
    path: str

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"


def spiffe_id(text: str) -> SpiffeId | str:
    """The id in a text, or what is wrong with it (SPIFFE-ID, section 2). Nothing is normalised: another spelling of an
    id (upper case, percent signs, a port, a query, a slash at the end) is no id.
    """
    if len(text.encode(errors="surrogatepass")) > LONGEST:
        return f"a SPIFFE id of more than {LONGEST} bytes"
    if not text.startswith(_SCHEME):
        return f"no {_SCHEME} id"
    domain, slash, path = text.removeprefix(_SCHEME).partition("/")
    if wrong := _wrong_domain(domain) or (_wrong_path(path) if slash else ""):
        return wrong
    return SpiffeId(domain, slash + path)


def workload_id(text: str) -> SpiffeId | str:
    """As `spiffe_id`, of a workload: it has a path. A trust domain's own id names its authorities, and nobody."""
    read = spiffe_id(text)
    return "the id of a trust domain, not of a workload" if isinstance(read, SpiffeId) and not read.path else read


def is_trust_domain(name: str) -> bool:
    """Whether a name is a trust domain's (SPIFFE-ID, section 2.1)."""
    return not _wrong_domain(name)


def _wrong_domain(name: str) -> str:
    if not name:
        return "no trust domain"
    if len(name) > _LONGEST_DOMAIN:
        return f"a trust domain of more than {_LONGEST_DOMAIN} bytes"
    return "" if _DOMAIN.match(name) else "a trust domain with other characters than a-z, 0-9 and .-_"


def _wrong_path(path: str) -> str:
    segments = path.split("/")
    if "" in segments:
        return "an empty path segment"
    if "." in segments or ".." in segments:
        return "a path segment of dots"
    fit = all(map(_SEGMENT.match, segments))
    return "" if fit else "a path segment with other characters than letters, digits and .-_"

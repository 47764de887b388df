"""Where a receiver may have tokens pushed to: below what the bank's operator has named for it, and nowhere else.

Without this a receiver could make us send requests to whatever we can reach.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.identity.uri import normal

_LONGEST = 2048  # characters


def target(url: str, prefixes: Iterable[str]) -> str | None:
    """The URL to send to, in normal form, so that what was compared is what is called; None if no prefix allows it.

    A prefix allows itself and what lies below it: "https://a.example/in" allows no "https://a.example/inbox".
    """
    base, mark, query = url.partition("?")
    named = normal(base) if len(url) <= _LONGEST and "#" not in url and url.isascii() and url.isprintable() else None
    if named is None or " " in url or not any(_below(named, normal(prefix)) for prefix in prefixes):
        return None
    return named + mark + query


def _below(url: str, prefix: str | None) -> bool:
    return prefix is not None and (url == prefix or url.startswith(prefix.rstrip("/") + "/"))

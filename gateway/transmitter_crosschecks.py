"""Checks of what the configuration says of the Shared Signals transmitter, where one value is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config import Config
from gateway.yaml_document import Key

_AT: Key = ("signals_transmitter",)


def signals_transmitter(config: Config) -> Iterator[tuple[Key, str]]:
    """What does not fit together in the values: problems by key."""
    settings = config.signals_transmitter
    if settings is None:
        return
    if not _is_origin(settings.issuer):
        yield (*_AT, "issuer"), "must be an https:// address without path, query and fragment"
    names = Counter(receiver.id for receiver in settings.receivers)
    for index, receiver in enumerate(settings.receivers):
        key: Key = (*_AT, "receivers", index)
        if names[receiver.id] > 1:
            yield (*key, "id"), f"{receiver.id!r} is listed {names[receiver.id]} times"
        for number, prefix in enumerate(receiver.push_prefixes):
            if not _is_prefix(prefix):
                yield (*key, "push_prefixes", number), "must be an http:// or https:// address without query"


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and "@" not in url and url == f"https://{parts.netloc}"
    except ValueError:
        return False


def _is_prefix(url: str) -> bool:
    # Here, so that only who has a transmitter waits for identity to load.
    from gateway.identity.uri import normal

    return "?" not in url and "#" not in url and normal(url) is not None

"""Checks of what the configuration says of signals that take more than one value to make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from gateway.config import Config, Logout, Transmitter
from gateway.identity_crosschecks import is_web_address
from gateway.yaml_document import Key

Problem = tuple[Key, str]
_SHORTEST_TOKEN = 16


def signals(config: Config) -> Iterator[Problem]:
    """What does not fit together in the values."""
    settings = config.signals
    if settings.url is not None and not _is_origin(settings.url):
        yield ("signals", "url"), "must be an http:// or https:// address without path, query and fragment"
    if settings.url is None and any(one.delivery == "push" for one in settings.transmitters):
        yield ("signals", "url"), "is required where a transmitter pushes by our word"
    names = Counter(one.issuer for one in settings.transmitters)
    for index, transmitter in enumerate(settings.transmitters):
        key: Key = ("signals", "transmitters", index)
        if names[transmitter.issuer] > 1:
            yield (*key, "issuer"), f"{transmitter.issuer!r} is listed {names[transmitter.issuer]} times"
        yield from _transmitter(key, transmitter)
    yield from _logout(config, settings.logout)


def signal_files(config: Config) -> Iterator[tuple[Key, Path | None]]:
    """Files that must be there when the gateway starts."""
    for index, transmitter in enumerate(config.signals.transmitters):
        yield ("signals", "transmitters", index, "token_file"), transmitter.token_file
        yield ("signals", "transmitters", index, "push_token_file"), transmitter.push_token_file


def _transmitter(key: Key, settings: Transmitter) -> Iterator[Problem]:
    managed = settings.delivery != "unmanaged"
    if not is_web_address(settings.issuer) and (managed or settings.jwks_url is None):
        yield (*key, "issuer"), "must be an http:// or https:// address, below which its metadata are"
    if settings.jwks_url is not None and not is_web_address(settings.jwks_url):
        yield (*key, "jwks_url"), "must be an http:// or https:// address"
    if not settings.audience:
        yield (*key, "audience"), "must not be empty: events for others would count"
    if not settings.algorithms:
        yield (*key, "algorithms"), "there must be at least one"
    if managed and (settings.token is None) == (settings.token_file is None):
        yield (*key, "token"), "either it is here or in token_file"
    if settings.push_token is not None:
        yield from _push_token(key, settings, settings.push_token.get_secret_value())
    if settings.delivery == "poll" and (settings.push_token or settings.push_token_file):
        yield (*key, "push_token"), "is for a transmitter that pushes"


def _push_token(key: Key, settings: Transmitter, token: str) -> Iterator[Problem]:
    if settings.push_token_file is not None:
        yield (*key, "push_token_file"), "there is a push_token already"
    if len(token) < _SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        yield (*key, "push_token"), f"must have at least {_SHORTEST_TOKEN} characters of visible ASCII"


def _logout(config: Config, senders: tuple[Logout, ...]) -> Iterator[Problem]:
    known = {issuer.issuer for issuer in config.identity.issuers}
    names = Counter(sender.issuer for sender in senders)
    for index, sender in enumerate(senders):
        key: Key = ("signals", "logout", index)
        if sender.issuer not in known:
            yield (*key, "issuer"), f"{sender.issuer!r} is none of identity.issuers"
        if names[sender.issuer] > 1:
            yield (*key, "issuer"), f"{sender.issuer!r} is listed {names[sender.issuer]} times"
        if not sender.client_id:
            yield (*key, "client_id"), "must not be empty"
        if not sender.token_types:
            yield (*key, "token_types"), "there must be at least one"


def _is_origin(url: str) -> bool:
    return is_web_address(url) and url in (f"http://{urlsplit(url).netloc}", f"https://{urlsplit(url).netloc}")

"""Checks of what the configuration says of issuers, ourselves among them, that take more than one value to make."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config import Config, Introspection, Issuer, TokenService
from gateway.yaml_document import Key

Problem = tuple[Key, str]


def issuers(config: Config) -> Iterator[Problem]:
    """What does not fit together in the issuers' values."""
    names = Counter(issuer.issuer for issuer in config.identity.issuers)
    for index, issuer in enumerate(config.identity.issuers):
        key: Key = ("identity", "issuers", index)
        if names[issuer.issuer] > 1:
            yield (*key, "issuer"), f"{issuer.issuer!r} is listed {names[issuer.issuer]} times"
        if issuer.jwks_url is not None and not is_web_address(issuer.jwks_url):
            yield (*key, "jwks_url"), "must be an http:// or https:// address"
        if issuer.jwks_url is None and not is_web_address(issuer.issuer):
            yield (*key, "jwks_url"), "is required where the issuer is no http:// or https:// address"
        if not issuer.audience:
            yield (*key, "audience"), "must not be empty: tokens for others would count"
        if not issuer.algorithms:
            yield (*key, "algorithms"), "there must be at least one"
        if issuer.introspection:
            yield from _introspection((*key, "introspection"), issuer, issuer.introspection)
    if (config.identity.dpop or config.identity.signatures) and not config.identity.authorities:
        yield ("identity", "authorities"), "must not be empty where dpop or signatures are: proofs are for a name"
    asked = [index for index, issuer in enumerate(config.identity.issuers) if issuer.introspection]
    for index in asked[1:]:
        why = f"an opaque token does not say whose it is: only one issuer can be asked, and issuers.{asked[0]} is"
        yield ("identity", "issuers", index, "introspection"), why


def token_service(config: Config) -> Iterator[Problem]:
    """Names that make tokens which nothing accepts, or that no token has."""
    if config.token_service is not None:
        yield from _exchanged(config, config.token_service)


def _exchanged(config: Config, settings: TokenService) -> Iterator[Problem]:
    key: Key = ("token_service", "audiences")
    known = {issuer.audience for issuer in config.identity.issuers}
    known |= {service.audience for service in config.services.values() if service.audience}
    told = ", ".join(sorted(known)) or "none"
    if not settings.audiences:
        yield key, "there must be at least one, or no token could be exchanged"
    for held, narrower in settings.audiences.items():
        if held not in known:
            yield (*key, held), f"no issuer or service has the audience {held!r} (there are: {told})"
        for index, name in enumerate(narrower):
            if name not in known:
                why = "nothing would accept the token"
                yield (*key, held, index), f"no issuer or service has the audience {name!r} (there are: {told}): {why}"


def _introspection(key: Key, issuer: Issuer, settings: Introspection) -> Iterator[Problem]:
    if (settings.client_secret is None) == (settings.client_secret_file is None):
        yield (*key, "client_secret"), "either it is here or in client_secret_file"
    if not is_web_address(settings.url or issuer.issuer):
        yield (*key, "url"), "must be an http:// or https:// address"


def is_web_address(url: str) -> bool:
    """Whether a text is an http:// or https:// address with a host."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False

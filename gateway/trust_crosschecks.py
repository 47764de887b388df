"""Checks of what the configuration says of trust domains and client certificates, where one value is not enough."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gateway.config import Config
from gateway.yaml_document import Key


def trust_domains(config: Config) -> Iterator[tuple[Key, str]]:
    """What does not fit together in the values: problems by key."""
    tls = config.edge.tls
    if tls and tls.crl and not tls.client_ca:
        yield ("edge", "tls", "crl"), "needs a client_ca, whose certificates it revokes"
    names = Counter(domain.name for domain in config.identity.trust_domains)
    for index, domain in enumerate(config.identity.trust_domains):
        key: Key = ("identity", "trust_domains", index)
        known = domain.bundle or domain.workload_api
        if names[domain.name] > 1:
            yield (*key, "name"), f"{domain.name!r} is listed {names[domain.name]} times"
        if domain.bundle and domain.workload_api:
            yield (*key, "workload_api"), "there is a bundle already"
        if domain.crl and not known:
            yield (*key, "crl"), "needs a bundle or a workload_api; without them edge.tls.crl counts"
        if domain.audience is not None and not (domain.audience and known):
            yield (*key, "audience"), "must not be empty, and needs a bundle or a workload_api with the tokens' keys"


def trust_files(config: Config) -> Iterator[tuple[Key, Path | None]]:
    """Files that must be there when the gateway starts. An agent's socket may come later."""
    if config.edge.tls:
        yield ("edge", "tls", "crl"), config.edge.tls.crl
    for index, domain in enumerate(config.identity.trust_domains):
        yield ("identity", "trust_domains", index, "bundle"), domain.bundle
        yield ("identity", "trust_domains", index, "crl"), domain.crl

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
    yield from _revocation(config)
    names = Counter(domain.name for domain in config.identity.trust_domains)
    for index, domain in enumerate(config.identity.trust_domains):
        key: Key = ("identity", "trust_domains", index)
        if names[domain.name] > 1:
            yield (*key, "name"), f"{domain.name!r} is listed {names[domain.name]} times"
        if domain.bundle and domain.workload_api:
            yield (*key, "workload_api"), "there is a bundle already"
        if domain.crl and not (domain.bundle or domain.workload_api):
            yield (*key, "crl"), "needs a bundle or a workload_api; without them edge.tls.crl counts"


def trust_files(config: Config) -> Iterator[tuple[Key, Path | None]]:
    """Files that must be there when the gateway starts. An agent's socket may come later."""
    if config.edge.tls:
        yield ("edge", "tls", "crl"), config.edge.tls.crl
    yield ("identity", "ca"), config.identity.ca
    for index, domain in enumerate(config.identity.trust_domains):
        yield ("identity", "trust_domains", index, "bundle"), domain.bundle
        yield ("identity", "trust_domains", index, "crl"), domain.crl


def _revocation(config: Config) -> Iterator[tuple[Key, str]]:
    """An Envoy that has a revocation list of one authority wants one of each."""
    tls, domains = config.edge.tls, config.identity.trust_domains
    listed = [bool(domain.crl) for domain in domains if domain.bundle or domain.workload_api]
    listed += [bool(tls.crl)] if tls and tls.client_ca else []
    if any(listed) and not all(listed):
        yield ("identity", "trust_domains"), "either each source of authorities has a crl, edge.tls too, or none"

"""Headers in which a caller could claim to be somebody: they end at the edge, before anything reads them.

Each is one that proxies, identity-aware gateways or services in use today set or believe. What a service behind the
edge is told about the caller, the gateway says.
"""

from __future__ import annotations

from typing import Any

_PREFIXES = (
    "x-portcullis-",
    "cf-access-",
    "ssl-client-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-envoy-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-ssl-client-",
)
_NAMES = (
    # address
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "forwarded",  # RFC 7239 says the same as x-forwarded-for: one of them counts
    "true-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    # name
    "remote-user",
    "txn-token",
    "x-authenticated-user",
    "x-forwarded-access-token",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    "x-remote-user",
    "x-webauth-user",
    # certificate
    "client-cert",  # RFC 9440
    "client-cert-chain",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    # host and path, which links and access rules are made of
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-original-url",
    "x-rewrite-url",
)


def removals() -> list[dict[str, Any]]:
    """Envoy's header mutations that take them all away. One regular expression would be longer than Envoy allows."""
    by_prefix = [{"remove_on_match": {"key_matcher": {"prefix": prefix}}} for prefix in _PREFIXES]
    return [*by_prefix, *({"remove": name} for name in _NAMES)]

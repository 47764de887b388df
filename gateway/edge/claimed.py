"""Headers in which a caller could claim to be somebody: they end at the edge, before anybody is asked.

Each is one that proxies, identity-aware gateways or services in use today set or believe; families go by their prefix.
What a service behind the edge is told about the caller, the gateway says.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

# Where a family has honest headers too, only a part of it goes: x-user-agent, x-client-data, x-auth-token and
# x-amzn-trace-id claim nothing. Names with underscores, which servers take for these, are refused by the listener.
_PREFIXES = (
    # ours, and Envoy's
    "x-portcullis-",
    "x-envoy-",
    # address
    "cf-connecting-",
    "proxy",  # also `proxy` itself, from which CGI makes HTTP_PROXY
    "remote-",  # user, groups, email, name: Authelia's
    "wl-proxy-",
    "x-appengine-",
    "x-azure-clientip",
    "x-azure-socketip",
    # name
    "cf-access-",
    "impersonate-",  # Kubernetes
    "iv-",  # IBM Security Verify
    "oam-",  # Oracle Access Manager
    "oidc-",
    "shib-",
    "sm-",  # SiteMinder
    "tailscale-",
    "teleport-",
    "x-access-token",
    "x-amzn-oidc-",
    "x-apigateway-api-",
    "x-auth-email",
    "x-auth-group",
    "x-auth-request-",
    "x-auth-role",
    "x-auth-subject",
    "x-auth-user",
    "x-authenticated-",
    "x-authentik-",
    "x-consumer-",  # Kong
    "x-credential-",
    "x-endpoint-api-",
    "x-goog-authenticated-user-",
    "x-goog-iap-",
    "x-hasura-",
    "x-id-token",
    "x-jwt-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-pomerium-",
    "x-remote-",
    "x-user-email",
    "x-user-group",
    "x-user-id",
    "x-user-name",
    "x-user-role",
    "x-userinfo",
    "x-username",
    "x-vouch-",
    "x-webauth-",
    # certificate
    "cf-client-",
    "client-cert",  # RFC 9440
    "ssl-client-",
    "x-amzn-mtls-",
    "x-arr-",
    "x-client-cert",
    "x-client-dn",
    "x-client-verify",
    "x-spiffe-",
    "x-ssl-",
    "x-tls-",
    # method, host and path, which links and access rules are made of
    "x-host",
    "x-http-host",
    "x-http-method",
    "x-original-",
    "x-rewrite-",
)
_NAMES = (
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "forwarded",  # RFC 7239 says the same as x-forwarded-for: one of them counts
    "front-end-https",
    "true-client-ip",
    "txn-token",
    "x-anonymous-consumer",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-method-override",
    "x-originating-ip",
    "x-real-ip",
    "x-scheme",
    "x-user",
)
# What another Envoy says honestly, once it has taken away what the caller wrote: that is its own to do.
_OF_ENVOY = ("x-envoy-",)
_FORWARDED_BY_ENVOY = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-port")
_REMEMBERED = 4096  # names looked at before; a service's callers send the same ones
_LONGEST_NAME = 256  # characters of those


def claiming(further: Iterable[str] = ()) -> list[str]:
    """All of them, and `further` ones: names, and beginnings that end in `*`. Envoy's module takes them away, but for
    what Envoy itself has said by then (`gateway/edge/module/claims.c`).
    """
    return [*_NAMES, *(f"{prefix}*" for prefix in ("x-forwarded-", *_PREFIXES)), *further]


class Claims:
    """The same by name, for enforcement points that see what a caller sent: `further` as with `claiming`."""

    def __init__(self, further: Iterable[str] = ()) -> None:
        mine = (*_NAMES, *further)
        exact = {name for name in mine if not name.endswith("*")}
        families = {"x-forwarded-", *_PREFIXES, *(name[:-1] for name in mine if name.endswith("*"))}
        prefixes = tuple(sorted(families - {*_OF_ENVOY}))

        def look(name: str) -> bool:
            spelled = name.lower().replace("_", "-")  # as servers take it
            return spelled in exact or (spelled.startswith(prefixes) and spelled not in _FORWARDED_BY_ENVOY)

        self._look = look
        self._known = lru_cache(maxsize=_REMEMBERED)(look)

    def among(self, names: Iterable[str]) -> list[str]:
        """Those that claim something; what Envoy itself says of the caller and the way is not among them."""
        return [name for name in names if (self._known if len(name) <= _LONGEST_NAME else self._look)(name)]

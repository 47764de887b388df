"""What a caller says of itself in headers that services believe: nothing of it passes the real edge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from pydantic import ValidationError

from gateway.config import Edge
from tests.gateway.edge_rig import Rig, rig

CLAIMED = (
    *("remote-user", "remote-groups", "remote-email", "remote-name", "x-remote-user", "x-remote-group"),
    *("x-remote-extra-scopes", "x-authentik-username", "x-authentik-groups", "x-authentik-jwt"),
    *("x-pomerium-jwt-assertion", "x-pomerium-claim-email", "x-consumer-id", "x-consumer-username"),
    *("x-consumer-custom-id", "x-consumer-groups", "x-credential-identifier", "x-anonymous-consumer"),
    *("x-authenticated-userid", "x-authenticated-scope", "x-authenticated-groups", "x-userinfo", "x-id-token"),
    *("x-access-token", "x-endpoint-api-userinfo", "x-endpoint-api-consumer-id", "x-apigateway-api-userinfo"),
    *("x-jwt-assertion", "x-jwt-claim-sub", "tailscale-user-login", "tailscale-user-name", "impersonate-user"),
    *("impersonate-group", "impersonate-uid", "impersonate-extra-a", "x-webauth-user", "x-webauth-name"),
    *("x-webauth-email", "x-webauth-groups", "x-user", "x-user-id", "x-user-name", "x-user-email", "x-user-roles"),
    *("x-user-groups", "x-username", "x-auth-user", "x-auth-username", "x-auth-email", "x-auth-groups"),
    *("x-auth-request-user", "x-auth-subject", "x-auth-roles", "x-spiffe-id", "x-client-cert", "x-client-cert-chain"),
    *("x-tls-client-cert", "x-arr-clientcert", "x-arr-ssl", "x-ssl-client-cert", "x-ssl-cipher", "ssl-client-s-dn"),
    *("client-cert", "client-cert-chain", "x-amzn-mtls-clientcert", "x-amzn-oidc-data", "iv-user", "iv-groups"),
    *("iv-creds", "iv-remote-address", "sm-user", "sm-universalid", "sm-authdirname", "oam-remote-user"),
    *("oidc-claim-sub", "shib-session-id", "x-vouch-user", "x-hasura-role", "teleport-jwt-assertion"),
    *("x-forwarded-scheme", "x-forwarded-ssl", "x-forwarded-user", "x-forwarded-host", "x-forwarded-uri"),
    *("x-forwarded-method", "x-forwarded-path", "x-forwarded-for-original", "x-forwarded-from", "x-forwarded-f2"),
    *("x-forwarded", "forwarded", "x-scheme", "front-end-https", "x-http-method", "x-http-method-override"),
    *("x-method-override", "x-original-host", "x-original-url", "x-original-uri", "x-original-method", "x-host"),
    *("x-http-host-override", "x-rewrite-url", "proxy", "proxy-authorization", "proxy-client-ip"),
    *("wl-proxy-client-ip", "wl-proxy-client-cert", "wl-proxy-ssl", "x-real-ip", "cf-connecting-ip", "client-ip"),
    *("x-core-clerk", "x-core-branch-number", "x-alone"),
)
HONEST = {
    **{name: f"{name} as sent" for name in ("accept", "content-type", "user-agent", "idempotency-key", "if-match")},
    **{name: f"{name} as sent" for name in ("cookie", "origin", "x-user-agent", "x-client-data", "x-auth-token")},
    **{name: f"{name} as sent" for name in ("x-amzn-trace-id", "x-alone-not", "x-core", "x-correlation-id")},
    **{name: f"{name} as sent" for name in ("x-api-key", "x-csrf-token", "accept-language", "tracestate")},
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
AT_ONCE = 60  # Envoy takes a hundred headers
STRIPPED = ("X-Core-*", "x-alone")


@pytest.fixture
async def edge() -> AsyncIterator[Rig]:
    async with rig(strip_headers=STRIPPED) as running:
        yield running


@pytest.mark.parametrize("path", ["/accounts/1", "/payments", "/streams/finite"])
@pytest.mark.parametrize("spelled", [str.lower, str.title, str.upper])
async def test_claims_end_at_the_edge_and_everything_else_passes(
    edge: Rig, path: str, spelled: Callable[[str], str]
) -> None:
    for start in range(0, len(CLAIMED), AT_ONCE):
        claims = {spelled(name): "person:root" for name in CLAIMED[start : start + AT_ONCE]}
        async with edge.http.post(edge.url(path), data=b"{}", headers=HONEST | claims) as answer:
            assert answer.status == 200
    told = edge.gateway.tether_headers or [asked["headers"] for asked in edge.gateway.asked]
    assert len(told) == len(edge.seen) > 1
    for headers in told:
        assert not {*CLAIMED} & {*headers}
    for seen in (each["headers"] for each in edge.seen):
        assert not {*CLAIMED} & {*seen}
        assert {name: seen.get(name) for name in HONEST} == HONEST
        assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "http")
        assert len(seen["x-request-id"]) == 36


async def test_names_and_prefixes_may_be_as_long_and_as_many_as_there_are() -> None:
    names = [f"{'a' * 60}{number}" for number in range(40)]
    async with rig(strip_headers=tuple(f"{name}*" for name in names)) as edge:
        async with edge.http.get(edge.url("/accounts/1"), headers={f"{name}-z": "1" for name in names}) as answer:
            assert answer.status == 200
        assert not [name for name in edge.seen[0]["headers"] if name.startswith("aaa")]


async def test_without_further_names_only_those_that_are_known_go(edge: Rig) -> None:
    async with rig() as plain, plain.http.get(plain.url("/accounts/1"), headers={"x-core-clerk": "7"}) as answer:
        assert answer.status == 200
        assert plain.seen[0]["headers"]["x-core-clerk"] == "7"


@pytest.mark.parametrize(
    "name",
    ["*", "", "x_user", "x-*-user", "a b", "x" * 65, "authorization", "Auth*", "x-f*", "Host", "content-*", "x-*"],
)
def test_what_requests_are_read_by_cannot_be_stripped(name: str) -> None:
    with pytest.raises(ValidationError):
        Edge(strip_headers=(name,))

"""An issuer's metadata: where it is, whose it must be, and what it may name."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.discovery import Discovery, Metadata, metadata_of, metadata_urls
from gateway.identity.http_json import Unreachable
from tests.gateway.issuer_rig import LocalIssuer

# RFC 8414 section 3.2
RFC_8414 = {
    "issuer": "https://server.example.com",
    "authorization_endpoint": "https://server.example.com/authorize",
    "token_endpoint": "https://server.example.com/token",
    "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
    "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
    "userinfo_endpoint": "https://server.example.com/userinfo",
    "jwks_uri": "https://server.example.com/jwks.json",
    "registration_endpoint": "https://server.example.com/register",
    "scopes_supported": ["openid", "profile", "email", "address", "phone", "offline_access"],
    "response_types_supported": ["code", "code token"],
    "service_documentation": "http://server.example.com/service_documentation.html",
    "ui_locales_supported": ["en-US", "en-GB", "en-CA", "fr-FR", "fr-CA"],
}


def test_the_example_of_rfc_8414() -> None:
    assert metadata_of(RFC_8414, "https://server.example.com") == Metadata(
        "https://server.example.com", "https://server.example.com/jwks.json", "https://server.example.com/token"
    )


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        # OpenID Connect Discovery section 4.1; RFC 8414 section 3.1
        (
            "https://example.com",
            "https://example.com/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server",
        ),
        (
            "https://example.com/issuer1",
            "https://example.com/issuer1/.well-known/openid-configuration",
            "https://example.com/.well-known/oauth-authorization-server/issuer1",
        ),
        (
            "https://example.com:8443/realms/bank/",
            "https://example.com:8443/realms/bank/.well-known/openid-configuration",
            "https://example.com:8443/.well-known/oauth-authorization-server/realms/bank",
        ),
    ],
)
def test_where_metadata_is(issuer: str, openid: str, oauth: str) -> None:
    assert metadata_urls(issuer) == (openid, oauth)


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "https://server.example.com/"},
        {"issuer": "https://SERVER.example.com"},
        {"issuer": None},
        {"issuer": ["https://server.example.com"]},
        {"jwks_uri": "http://server.example.com/jwks.json"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "/jwks.json"},
        {"jwks_uri": "https://"},
        {"jwks_uri": "https://[::1/jwks"},
        {"jwks_uri": 7},
        {"token_endpoint": "http://server.example.com/token"},
        {"introspection_endpoint": "http://server.example.com/introspect"},
    ],
    ids=str,
)
def test_metadata_that_is_not_believed(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        metadata_of(RFC_8414 | changes, "https://server.example.com")


def test_an_issuer_without_tls_may_have_endpoints_without() -> None:
    told = {"issuer": "http://127.0.0.1:1", "jwks_uri": "http://127.0.0.1:1/jwks"}
    assert metadata_of(told, "http://127.0.0.1:1").jwks_uri == "http://127.0.0.1:1/jwks"


@given(
    st.dictionaries(
        st.sampled_from(["issuer", "jwks_uri", "token_endpoint", "introspection_endpoint"]),
        st.text() | st.text().map("https://".__add__) | st.just("https://i") | st.integers() | st.none(),
    )
)
def test_any_metadata_is_the_issuers_own_over_tls_or_refused(document: dict[str, object]) -> None:
    try:
        metadata = metadata_of(document, "https://i")
    except ValueError:
        return
    assert metadata.issuer == "https://i"
    for url in (metadata.jwks_uri, metadata.token_endpoint, metadata.introspection_endpoint):
        assert not url or url.lower().startswith("https://")


async def test_metadata_is_fetched_once_for_many_and_again_after_its_period(
    issuer: LocalIssuer, session: aiohttp.ClientSession
) -> None:
    now = 0.0
    discovery = Discovery(issuer.url, session, period=60.0, clock=lambda: now)
    told = await asyncio.gather(*(discovery.metadata() for _ in range(100)))
    assert {metadata.jwks_uri for metadata in told} == {f"{issuer.url}/jwks"}
    now = 59.0
    await discovery.metadata()
    assert issuer.asked["metadata"] == 1
    now = 60.0
    await discovery.metadata()
    assert issuer.asked["metadata"] == 2
    discovery.forget()
    await discovery.metadata()
    assert issuer.asked["metadata"] == 3


async def test_metadata_is_not_believed_beyond_its_period(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    now = 0.0
    discovery = Discovery(issuer.url, session, period=60.0, clock=lambda: now)
    await discovery.metadata()
    issuer.instead = (503, b"", {})
    await discovery.metadata()
    now = 60.0
    with pytest.raises(Unreachable, match="503"):
        await discovery.metadata()


@pytest.mark.parametrize("told", [{"issuer": "https://evil.example"}, {"jwks_uri": "ftp://127.0.0.1/jwks"}])
async def test_metadata_of_another_issuer(
    issuer: LocalIssuer, session: aiohttp.ClientSession, told: dict[str, str]
) -> None:
    issuer.metadata = told
    with pytest.raises(Unreachable):
        await Discovery(issuer.url, session).metadata()


async def test_a_redirect_is_not_followed(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    issuer.instead = (302, b"", {"Location": "/elsewhere"})
    with pytest.raises(Unreachable, match="302"):
        await Discovery(issuer.url, session).metadata()
    assert issuer.asked["elsewhere"] == 0


async def test_an_authorization_server_without_openid(session: aiohttp.ClientSession) -> None:
    async def told(request: web.Request) -> web.Response:
        return web.json_response(
            {"issuer": f"http://{request.host}/bank", "token_endpoint": f"http://{request.host}/t"}
        )

    app = web.Application()
    app.router.add_get("/.well-known/oauth-authorization-server/bank", told)
    async with TestServer(app) as server:
        url = str(server.make_url("/bank"))
        assert (await Discovery(url, session).metadata()).issuer == url


async def test_nobody_there(session: aiohttp.ClientSession) -> None:
    with pytest.raises(Unreachable):
        await Discovery("http://127.0.0.1:1", session).metadata()

"""An issuer's keys: which one a token means, rotation without a false refusal, one fetch for many, an end to trust."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import aiohttp
import jwt
import pytest
from structlog.testing import capture_logs

from gateway.config import Identity, Issuer
from gateway.identity import Discovery, JwksClient, KeySet, Refusal, UnknownKey
from gateway.identity.access_token import Trust, verify
from gateway.identity.jws import Jws, read
from gateway.keys import Keys
from policy import Principal
from tests.gateway.issuer_rig import LocalIssuer, new_key, public

DEADLINE = 5.0  # seconds until a test gives up waiting


class Asker:
    """A client, and the keys that it gave away."""

    def __init__(self, issuer: LocalIssuer, session: aiohttp.ClientSession, pause: float = 0.0, **changes: Any) -> None:
        config = issuer.config(**changes)
        self.given: asyncio.Queue[KeySet] = asyncio.Queue()
        discovery = Discovery(config.issuer, session)
        self.client = JwksClient(config, session, discovery, self.given.put_nowait, pause)

    async def refresh(self) -> bool:
        return await asyncio.wait_for(self.client.refresh(), DEADLINE)

    async def next(self) -> KeySet:
        return await asyncio.wait_for(self.given.get(), DEADLINE)


# RFC 7517 appendix A.1
RFC_KEYS = {
    "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "use": "enc",
            "kid": "1",
        },
        {
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJE"
            "CPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
            "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6"
            "WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        },
    ]
}


def test_the_key_set_of_rfc_7517() -> None:
    keys = KeySet.parse(RFC_KEYS)
    assert keys.key("1", "ES256") is None  # it encrypts
    assert keys.unusable == 1
    rsa = keys.key("2011-04-29", "RS256")
    assert rsa is not None
    assert rsa.thumbprint == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"  # RFC 7638 section 3.1
    assert keys.key("2011-04-29", "PS256") is None  # its JWK says RS256
    assert keys.key("2011-04-29", "HS256") is None


def test_a_key_without_an_id_is_known_by_its_thumbprint() -> None:
    nameless = {name: value for name, value in RFC_KEYS["keys"][1].items() if name != "kid"}
    keys = KeySet.parse({"keys": [nameless]})
    assert "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" in keys
    assert "" not in keys


def test_keys_that_share_an_id_serve_their_own_algorithms() -> None:
    rsa = RFC_KEYS["keys"][1] | {"kid": "k"}
    keys = KeySet.parse({"keys": [public("k", new_key()), rsa]})
    assert keys.key("k", "ES256") is not None
    assert keys.key("k", "RS256") is not None


@pytest.mark.parametrize("count", [2, 3])
def test_keys_that_share_id_and_algorithm_serve_neither(count: int) -> None:
    keys = KeySet.parse({"keys": [public("k", new_key()) for _ in range(count)] + [public("other", new_key())]})
    assert keys.key("k", "ES256") is None
    assert keys.key("other", "ES256") is not None


def test_a_key_that_is_listed_twice_is_one_key() -> None:
    entry = public("k", new_key())
    assert KeySet.parse({"keys": [entry, dict(entry)]}).key("k", "ES256") is not None


@pytest.mark.parametrize("document", [[], {}, {"keys": {}}, {"keys": [{}] * 101}, None])
def test_what_is_no_key_set(document: object) -> None:
    with pytest.raises(ValueError, match="JWKS"):
        KeySet.parse(document)


async def test_a_storm_makes_one_fetch(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    asker = Asker(issuer, session)
    changed = await asyncio.gather(*(asker.refresh() for _ in range(1000)))
    assert issuer.asked["jwks"] == 1
    assert all(changed)
    assert "k1" in asker.client.keys


async def test_askers_during_a_fetch_that_brings_nothing_new_share_the_next(
    issuer: LocalIssuer, session: aiohttp.ClientSession
) -> None:
    asker = Asker(issuer, session)
    await asker.refresh()
    issuer.open.clear()
    issuer.arrived.clear()
    first = asyncio.create_task(asker.refresh())
    await asyncio.wait_for(issuer.arrived.wait(), DEADLINE)
    issuer.keys["k2"] = new_key()  # after the issuer read the question
    late = [asyncio.create_task(asker.refresh()) for _ in range(1000)]
    await asyncio.sleep(0)
    issuer.open.set()
    assert not await first
    assert all(await asyncio.gather(*late))
    assert issuer.asked["jwks"] == 3
    assert "k2" in asker.client.keys


async def test_unknown_keys_make_one_fetch_in_a_pause(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    asker = Asker(issuer, session, pause=0.2)
    await asker.refresh()
    started = asyncio.get_running_loop().time()
    for _ in range(3):
        assert not await asker.refresh()
    assert asyncio.get_running_loop().time() - started >= 0.6
    assert issuer.asked["jwks"] == 4


async def test_rotation_is_seen(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    asker = Asker(issuer, session)
    await asker.refresh()
    issuer.keys = {"k2": new_key()}
    assert await asker.refresh()
    assert "k2" in asker.client.keys
    assert "k1" not in asker.client.keys
    assert not await asker.refresh()
    assert asker.given.qsize() == 2


async def test_a_key_replaced_under_its_own_id_is_a_change(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    asker = Asker(issuer, session)
    await asker.refresh()
    issuer.keys = {"k1": new_key()}
    assert await asker.refresh()


BROKEN = [
    (500, b"", {}),
    (200, b"not json", {}),
    (200, b"[]", {}),
    (200, b'{"keys": [], "keys": []}', {}),
    (200, b"[" * 100_000, {}),
    (200, b'{"keys": [], "pad": "' + b"x" * (1 << 20) + b'"}', {}),
    (200, b"x", {"Content-Encoding": "gzip"}),
    (302, b"", {"Location": "/elsewhere"}),
    (307, b"", {"Location": "/elsewhere"}),
]
BROKEN_IDS = ["error", "no json", "array", "twice", "deep", "large", "packed", "found", "redirect"]


@pytest.mark.parametrize("instead", BROKEN, ids=BROKEN_IDS)
async def test_a_broken_issuer_keeps_its_known_keys(
    issuer: LocalIssuer, session: aiohttp.ClientSession, instead: tuple[int, bytes, dict[str, str]]
) -> None:
    asker = Asker(issuer, session)
    await asker.refresh()
    issuer.instead = instead
    assert not await asker.refresh()
    assert asker.client.failing
    assert "k1" in asker.client.keys
    assert issuer.asked["elsewhere"] == 0
    issuer.instead = None
    assert not await asker.refresh()
    assert not asker.client.failing


async def test_keys_count_until_their_bound_and_come_back(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    asker = Asker(issuer, session, keys_seconds=0.2)
    await asker.refresh()
    assert "k1" in await asker.next()
    issuer.instead = (503, b"", {})
    assert not await asker.refresh()
    assert "k1" in asker.client.keys
    nothing = await asker.next()
    assert "k1" not in nothing
    assert nothing.missing.startswith("issuer unreachable since 2")
    issuer.instead = None
    assert await asker.refresh()
    assert "k1" in await asker.next()


async def test_confirmed_keys_count_beyond_their_first_bound(
    issuer: LocalIssuer, session: aiohttp.ClientSession
) -> None:
    asker = Asker(issuer, session, keys_seconds=0.4)
    end = asyncio.get_running_loop().time() + 1.0
    while asyncio.get_running_loop().time() < end:
        await asker.refresh()
        assert "k1" in asker.client.keys
        await asyncio.sleep(0.05)
    assert asker.given.qsize() == 1


async def test_keys_that_were_never_fetched_have_a_reason(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    issuer.instead = (503, b"", {})
    asker = Asker(issuer, session)
    await asker.refresh()
    assert (await asker.next()).missing.startswith("issuer unreachable since 2")


async def test_the_log_has_changes_of_state_and_not_each_failure(
    issuer: LocalIssuer, session: aiohttp.ClientSession
) -> None:
    asker = Asker(issuer, session, keys_seconds=0.2)
    with capture_logs() as lines:
        await asker.refresh()
        assert lines == []
        issuer.instead = (503, b"", {})
        for _ in range(5):
            await asker.refresh()
        await asker.next()
        assert (await asker.next()).missing
        for _ in range(5):
            await asker.refresh()
        issuer.instead = None
        await asker.refresh()
    assert [line["event"] for line in lines] == [
        "keys of an issuer cannot be fetched",
        "issuer unreachable, its tokens are refused",
        "issuer reachable again",
    ]
    assert {line["issuer"] for line in lines} == {issuer.url}
    assert "status 503" in lines[0]["error"]
    assert lines[1]["since"] == lines[2]["since"] != ""


class Ring:
    """What the gateway does with keys: tokens are verified by them."""

    def __init__(self, issuer: Issuer) -> None:
        self.trust = Trust(issuer, KeySet(), ("bank",))
        self.given: asyncio.Queue[KeySet] = asyncio.Queue()

    def put_keys(self, issuer: str, keys: KeySet) -> None:
        assert issuer == self.trust.issuer.issuer
        self.trust = replace(self.trust, keys=keys)
        self.given.put_nowait(keys)

    def identify(self, token: str) -> Principal | Refusal | UnknownKey:
        jws = read(token)
        assert isinstance(jws, Jws)
        return verify(jws, {self.trust.issuer.issuer: self.trust}, 4, 0.0)


def shown(issuer: LocalIssuer, kid: str) -> str:
    claims = {"iss": issuer.url, "sub": "alice", "aud": "bank", "exp": 60, "iat": 0, "jti": "t", "client_id": "web"}
    return jwt.encode(claims, issuer.keys[kid], "ES256", {"typ": "at+jwt", "kid": kid})


def gateway(issuer: LocalIssuer, session: aiohttp.ClientSession, **changes: Any) -> tuple[Ring, Keys]:
    config = issuer.config(**changes)
    ring = Ring(config)
    return ring, Keys(Identity().model_copy(update={"issuers": (config,)}), ring, session)


@pytest.mark.parametrize("discovered", [True, False])
async def test_fetched_keys_reach_the_keyring(
    issuer: LocalIssuer, session: aiohttp.ClientSession, discovered: bool
) -> None:
    ring, keys = gateway(issuer, session, jwks_url=None if discovered else f"{issuer.url}/jwks")
    assert ring.identify(shown(issuer, "k1")) == UnknownKey(issuer.url)
    await keys.fetch(issuer.url)
    assert not isinstance(ring.identify(shown(issuer, "k1")), Refusal | UnknownKey)
    assert issuer.asked["metadata"] == discovered


async def test_rotation_refuses_no_token(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    ring, keys = gateway(issuer, session)
    for number in range(3):
        kid = f"new{number}"
        issuer.keys[kid] = new_key()

        async def identified(kid: str = kid) -> Any:
            if isinstance(ring.identify(shown(issuer, kid)), UnknownKey):
                await keys.fetch(issuer.url)
            return ring.identify(shown(issuer, kid))

        answers = await asyncio.gather(*(identified() for _ in range(50)))
        assert not [answer for answer in answers if isinstance(answer, Refusal | UnknownKey)]
    assert issuer.asked["jwks"] == 3


async def test_an_issuer_that_does_not_answer_holds_no_request(
    issuer: LocalIssuer, session: aiohttp.ClientSession
) -> None:
    ring, keys = gateway(issuer, session)
    issuer.open.clear()
    await asyncio.wait_for(keys.fetch(issuer.url), DEADLINE)
    assert isinstance(ring.identify(shown(issuer, "k1")), UnknownKey)
    issuer.open.set()
    await keys.fetch(issuer.url)
    assert not isinstance(ring.identify(shown(issuer, "k1")), UnknownKey)


async def test_an_unreachable_issuer_is_the_reason(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    ring, keys = gateway(issuer, session)
    issuer.instead = (404, b"", {})
    await keys.fetch(issuer.url)
    answer = ring.identify(shown(issuer, "k1"))
    assert isinstance(answer, UnknownKey)
    assert answer.otherwise.detail.startswith("issuer unreachable since 2")


async def test_keys_are_kept_without_being_asked_for(issuer: LocalIssuer, session: aiohttp.ClientSession) -> None:
    ring, keys = gateway(issuer, session, keys_seconds=0.4)
    keeping = asyncio.create_task(keys.keep())
    try:
        assert "k1" in await asyncio.wait_for(ring.given.get(), DEADLINE)
        old = shown(issuer, "k1")
        assert not isinstance(ring.identify(old), UnknownKey)
        issuer.keys = {"k2": new_key()}
        assert "k1" not in await asyncio.wait_for(ring.given.get(), DEADLINE)
        assert isinstance(ring.identify(old), UnknownKey)
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

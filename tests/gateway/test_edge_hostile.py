"""Hostile callers at the real edge: altered tokens, certificates, proofs, signatures prove nobody and break nothing."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.identity.jwk import public_key
from tests.gateway.front import WORKLOADS, Front, front, proof, request
from tests.gateway.workloads import DOMAIN, SVID, Ca, Leaf, self_signed, usage

HOSTILE = 10_000 if os.environ.get("PORTCULLIS_PROVE") == "1" else 350
PATH = "/accounts/1001"
NO_HANDSHAKE = 0  # instead of a status
_OTHER = "spiffe://other.example/batch"
_KEY = ec.generate_private_key(ec.SECP256R1())
_BETWEEN = Ca("between", WORKLOADS)


@dataclass(frozen=True)
class Shown:
    """What a hostile request shows of itself."""

    headers: dict[str, str] = field(default_factory=dict)
    certificate: Leaf | None = None


@pytest.mark.prove
async def test_whatever_hostile_callers_show_nobody_gets_in_and_nothing_breaks() -> None:
    rng = random.Random(5)
    async with front() as edge:
        good = edge.issuer.token(sub="person:alice")
        assert (await edge.get(shown={"authorization": f"Bearer {good}"}))[0] == 200
        hostile = list(_hostile(edge, good, rng))
        first = await _all(edge, hostile[: HOSTILE // 3])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answers = first + await _all(edge, hostile[HOSTILE // 3 :])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert set(answers) <= {NO_HANDSHAKE, 400, 401, 403, 431}, answers
        assert answers.total() == HOSTILE
        assert len(edge.upstream) == 1  # the good one
        assert grown < 50_000  # KiB
        assert (await edge.get(shown={"authorization": f"Bearer {good}"}))[0] == 200
        assert (await edge.get(certificate=WORKLOADS.leaf(SVID)))[0] == 200
        assert (await edge.get(shown=edge.signed(request())))[0] == 200


async def _all(edge: Front, hostile: list[Shown]) -> Counter[int]:
    turns = asyncio.Semaphore(16)

    async def one(shown: Shown) -> int:
        async with turns:
            try:
                return (await edge.get(PATH, shown.headers, shown.certificate))[0]
            except aiohttp.ClientError:
                assert shown.certificate is not None, shown.headers
                return NO_HANDSHAKE

    return Counter(await asyncio.gather(*map(one, hostile)))


def _hostile(edge: Front, good: str, rng: random.Random) -> Iterator[Shown]:
    """So many requests, none of which proves anybody."""
    kinds = (
        _mutated,
        _other_claims,
        _other_header,
        _odd_authorization,
        _odd_proof,
        _other_proof,
        _odd_signature,
        _other_signature,
        _certificate,
    )
    for number in range(HOSTILE):
        yield kinds[number % len(kinds)](edge, good, rng)


def _mutated(edge: Front, good: str, rng: random.Random) -> Shown:
    """One character of a good token is another one."""
    at = rng.randrange(len(good))
    other = rng.choice([one for one in "ABCabc019-_." if one != good[at]])
    return Shown({"authorization": f"Bearer {good[:at]}{other}{good[at + 1 :]}"})


def _other_claims(edge: Front, good: str, rng: random.Random) -> Shown:
    """Signed by the issuer, and still no access token for us."""
    now = time.time()
    change: dict[str, Any] = rng.choice(
        [
            {"exp": now - 60},
            {"exp": now + 10**9},
            {"exp": "soon"},
            {"iat": now + 3600},
            {"nbf": now + 3600},
            {"aud": "another"},
            {"aud": []},
            {"sub": ""},
            {"sub": "person:a b"},
            {"sub": 7},
            {"act": {"sub": "agent:unregistered"}},
            {"act": "agent:x"},
            {"act": {"act": {"act": {"act": {"act": {"sub": "agent:x"}}}}}},
            {"cnf": {"jkt": "x" * 43}},
            {"cnf": {"x5t#S256": "x" * 43}},
            {"cnf": {}},
            {"iss": "https://evil.example"},
        ]
    )
    return Shown({"authorization": f"Bearer {edge.issuer.token(**change)}"})


def _other_header(edge: Front, good: str, rng: random.Random) -> Shown:
    """The header says something else than what was signed."""
    first, payload, signature = good.split(".")
    header = json.loads(urlsafe_b64decode(first + "=="))
    header |= rng.choice(
        [
            {"alg": rng.choice(["none", "None", "NONE", "HS256", "RS256", "ES384", 7, None])},
            {"kid": rng.choice(["../../etc/passwd", "", "k2", "k" * 5_000, None])},
            {"crit": ["exp"]},
            {"jku": "http://127.0.0.1/jwks"},
            {"x5u": "http://127.0.0.1/c"},
            {"jwk": edge.issuer.jwk()},
            {"typ": rng.choice(["JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", 7])},
        ]
    )
    told = urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return Shown({"authorization": f"Bearer {told}.{payload}.{rng.choice([signature, '', 'AAAA'])}"})


def _odd_authorization(edge: Front, good: str, rng: random.Random) -> Shown:
    return Shown(
        {
            "authorization": rng.choice(
                [
                    "Bearer",
                    "Bearer  ",
                    f"Bearer {good},Bearer {good}",
                    f"Bearer {good} {good}",
                    f"bearer\t{good}",
                    f"Basic {good}",
                    f"DPoP {good}",
                    f"Bearer {'A' * 40_000}",
                    f"Bearer {'.' * 300}",
                    f"Bearer {good}.{good}",
                    "Bearer " + "".join(chr(rng.randrange(33, 127)) for _ in range(200)),
                ]
            )
        }
    )


def _odd_proof(edge: Front, good: str, rng: random.Random) -> Shown:
    """No proof at all."""
    bound = _bound(edge)
    shown = rng.choice([good, "", "x.y.z", "..", "A" * 9_000, f"{good},{good}", edge.issuer.token(htm="GET")])
    return Shown({"authorization": f"DPoP {bound}", "dpop": shown})


def _other_proof(edge: Front, good: str, rng: random.Random) -> Shown:
    """A proof by the right key, of something else; or of the right thing, by another key."""
    bound, now = _bound(edge), time.time()
    thief = ec.generate_private_key(ec.SECP256R1())
    right = proof(_KEY, "GET", PATH, bound)
    shown = rng.choice(
        [
            proof(thief, "GET", PATH, bound),
            proof(_KEY, "POST", PATH, bound),
            proof(_KEY, "GET", "/accounts/1002", bound),
            proof(_KEY, "GET", PATH, good),
            proof(_KEY, "GET", PATH),
            proof(_KEY, "GET", PATH, bound, iat=int(now) - 3600),
            proof(_KEY, "GET", PATH, bound, iat=int(now) + 3600),
            proof(_KEY, "GET", PATH, bound, iat="now"),
            proof(_KEY, "GET", PATH, bound, jti=""),
            proof(_KEY, "GET", PATH, bound, jti=7),
            proof(_KEY, "GET", PATH, bound, htu="https://evil.example/accounts/1001"),
            right[:-8] + "AAAAAAAA",
            f"{right},{right}",
        ]
    )
    scheme = rng.choice(["DPoP", "dpop", "DPOP"])
    return Shown({"authorization": f"{scheme} {bound}", "dpop": shown})


def _bound(edge: Front) -> str:
    jwk = {"kty": "EC", "crv": "P-256"} | _coordinates()
    key = public_key(jwk)
    assert key is not None
    return edge.issuer.token(cnf={"jkt": key.thumbprint})


def _coordinates() -> dict[str, str]:
    numbers = _KEY.public_key().public_numbers()
    named = {"x": numbers.x, "y": numbers.y}
    return {name: urlsafe_b64encode(value.to_bytes(32, "big")).rstrip(b"=").decode() for name, value in named.items()}


def _odd_signature(edge: Front, good: str, rng: random.Random) -> Shown:
    """By no key that anybody knows, or no signature at all."""
    covered = rng.choice(
        ['"@authority"', '"@method" "@authority" "@path"', '"@authority" "@authority"', '"cookie"', ""]
    )
    now = int(time.time())
    parameters = f';created={now};expires={now + 60};keyid="k";nonce="{rng.random()}";tag="web-bot-auth"'
    label = rng.choice(["sig1", "sig2", "SIG"])
    value = rng.choice([":AAAA:", ":" + "A" * 88 + ":", "AAAA", "?1", ":%:", ""])
    return Shown({"signature-input": f"sig1=({covered}){parameters}", "signature": f"{label}={value}"})


def _other_signature(edge: Front, good: str, rng: random.Random) -> Shown:
    """By an agent's own key: over another request, out of its time, over too little, or altered afterwards."""
    now = int(time.time())
    signed = rng.choice(
        [
            edge.signed(request("/accounts/1002")),
            edge.signed(request(method="POST")),
            edge.signed(request(authority="evil.example")),
            edge.signed(request(), '"@method"', '"@path"'),
            edge.signed(request(), '"@authority"'),
            edge.signed(request(), created=now - 7200, expires=now - 3600),
            edge.signed(request(), created=now + 3600, expires=now + 3660),
            edge.signed(request(), created=now, expires=now + 10**7),
            edge.signed(request(), nonce=None),
            edge.signed(request(), alg="rsa-v1_5-sha256"),
            _altered(edge.signed(request()), "signature", rng),
            _altered(edge.signed(request()), "signature-input", rng),
            edge.signed(request()) | {"authorization": f"Bearer {good}"},
        ]
    )
    return Shown(signed)


def _altered(signed: dict[str, str], name: str, rng: random.Random) -> dict[str, str]:
    value = signed[name]
    at = rng.randrange(5, len(value) - 4)  # the letter before "==" has bits that mean nothing (RFC 9651 section 4.2.7)
    return signed | {name: value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]}


_CERTIFICATES = (
    self_signed(SVID),
    Ca(DOMAIN).leaf(SVID),
    WORKLOADS.leaf(_OTHER),
    WORKLOADS.leaf(SVID, hours=-0.5),
    WORKLOADS.leaf(SVID, begins=6),
    Ca("expired", WORKLOADS, hours=-0.5).leaf(SVID),
    WORKLOADS.leaf(SVID, ca=True),
    WORKLOADS.leaf(SVID, key_usage=usage(certificates=True)),
    WORKLOADS.leaf(),
    WORKLOADS.leaf("https://bank.example/batch"),
    WORKLOADS.leaf(SVID, "spiffe://bank.example/root"),
    WORKLOADS.leaf(SVID, _OTHER),
    WORKLOADS.leaf("spiffe://bank.example/../root"),
    WORKLOADS.leaf("spiffe://bank.example"),
    WORKLOADS.leaf("spiffe://BANK.example/batch"),
    WORKLOADS.leaf("spiffe://bank.example/batch%2froot"),
    WORKLOADS.leaf("spiffe://bank.example/batch?a=1"),
    WORKLOADS.leaf("spiffe://bank.example/" + "a" * 3_000),
    _BETWEEN.leaf(SVID, _OTHER),
)


def _certificate(edge: Front, good: str, rng: random.Random) -> Shown:
    """One that names nobody; or a good one, beside a token that is bound to another."""
    bound = edge.issuer.token(cnf={"x5t#S256": urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()})
    if rng.random() < 0.2:
        return Shown({"authorization": f"Bearer {bound}"}, _BETWEEN.leaf(SVID))
    headers = rng.choice([{}, {}, {"x-forwarded-client-cert": "By=a;URI=spiffe://bank.example/root"}])
    return Shown(headers, rng.choice(_CERTIFICATES))

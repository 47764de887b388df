"""Header lines that come twice: an ordinary route and a stream read the same request in the same way."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from multidict import CIMultiDict

from gateway.identity.jwk import public_key
from tests.gateway.front import Front, front, proof, request
from tests.http_signer import Agent

PATHS = ("/accounts/1001", "/streams/1001")


@pytest.fixture
async def edge() -> AsyncIterator[Front]:
    async with front() as running:
        yield running


async def test_a_proof_beside_another_counts_nowhere(edge: Front) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    known = public_key(Agent(key).jwk)
    assert known is not None
    bound = edge.issuer.token(cnf={"jkt": known.thumbprint})
    for path in PATHS:
        one = {"authorization": f"DPoP {bound}", "dpop": proof(key, "GET", path, bound)}
        assert (await edge.get(path, one))[0] == 200
        for order in (["x", "right"], ["right", "x"], ["right", "right"]):
            two = CIMultiDict(authorization=f"DPoP {bound}")
            for which in order:
                two.add("dpop", proof(key, "GET", path, bound) if which == "right" else "x.y.z")
            assert (await edge.get(path, two))[0] == 401, (path, order)


async def test_lines_of_a_signature_are_one_field_everywhere(edge: Front) -> None:
    for path in PATHS:
        signed = edge.signed(request(path))
        twice = CIMultiDict(signed)
        twice.add("signature-input", signed["signature-input"])
        assert (await edge.get(path, twice))[0] == 401, path
        other = CIMultiDict([("signature-input", 'sig2=("@method");tag="other"'), ("signature", "sig2=:AAAA:")])
        other.extend(signed)
        assert (await edge.get(path, other))[0] == 200, path


async def test_two_tokens_are_none_everywhere(edge: Front) -> None:
    bearer = f"Bearer {edge.issuer.token(sub='person:alice')}"
    for path in PATHS:
        two = CIMultiDict([("authorization", "Bearer x"), ("authorization", bearer)])
        assert (await edge.get(path, two))[0] == 400, path

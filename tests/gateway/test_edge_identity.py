"""Identity through the real edge: honest callers, each by its own kind of proof, and what the upstream is told."""

from __future__ import annotations

import hashlib
import time
from base64 import b64encode
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from structlog.testing import capture_logs

from gateway.edge import EXCHANGE_PATH
from tests.gateway.front import FORM, WORKLOADS, Front, front, proof, request
from tests.gateway.workloads import SVID
from verifier import NotVerified, read_keys, verify


async def test_the_upstream_gets_a_transaction_token_and_nothing_that_the_caller_showed() -> None:
    async with front() as edge:
        bearer = f"Bearer {edge.issuer.token(sub='person:alice')}"
        shown = {"authorization": bearer, "txn-token": "forged", "dpop": "x", "signature": "x"}
        assert (await edge.get(shown=shown))[0] == 200
        (headers,) = edge.upstream
        assert not {"authorization", "dpop", "signature", "signature-input"} & {name.lower() for name in headers}
        assert len(headers.getall("txn-token")) == 1
        async with edge.session.get(f"https://localhost:{edge.port}/.well-known/portcullis/jwks.json") as answer:
            assert answer.headers["content-type"] == "application/json"
            keys = read_keys(await answer.read())
        token = headers["txn-token"]
        found = verify(token, keys, issuer="urn:portcullis:gateway", audience="accounts")
        assert (found.subject, found.vouched_by) == ("person:alice", edge.issuer.name)
        with pytest.raises(NotVerified):
            verify(token, keys, issuer="urn:portcullis:gateway", audience="accounts", now=time.time() + 30)
        assert len(edge.upstream) == 1


async def test_no_credentials_are_challenged_for_each_way_to_prove_oneself() -> None:
    async with front() as edge:
        assert await edge.get() == (401, 'Bearer realm="portcullis", DPoP realm="portcullis", algs="ES256 EdDSA"')


async def test_a_person_hands_her_agent_a_narrower_token_and_nobody_else_can_use_it() -> None:
    async with front() as edge:
        key = ec.generate_private_key(ec.SECP256R1())
        await edge.register("agent:invoice-bot")
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": edge.issuer.token(sub="person:alice"),
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "actor_token": edge.issuer.token(sub="agent:invoice-bot"),
            "actor_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "accounts:read",
        }
        status, told = await edge.exchange(form, proof(key, "POST", EXCHANGE_PATH))
        assert (status, told["token_type"], told["scope"]) == (200, "DPoP", "accounts:read")
        token = told["access_token"]
        shown = {"authorization": f"DPoP {token}"}
        assert (await edge.get(shown=shown | {"dpop": proof(key, "GET", "/accounts/1001", token)}))[0] == 200
        keys = read_keys(edge.gateway.signing.ring.jwks())
        named = verify(edge.upstream[-1]["txn-token"], keys, issuer="urn:portcullis:gateway", audience="accounts")
        assert (named.subject, named.actors) == ("person:alice", ("agent:invoice-bot",))
        assert (named.scopes, named.proof) == (("accounts:read",), ("bearer", "dpop"))
        assert named.vouched_by == edge.issuer.name  # and not we, who only narrowed it
        thief = ec.generate_private_key(ec.SECP256R1())
        assert (await edge.get(shown=shown | {"dpop": proof(thief, "GET", "/accounts/1001", token)}))[0] == 401
        assert (await edge.get(shown={"authorization": f"Bearer {token}"}))[0] == 401
        wider = form | {"scope": "accounts:read admin"}
        assert (await edge.exchange(wider, proof(key, "POST", EXCHANGE_PATH)))[1]["error"] == "invalid_scope"
        stranger = form | {"actor_token": edge.issuer.token(sub="agent:unregistered")}
        idle = form | {"actor_token": edge.issuer.token(sub="agent:invoice-bot", aud="elsewhere")}
        with capture_logs() as lines:
            for wrong in (stranger, idle):
                assert (await edge.exchange(wrong, proof(key, "POST", EXCHANGE_PATH)))[0] == 400
        logged = [(line["exchange"], line["why"]) for line in lines if line["event"] == "not identified"]
        assert logged == [
            ("actor_token", "agent:unregistered: not registered"),
            ("actor_token", "audience"),
        ]
        unbound = await edge.exchange(form, "")
        assert (unbound[0], unbound[1]["error"]) == (400, "invalid_request")
        assert (await edge.exchange(form, "not.a.proof"))[1]["error"] == "invalid_dpop_proof"


def upstream_token(edge: Front) -> Any:
    """What the last request's transaction token says."""
    keys = read_keys(edge.gateway.signing.ring.jwks())
    return verify(edge.upstream[-1]["txn-token"], keys, issuer="urn:portcullis:gateway", audience="accounts")


async def test_a_workload_is_known_by_its_certificate_and_an_agent_by_its_signature() -> None:
    async with front() as edge:
        assert (await edge.get(certificate=WORKLOADS.leaf(SVID)))[0] == 200
        assert upstream_token(edge).subject == f"workload:{SVID}"
        signed = edge.signed(request())
        assert (await edge.get(shown=signed))[0] == 200
        assert upstream_token(edge).subject == "agent:signer"
        assert upstream_token(edge).proof == ("http-signature",)
        assert (await edge.get(shown=signed))[0] == 401
        assert (await edge.get("/accounts/1002", edge.signed(request())))[0] == 401


async def test_an_agent_that_signs_its_exchange_becomes_the_actor() -> None:
    async with front() as edge:
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": edge.issuer.token(sub="person:alice"),
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "scope": "accounts:read",
        }
        body = urlencode(form).encode()
        digest = f"sha-256=:{b64encode(hashlib.sha256(body).digest()).decode()}:"
        asked = request(EXCHANGE_PATH, method="POST", headers=(("content-digest", digest), ("content-type", FORM)))

        async def ask(
            signature: dict[str, str], told: dict[str, str] = form, sent: str = digest
        ) -> tuple[int, dict[str, Any]]:
            shown = signature | {"content-digest": sent}
            return await edge.exchange(told, proof(edge.key, "POST", EXCHANGE_PATH), shown)

        whole = ('"@method"', '"@authority"', '"@path"', '"content-digest"')
        status, told = await ask(edge.signed(asked, *whole))
        assert (status, told["token_type"], told["scope"]) == (200, "DPoP", "accounts:read"), told
        token = told["access_token"]
        shown = {"authorization": f"DPoP {token}", "dpop": proof(edge.key, "GET", "/accounts/1001", token)}
        assert await edge.get(shown=shown) == (200, "")
        assert (upstream_token(edge).subject, upstream_token(edge).actors) == ("person:alice", ("agent:signer",))
        stranger = proof(ec.generate_private_key(ec.SECP256R1()), "POST", EXCHANGE_PATH)
        status, told = await edge.exchange(form, stranger, edge.signed(asked, *whole) | {"content-digest": digest})
        assert (status, told["error"]) == (400, "unauthorized_client")
        refused = (401, "invalid_client")
        altered = form | {"scope": "accounts:read payments:write"}
        for wrong in (
            ask(edge.signed(asked, *whole), altered),
            ask(edge.signed(asked, *whole), altered, f"sha-256=:{b64encode(bytes(32)).decode()}:"),
            ask(edge.signed(asked, *whole[:3])),
            ask(edge.signed(asked, *whole, expires=int(time.time()) - 60)),
            ask({}),
        ):
            status, told = await wrong
            assert (status, told["error"]) == refused

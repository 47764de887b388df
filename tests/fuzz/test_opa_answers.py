"""Hostile answers of an OPA server: whatever it says, nothing is allowed unless it says so in due form."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import web
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detectors import Verdict
from policy import AccessRequest, Bundle, Decision, OpaServer, Pdp, Principal, Response, opa_pdp

RULES = {"a.rego": 'package portcullis.access\n\ndecision := {"effect": "deny"}\n'}
REQUEST = AccessRequest(
    principal=Principal(id="person:alice", kind="person", issuer="bank"), action="GET", service="s", path="/", time=1.0
)
VERDICT = Verdict(
    id="v-1",
    time=1.0,
    detector="access",
    kind="principal",
    subject="person:alice",
    score=0.9,
    threshold=0.5,
    evidence=(),
    technique="T1087",
    model="m",
    since=1.0,
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
words = st.sampled_from(
    ["result", "effect", "reasons", "obligations", "blocks", "risks", "why", "kind", "value", "ttl"]
)
values = st.recursive(
    scalars | st.sampled_from(["allow", "deny", "step_up"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


class Server:
    """Takes policies and data as OPA does, and answers questions with what it is told to, proof of its state included:
    a state that it knows, as whoever answers in OPA's place would have overheard.
    """

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.status, self.body, self.type = 200, b"{}", "application/json"
        self._modules: dict[str, str] = {}
        self._state: Any = None

    @property
    def held(self) -> dict[str, Any]:
        """What makes an answer count."""
        rules = re.search(r'"rules": ("[^"]+")', self._modules.get("portcullis/answer", ""))
        return {"rules": json.loads(rules[1]) if rules else "", "data": self._state}

    async def start(self) -> int:
        app = web.Application()
        app.router.add_route("*", "/v1/policies/", self._listed)
        app.router.add_route("*", "/v1/policies/{name:.+}", self._module)
        app.router.add_route("*", "/v1/data{path:.*}", self._data)
        self._serving = web.AppRunner(app)
        await self._serving.setup()
        await web.TCPSite(self._serving, "127.0.0.1", 0).start()
        return int(self._serving.addresses[0][1])

    async def _listed(self, request: web.Request) -> web.Response:
        found = [{"id": name, "raw": raw, "ast": {"package": _package(raw)}} for name, raw in self._modules.items()]
        return web.json_response({"result": found})

    async def _module(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if request.method == "PUT":
            self._modules[name] = await request.text()
        else:
            del self._modules[name]
        return web.json_response({})

    async def _data(self, request: web.Request) -> web.Response:
        if request.method != "PATCH":
            return web.Response(status=self.status, body=self.body, content_type=self.type)
        for change in await request.json():
            if change["path"] == "/portcullis_state":
                self._state = change["value"]
        return web.Response(status=204)

    async def stop(self) -> None:
        await self._serving.cleanup()


def _package(raw: str) -> dict[str, Any]:
    steps = raw.split()[1].split(".")
    return {"path": [{"type": "string", "value": step} for step in ["data", *steps]]}


@pytest.fixture(scope="module")
def opa() -> Iterator[tuple[Server, Pdp]]:
    with asyncio.Runner() as runner:
        server = Server(runner)
        port = runner.run(server.start())
        pdp = opa_pdp(Bundle(RULES, {}), OpaServer(port=port, timeout=5, failures=1_000_000))
        yield server, pdp
        runner.run(pdp.aclose())
        runner.run(server.stop())


def asked(opa: tuple[Server, Pdp], body: bytes, status: int = 200, kind: str = "application/json") -> Decision:
    """What the PDP makes of an answer, in which HELD stands for the proof of the state asked for; and the response
    policy's answer is a Response whatever it was.
    """
    server, pdp = opa
    server.runner.run(pdp.ask(REQUEST))  # by now it has the policy, whatever it answered
    held = json.dumps(server.held).encode()
    server.body, server.status, server.type = body.replace(b'"HELD"', held), status, kind
    assert isinstance(server.runner.run(pdp.respond(VERDICT, "person:alice", 1.0)), Response)
    return server.runner.run(pdp.ask(REQUEST))


def well_formed(told: Any) -> bool:
    """An allow as the contract has it, and not a field more."""
    return (
        isinstance(told, dict)
        and told.keys() <= {"effect", "reasons", "obligations"}
        and told.get("effect") == "allow"
        and isinstance(told.get("reasons", []), list | None)
        and all(isinstance(reason, str) for reason in told.get("reasons") or [])
        and isinstance(told.get("obligations", {}), dict | None)
    )


@settings(max_examples=15)
@given(value=values)
@example(value={"effect": "allow"})
@example(value={"effect": ["allow"]})
@example(value={"effect": "allow", "reasons": "allow"})
@example(value={"effect": "allow", "more": 1})
@example(value="allow")
@example(value=True)
def test_any_value(opa: tuple[Server, Pdp], value: Any) -> None:
    """Any value is an allow if and only if it is a decision in due form that says allow, and comes with the proof."""
    decision = asked(opa, json.dumps({"result": {"held": "HELD", "value": value}}).encode())
    assert decision.allowed == well_formed(value)
    for unproven in (
        value,
        {"result": value},
        {"result": {"value": value}},
        {"result": {"held": value, "value": value}},
    ):
        assert not asked(opa, json.dumps(unproven).encode()).allowed


@settings(max_examples=30)
@given(body=st.binary(max_size=60), status=st.sampled_from([200, 201, 400, 404, 500]))
@example(body=b"[" * 100_000, status=200)
@example(body=b'{"result":{"held":"HELD","value":{"effect":"\xff"}}}', status=200)
@example(body=b'{"result":' * 5000, status=200)
@example(body=b'{"result":{"held":"HELD","value":{"effect":"allow"}}', status=200)
@example(body=b'{"result":{"held":"HELD","value":{"effect":"allow","reasons":' + b"[" * 400 + b"]" * 400, status=200)
def test_any_bytes(opa: tuple[Server, Pdp], body: bytes, status: int) -> None:
    """Any bytes under any status are a denial."""
    assert not asked(opa, body, status).allowed


@pytest.mark.parametrize(("status", "kind"), [(500, "application/json"), (404, "application/json"), (200, "text/html")])
def test_an_allow_that_is_no_answer(opa: tuple[Server, Pdp], status: int, kind: str) -> None:
    """The right words under an error's status, or in a page of something else, are a denial."""
    body = b'{"result":{"held":"HELD","value":{"effect":"allow"}}}'
    assert not asked(opa, body, status, kind).allowed
    assert asked(opa, body).allowed

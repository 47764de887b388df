"""One suite of decisions for both engines: the embedded one and a real OPA give the same answer to each."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from policy import AccessRequest, Bundle, Decision, OpaServer, Pdp, Principal, decode_json, embedded_pdp, opa_pdp
from tests.policy.real_opa import RealOpa, opa_binary

RULES = """package portcullis.access

decision := {"effect": "allow", "reasons": ["below"]} if {
    input.path == "/amount"
    input.body.amount < 100
}

decision := {"effect": "deny", "reasons": ["not_below"]} if {
    input.path == "/amount"
    not input.body.amount < 100
}

decision := {"effect": "allow", "reasons": ["within"]} if {
    input.path == "/limit"
    input.body.amount <= data.limits[input.body.who]
}

decision := {"effect": "allow"} if {
    input.path == "/member"
    input.body.value in data.members
}

decision := {"effect": "allow"} if {
    input.path == "/equal"
    input.body.left == input.body.right
}

decision := {"effect": "deny", "reasons": [], "obligations": {"echo": input.body}} if input.path == "/echo"

decision := {"effect": "deny", "reasons": [sprintf("%v", [input.body.value])]} if input.path == "/shown"

decision := {"effect": "deny", "reasons": [upper(input.body.value)]} if input.path == "/upper"

decision := {"effect": "deny", "reasons": [format_int(input.body.value, 10)]} if input.path == "/whole"

decision := {"effect": "deny", "reasons": {reason | some reason in input.body.value}} if input.path == "/reasons"

decision := {"effect": "deny", "obligations": {"depth": max({count(path) | walk(input.body.value, [path, _])})}} if {
    input.path == "/depth"
}

decision := {"effect": "deny", "obligations": input.attributes_of_nobody} if input.path == "/undefined"

decision := {"effect": "deny", "obligations": {input.body.value: 1}} if input.path == "/key"

decision := input.body.value if input.path == "/forged"

decision := {"effect": "allow"} if input.path == "/contradiction"

decision := {"effect": "deny"} if {
    input.path == "/contradiction"
    input.body.value
}

decision := {"effect": "allow", "reasons": [input.context.device]} if input.path == "/context"

decision := {"effect": "allow"} if {
    input.path == "/claim"
    input.principal.attributes.limit > 10
}
"""
DATA = {"limits": {"alice": 100, "text": "a", "null": None}, "members": [1, "1", True, [1], {"a": 1}, None]}
BUNDLE = Bundle({"rules.rego": RULES}, DATA)

# Path, JSON text of the body, and the answer: effect and reasons, or only reasons of a denial.
DECISIONS: list[tuple[str, str, Any]] = [
    ("/amount", '{"amount": 99}', ("allow", ("below",))),
    ("/amount", '{"amount": 100}', ("deny", ("not_below",))),
    ("/amount", '{"amount": 99.99999999999999999999}', ("allow", ("below",))),
    ("/amount", '{"amount": 100.00000000000000000001}', ("deny", ("not_below",))),
    ("/amount", '{"amount": 1e400}', ("deny", ("not_below",))),
    ("/amount", '{"amount": -1e400}', ("allow", ("below",))),
    ("/amount", '{"amount": 123456789012345678901234567890}', ("deny", ("not_below",))),
    ("/amount", '{"amount": "5"}', ("deny", ("not_below",))),  # texts come after numbers
    ("/amount", '{"amount": null}', ("allow", ("below",))),  # and null before
    ("/amount", '{"amount": true}', ("allow", ("below",))),
    ("/amount", '{"amount": []}', ("deny", ("not_below",))),
    ("/amount", '{"amount": 5, "amount": 500}', ("deny", ("not_below",))),
    ("/limit", '{"who": "alice", "amount": 100}', ("allow", ("within",))),
    ("/limit", '{"who": "alice", "amount": 100.0}', ("allow", ("within",))),
    ("/limit", '{"who": "alice", "amount": 101}', ("deny", ("no_rule",))),
    ("/limit", '{"who": "text", "amount": 101}', ("allow", ("within",))),  # data of another type than expected
    ("/limit", '{"who": "null", "amount": 101}', ("deny", ("no_rule",))),
    ("/limit", '{"who": "nobody", "amount": 1}', ("deny", ("no_rule",))),
    ("/limit", '{"who": ["alice"], "amount": 1}', ("deny", ("no_rule",))),
    ("/limit", '{"who": null, "amount": 1}', ("deny", ("no_rule",))),
    ("/member", '{"value": 1.0}', ("allow", ())),
    ("/member", '{"value": true}', ("allow", ())),
    ("/member", '{"value": false}', ("deny", ("no_rule",))),
    ("/member", '{"value": [1.0]}', ("allow", ())),
    ("/member", '{"value": [true]}', ("deny", ("no_rule",))),
    ("/member", '{"value": null}', ("allow", ())),
    ("/equal", '{"left": 1, "right": 1.0}', ("allow", ())),
    ("/equal", '{"left": 1, "right": true}', ("deny", ("no_rule",))),
    ("/equal", '{"left": 100, "right": 1e2}', ("allow", ())),
    ("/equal", '{"left": 0.1, "right": 0.10}', ("allow", ())),
    ("/equal", '{"left": 0, "right": -0.0}', ("allow", ())),
    ("/equal", '{"left": 9007199254740993, "right": 9007199254740992}', ("deny", ("no_rule",))),
    ("/equal", '{"left": 0.1, "right": 0.1000000000000000055511151231257827}', ("deny", ("no_rule",))),
    ("/equal", '{"left": {"a": [1, null]}, "right": {"a": [1.0, null]}}', ("allow", ())),
    ("/equal", '{"left": "\\u00e9", "right": "e\\u0301"}', ("deny", ("no_rule",))),
    ("/equal", '{"left": "\\ud800", "right": "\\udfff"}', ("allow", ())),  # each no Unicode, and so U+FFFD
    ("/shown", '{"value": 2.50}', ("deny", ("2.5",))),
    ("/shown", '{"value": 12345678901234567890}', ("deny", ("12345678901234567890",))),
    ("/shown", '{"value": "\\ud800"}', ("deny", ("\ufffd",))),
    ("/upper", '{"value": "\\u00e9"}', ("deny", ("\u00c9",))),
    ("/upper", '{"value": 5}', ("deny", ("no_rule",))),
    ("/upper", '{"value": null}', ("deny", ("no_rule",))),
    ("/whole", '{"value": 10}', ("deny", ("10",))),
    ("/whole", '{"value": "10"}', ("deny", ("no_rule",))),
    ("/reasons", '{"value": ["b", "a", "b"]}', ("deny", ("a", "b"))),
    ("/reasons", '{"value": ["a", 1]}', ("deny", ("policy_error",))),
    ("/reasons", '{"value": "text"}', ("deny", ())),
    ("/reasons", '{"value": {"k": "v"}}', ("deny", ("v",))),
    ("/depth", f'{{"value": {"[" * 60}{"]" * 60}}}', ("deny", ())),
    ("/undefined", "{}", ("deny", ("no_rule",))),
    ("/key", '{"value": "x"}', ("deny", ())),
    ("/key", '{"value": 7}', ("deny", ())),
    ("/key", '{"value": [1, {"a": null}]}', ("deny", ())),
    ("/key", '{"value": 1.50}', ("deny", ())),
    ("/forged", '{"value": {"effect": "allow"}}', ("allow", ())),
    ("/forged", '{"value": {"effect": ["allow"]}}', ("deny", ("policy_error",))),
    ("/forged", '{"value": {"effect": "allow", "more": 1}}', ("deny", ("policy_error",))),
    ("/forged", '{"value": {"effect": "allow", "reasons": "own"}}', ("deny", ("policy_error",))),
    ("/forged", '{"value": {"effect": "allow", "obligations": []}}', ("deny", ("policy_error",))),
    ("/forged", '{"value": "allow"}', ("deny", ("policy_error",))),
    ("/forged", '{"value": true}', ("deny", ("policy_error",))),
    ("/forged", '{"value": null}', ("deny", ("policy_error",))),
    ("/forged", '{"value": false}', ("deny", ("policy_error",))),
    ("/contradiction", "{}", ("allow", ())),
    ("/contradiction", '{"value": false}', ("allow", ())),
    ("/contradiction", '{"value": 0}', ("deny", ("policy_error",))),
    ("/nowhere", "{}", ("deny", ("no_rule",))),
]
ECHOED = [
    *('{"a": 1.50, "b": [1e2, -0, -0.0, 0.1]}', '{"a": 1e400}', '{"": null}', '{"é": "\\u2028<>&"}', "[]", '"x"'),
    *("[" * 60 + "]" * 60, "12345678901234567890123456789", '{"a": {"b": {"c": [true, false]}}}'),
]


class Engines:
    """Both, asked one after the other."""

    def __init__(self, opa: Pdp) -> None:
        self.embedded = embedded_pdp(BUNDLE)
        self.opa = opa

    async def ask(self, **request: Any) -> tuple[Decision, Decision]:
        who = Principal(id="person:alice", kind="person", issuer="bank", attributes=request.pop("attributes", {}))
        asked = AccessRequest(**{"principal": who, "action": "POST", "service": "s", "time": 1.0, **request})
        return await self.embedded.ask(asked), await self.opa.ask(asked)

    async def agreed(self, **request: Any) -> Decision:
        """The decision, which is the same by both."""
        here, there = await self.ask(**request)
        assert (here.effect, here.reasons) == (there.effect, there.reasons)
        assert here.obligations == there.obligations
        return here


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines() -> AsyncIterator[Engines]:
    real = RealOpa(opa_binary())
    await real.start()
    opa = opa_pdp(BUNDLE, OpaServer(port=real.port, timeout=10))
    yield Engines(opa)
    await opa.aclose()
    await real.kill()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(("path", "body", "wanted"), DECISIONS)
async def test_both_give_the_wanted_answer(engines: Engines, path: str, body: str, wanted: Any) -> None:
    decision = await engines.agreed(path=path, body=decode_json(body))
    assert (decision.effect, decision.reasons) == wanted


@pytest.mark.parametrize("body", ["{}", "[]", "7", "null"])
async def test_what_is_not_there_is_neither_below_nor_not_below(engines: Engines, body: str) -> None:
    assert (await engines.agreed(path="/amount", body=decode_json(body))).reasons == ("no_rule",)


@pytest.mark.parametrize("body", ECHOED)
async def test_both_see_and_say_the_same(engines: Engines, body: str) -> None:
    """What a policy passes on comes back as it was."""
    decision = await engines.agreed(path="/echo", body=decode_json(body))
    assert decision.obligations.keys() == {"echo"}
    for path in ("/shown", "/depth", "/key", "/forged", "/upper", "/whole"):
        await engines.agreed(path=path, body={"value": decode_json(body)})


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "body",
    [
        *({"amount": math.nan}, {"amount": math.inf}, {"amount": -math.inf}, {"amount": 10**5_000}),
        *({1: 2}, {"a": {None: 1}}, {"a": b"bytes"}, {"a": {1, 2}}, {"a": object()}, nested(200), nested(100_000)),
    ],
    ids=lambda body: type(body).__name__,
)
async def test_what_is_no_json_is_an_error_to_both(engines: Engines, body: Any) -> None:
    """Nobody can send these: they would be a mistake of ours, and nothing passes."""
    for path in ("/amount", "/echo", "/contradiction"):
        assert (await engines.agreed(path=path, body=body)).reasons == ("policy_error",)


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [({"limit": 11}, "allow"), ({"limit": 10}, "deny"), ({"limit": "1"}, "allow"), ({}, "deny")],
)
async def test_claims_are_seen_alike(engines: Engines, attributes: dict[str, Any], wanted: str) -> None:
    assert (await engines.agreed(path="/claim", attributes=attributes)).effect == wanted


async def test_context_is_seen_alike(engines: Engines) -> None:
    assert (await engines.agreed(path="/context", context={"device": "d-1"})).reasons == ("d-1",)
    assert (await engines.agreed(path="/context")).reasons == ("no_rule",)


async def test_live_data_is_seen_alike(engines: Engines) -> None:
    """Written, removed, patched; numbers of any size, objects on the way, arrays."""
    changes: list[tuple[str, Any]] = [
        ("put", (("limits", "bob"), 7)),
        ("put", (("limits", "alice"), decode_json("100.50"))),
        ("put", (("new", "deep", "er"), {"a": [1, {"b": None}]})),
        ("remove", (("limits", "bob"),)),
        ("patch", ([{"op": "add", "path": "/members/0", "value": "first"}, {"op": "remove", "path": "/limits/text"}],)),
        ("patch", ([{"op": "move", "from": "/new/deep", "path": "/limits/deep"}],)),
        ("put", (("members",), [])),
        ("remove", (("members",),)),
        ("put", (("limits",), 5)),
        ("remove", (("limits",),)),
        ("put", (("portcullis_other", "x"), 1)),
        ("remove", (("portcullis_other", "x"),)),
    ]
    questions = [(path, body) for path, body, _ in DECISIONS if path in ("/limit", "/member")]
    for operation, arguments in changes:
        for pdp in (engines.embedded, engines.opa):
            getattr(pdp, f"{operation}_data")(*arguments)
        for path, body in questions[::3]:
            await engines.agreed(path=path, body=decode_json(body))
        assert engines.opa.evaluate([], {}, 1.0)["limits"] == engines.embedded.evaluate([], {}, 1.0)["limits"]

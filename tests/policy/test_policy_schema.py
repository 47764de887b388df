"""Whatever a request looks like, what policy sees of it is what the published schema says."""

from __future__ import annotations

from typing import Any

import jsonschema
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from policy import AccessRequest, Actor, Principal, PrincipalKind, access_input_schema
from policy.question import access_input

VALIDATOR = jsonschema.Draft202012Validator(access_input_schema())

kinds: st.SearchStrategy[PrincipalKind] = st.sampled_from(["person", "workload", "agent"])
texts = st.text(max_size=20)
plain: Any = st.recursive(st.none() | st.booleans() | st.integers() | texts, lambda inner: st.lists(inner, max_size=3))


@st.composite
def actors(draw: st.DrawFn) -> Actor:
    kind = draw(kinds)
    return Actor(f"{kind}:{draw(texts)}", kind)


@st.composite
def principals(draw: st.DrawFn) -> Principal:
    kind = draw(kinds)
    words = st.lists(texts, max_size=3).map(tuple)
    return Principal(
        id=f"{kind}:{draw(texts)}",
        kind=kind,
        issuer=draw(texts),
        actors=tuple(draw(st.lists(actors(), max_size=3))),
        proof=draw(words),
        assurance=draw(texts),
        authenticated=draw(st.floats(0, 2e9)),
        scopes=draw(words),
        roles=draw(words),
        client=draw(texts),
        audience=draw(words),
        agent=draw(st.dictionaries(texts, plain, max_size=3)),
        attributes=draw(st.dictionaries(texts, plain, max_size=3)),
    )


devices = st.none() | st.fixed_dictionaries({"id": texts, "compliant": st.booleans(), "seen": st.floats(0, 2e9)})
requests = st.builds(
    AccessRequest,
    principal=principals(),
    action=texts,
    service=texts,
    path=texts.map("/{}".format),
    query=texts,
    host=texts,
    address=texts,
    stream=st.booleans(),
    body=plain,
    device=devices,
    context=st.dictionaries(texts, plain, max_size=3),
    time=st.floats(0, 2e9),
)


@given(requests)
def test_policy_sees_what_the_schema_says(request: AccessRequest) -> None:
    VALIDATOR.validate(access_input(request))


def test_the_schema_knows_every_field_of_a_principal() -> None:
    """Less those that no decision may depend on: when the proof begins and ends, and the token's own id."""
    told = set(access_input_schema()["$defs"]["principal"]["properties"]) - {"actor"}
    assert told == {field.name for field in msgspec.structs.fields(Principal)} - {"issued", "expires", "token"}

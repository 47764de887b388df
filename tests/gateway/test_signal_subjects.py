"""Subjects: the examples of RFC 9493 and SSF 1.0, what is no subject, and where an event has its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.signals import Subject, SubjectId, read_subject
from tests.gateway.signals_rig import ALICE, IDP, SESSION_REVOKED, TRANSMITTER, Endpoints, event_token


@pytest.mark.parametrize(
    ("value", "names"),
    [
        # RFC 9493 section 3.2
        (
            {"format": "account", "uri": "acct:example.user@service.example.com"},
            [("account", "", "acct:example.user@service.example.com")],
        ),
        ({"format": "email", "email": "user@example.com"}, [("email", "", "user@example.com")]),
        (
            {"format": "iss_sub", "iss": "https://issuer.example.com/", "sub": "145234573"},
            [("iss_sub", "https://issuer.example.com/", "145234573")],
        ),
        ({"format": "opaque", "id": "11112222333344445555"}, [("opaque", "", "11112222333344445555")]),
        ({"format": "phone_number", "phone_number": "+12065550100"}, [("phone_number", "", "+12065550100")]),
        ({"format": "did", "url": "did:example:123456"}, [("did", "", "did:example:123456")]),
        (
            {"format": "did", "url": "did:example:123456/did/url/path?versionId=1"},
            [("did", "", "did:example:123456/did/url/path?versionId=1")],
        ),
        ({"format": "uri", "uri": "https://user.example.com/"}, [("uri", "", "https://user.example.com/")]),
        (
            {"format": "uri", "uri": "urn:uuid:4e851e98-83c4-4743-a5da-150ecb53042f"},
            [("uri", "", "urn:uuid:4e851e98-83c4-4743-a5da-150ecb53042f")],
        ),
        (
            {
                "format": "aliases",
                "identifiers": [
                    {"format": "email", "email": "user@example.com"},
                    {"format": "phone_number", "phone_number": "+12065550100"},
                    {"format": "email", "email": "user+qualifier@example.com"},
                ],
            },
            [
                ("email", "", "user@example.com"),
                ("phone_number", "", "+12065550100"),
                ("email", "", "user+qualifier@example.com"),
            ],
        ),
        # SSF 1.0 section 3.5, and the telephone number of section 5
        (
            {
                "format": "jwt_id",
                "iss": "https://idp.example.com/123456789/",
                "jti": "B70BA622-9515-4353-A866-823539EECBC8",
            },
            [("jwt_id", "https://idp.example.com/123456789/", "B70BA622-9515-4353-A866-823539EECBC8")],
        ),
        (
            {"format": "saml_assertion_id", "issuer": "https://idp.example.com/1/", "assertion_id": "_8e8dc5f69a98"},
            [("saml_assertion_id", "https://idp.example.com/1/", "_8e8dc5f69a98")],
        ),
        (
            {"format": "ip-addresses", "ip-addresses": ["10.29.37.75", "2001:0db8:0000:0000:0000:8a2e:0370:7334"]},
            [("ip-addresses", "", "10.29.37.75"), ("ip-addresses", "", "2001:db8::8a2e:370:7334")],
        ),
        ({"format": "phone_number", "phone_number": "+1 206 555 0123"}, [("phone_number", "", "+12065550123")]),
        ({"format": "opaque", "id": "i", "note": "not known, and ignored"}, [("opaque", "", "i")]),
    ],
)
def test_a_simple_subject(value: dict[str, Any], names: list[tuple[str, str, str]]) -> None:
    assert read_subject(value) == Subject({"": tuple(SubjectId(*name) for name in names)})


def test_a_complex_subject() -> None:
    """SSF 1.0 section 3.3; a member that is not known is ignored (section 5.3.3)."""
    value = {
        "format": "complex",
        "user": {"format": "email", "email": "bar@example.com"},
        "tenant": {"format": "iss_sub", "iss": "https://example.com/idp1", "sub": "1234"},
        "workload": {"format": "unheard_of"},
    }
    assert read_subject(value) == Subject(
        {
            "user": (SubjectId("email", "", "bar@example.com"),),
            "tenant": (SubjectId("iss_sub", "https://example.com/idp1", "1234"),),
        }
    )
    assert read_subject(value, ("user", "tenant")) == read_subject(value)
    with pytest.raises(ValueError, match="critical"):
        read_subject(value, ("workload",))


@pytest.mark.parametrize(
    "value",
    [
        None,
        "alice",
        [],
        {},
        {"format": "catalog_item", "catalog_id": "c0384/winter/2354122"},
        {"format": ["opaque"], "id": "i"},
        {"subject_type": "iss-sub", "iss": "i", "sub": "s"},  # a draft's
        {"format": "opaque"},
        {"format": "opaque", "id": ""},
        {"format": "opaque", "id": 7},
        {"format": "opaque", "id": "a\nb"},
        {"format": "opaque", "id": "x" * 1025},
        {"format": "iss_sub", "iss": "i"},
        {"format": "iss_sub", "sub": "s"},
        {"format": "email", "email": "nobody"},
        {"format": "email", "email": "a@b@c"},
        {"format": "account", "uri": "https://example.com"},
        {"format": "phone_number", "phone_number": "206 555"},
        {"format": "phone_number", "phone_number": "+1 206 (555)"},
        {"format": "phone_number", "phone_number": "+" + "1" * 16},
        {"format": "did", "url": "https://example.com"},
        {"format": "did", "did": "did:example:123456"},
        {"format": "uri", "uri": "no uri"},
        {"format": "ip-addresses", "ip-addresses": []},
        {"format": "ip-addresses", "ip-addresses": "10.0.0.1"},
        {"format": "ip-addresses", "ip-addresses": [167772161]},
        {"format": "ip-addresses", "ip-addresses": ["10.0.0.256"]},
        {"format": "ip-addresses", "ip-addresses": ["fe80::1%eth0"]},
        {"format": "ip-addresses", "ip-addresses": ["10.0.0.1"] * 17},
        {"format": "aliases"},
        {"format": "aliases", "identifiers": []},
        {"format": "aliases", "identifiers": {"format": "opaque", "id": "i"}},
        {"format": "aliases", "identifiers": ["i"]},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [ALICE]}]},
        {"format": "aliases", "identifiers": [{"format": "complex", "user": ALICE}]},
        {"format": "aliases", "identifiers": [{"format": "opaque", "id": str(n)} for n in range(17)]},
        {"format": "complex"},
        {"format": "complex", "workload": ALICE},
        {"format": "complex", "user": "alice"},
        {"format": "complex", "user": {"format": "complex", "user": ALICE}},
        {"format": "complex", "user": ALICE, "device": {"format": "unheard_of"}},
    ],
    ids=str,
)
def test_what_is_no_subject(value: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        read_subject(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["opaque", "complex", "aliases"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["format", "id", "user", "identifiers", "iss", "sub"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_value_is_a_subject_with_names_or_none(value: Any) -> None:
    try:
        subject = read_subject(value)
    except ValueError:
        return
    assert subject.members
    assert all(names and all(name.value for name in names) for names in subject.members.values())


# --- Where it stands -----------------------------------------------------------------------------------


async def test_before_ssf_1_0_an_event_had_its_own_subject() -> None:
    endpoints = Endpoints()
    token = event_token(sub_id=None, events={SESSION_REVOKED: {"subject": ALICE, "event_timestamp": 1}})
    assert (await endpoints.push(token))[0] == 202
    assert endpoints.delivered[0].subject == read_subject(ALICE)
    assert endpoints.delivered[0].claims == {"event_timestamp": 1}


async def test_two_subjects_must_be_the_same() -> None:
    endpoints = Endpoints()
    assert (await endpoints.push(event_token(events={SESSION_REVOKED: {"subject": ALICE}})))[0] == 202
    bob = ALICE | {"sub": "bob"}
    assert await endpoints.error(event_token(events={SESSION_REVOKED: {"subject": bob}})) == "invalid_request"
    assert [event.subject for event in endpoints.delivered] == [
        Subject({"": (SubjectId("iss_sub", IDP, "alice"),)}),
    ]


async def test_a_member_that_the_transmitter_calls_critical_must_be_understood() -> None:
    endpoints = Endpoints()
    subject = {"format": "complex", "user": ALICE, "workload": {"format": "opaque", "id": "w"}}
    assert (await endpoints.push(event_token(sub_id=subject)))[0] == 202
    endpoints.receiver.put_critical(TRANSMITTER, ["user", "workload"])
    assert await endpoints.error(event_token(sub_id=subject)) == "invalid_request"

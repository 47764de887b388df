"""The examples of RFC 8417, SSF 1.0 and CAEP 1.0 as their transmitters would sign them; and claims that are not so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.signals import CAEP, CAEP_TYPES, STREAM_UPDATED, VERIFICATION, SecurityEvent
from tests.gateway.signals_rig import SESSION_REVOKED, TRANSMITTER, Endpoints, configuration, event_token, transmitter
from tests.gateway.token_rig import signed

EXAMPLES = {
    example["note"]: example["claims"]
    for example in json.loads(Path(__file__).with_name("security_events.json").read_text(encoding="utf-8"))
}
REFUSED = {"SSF 1.0, subject-custom-type-ex"}  # issued in the year 2451, with a subject of a format of its own
_STREAM = {VERIFICATION, STREAM_UPDATED}


async def received(claims: dict[str, Any]) -> tuple[int, list[SecurityEvent]]:
    """The answer to an example a minute after it was issued, and what was delivered."""
    audience = claims["aud"] if isinstance(claims["aud"], str) else claims["aud"][0]
    endpoints = Endpoints(configuration(transmitter(issuer=claims["iss"], audience=audience)))
    endpoints.now = min(claims["iat"], 2e9) + 60
    return (await endpoints.push(signed(claims, typ="secevent+jwt")))[0], endpoints.delivered


@pytest.mark.parametrize("note", sorted(EXAMPLES.keys() - REFUSED))
async def test_an_example_is_acknowledged(note: str) -> None:
    claims = EXAMPLES[note]
    status, delivered = await received(claims)
    assert status == 202
    known = [event_type for event_type in claims["events"] if event_type in CAEP_TYPES]
    assert [event.type for event in delivered] == known
    for event in delivered:
        assert event.claims == claims["events"][event.type]
        assert (event.jti, event.issuer, event.txn) == (claims["jti"], claims["iss"], claims.get("txn", ""))


def test_the_examples_cover_all_types() -> None:
    types = {event_type for claims in EXAMPLES.values() for event_type in claims["events"]}
    assert {*CAEP_TYPES, VERIFICATION, STREAM_UPDATED} <= types
    assert len(CAEP_TYPES) == 8


@pytest.mark.parametrize("note", sorted(REFUSED))
async def test_an_example_that_is_refused(note: str) -> None:
    assert await received(EXAMPLES[note]) == (400, [])
    assert await received(EXAMPLES[note] | {"iat": 1_520_380_001}) == (400, [])


@pytest.mark.parametrize(
    ("name", "claims"),
    [
        ("session-revoked", {"event_timestamp": "now"}),
        ("session-revoked", {"event_timestamp": True}),
        ("session-revoked", {"event_timestamp": None}),
        ("session-revoked", {"event_timestamp": -1}),
        ("session-revoked", {"event_timestamp": 1_600_975_810_000}),
        ("session-revoked", {"initiating_entity": "root"}),
        ("session-revoked", {"initiating_entity": None}),
        ("session-revoked", {"reason_admin": "because"}),
        ("session-revoked", {"reason_admin": {}}),
        ("session-revoked", {"reason_user": {"en": 7}}),
        ("token-claims-change", {}),
        ("token-claims-change", {"claims": {}}),
        ("token-claims-change", {"claims": ["role"]}),
        ("credential-change", {"credential_type": "pin"}),
        ("credential-change", {"change_type": "create"}),
        ("credential-change", {"credential_type": "pin", "change_type": "lost"}),
        ("credential-change", {"credential_type": "x509", "change_type": "revoke", "x509_serial": 7}),
        ("assurance-level-change", {"namespace": "NIST-AAL"}),
        ("assurance-level-change", {"current_level": "nist-aal1"}),
        ("assurance-level-change", {"namespace": "a", "current_level": "b", "change_direction": "up"}),
        ("device-compliance-change", {"current_status": "compliant"}),
        ("device-compliance-change", {"previous_status": "compliant", "current_status": "unknown"}),
        ("session-established", {"amr": "otp"}),
        ("session-established", {"acr": 2}),
        ("session-presented", {"ext_id": 12345}),
        ("risk-level-change", {"current_level": "HIGH"}),
        ("risk-level-change", {"principal": "USER"}),
        ("risk-level-change", {"principal": "USER", "current_level": "high"}),
        ("risk-level-change", {"principal": "USER", "current_level": "LOW", "previous_level": None}),
    ],
)
async def test_claims_that_caep_does_not_allow(name: str, claims: dict[str, Any]) -> None:
    endpoints = Endpoints()
    assert await endpoints.error(event_token(events={CAEP + name: claims})) == "invalid_request"
    whole = {CAEP + name: claims, SESSION_REVOKED: {}} if name != "session-revoked" else {CAEP + name: claims}
    assert await endpoints.error(event_token(events=whole)) == "invalid_request"  # all of it, or nothing


@pytest.mark.parametrize(
    ("event_type", "claims"), [(VERIFICATION, {"state": 7}), (STREAM_UPDATED, {}), (STREAM_UPDATED, {"status": "on"})]
)
async def test_claims_that_ssf_does_not_allow(event_type: str, claims: dict[str, Any]) -> None:
    sub_id = {"format": "opaque", "id": "s1"}
    assert await Endpoints().error(event_token(sub_id=sub_id, events={event_type: claims})) == "invalid_request"


async def test_names_that_nobody_knows_are_ignored() -> None:
    endpoints = Endpoints()
    claims = {"event_timestamp": 1.5, "x": {"y": [None]}}
    assert (await endpoints.push(event_token(events={SESSION_REVOKED: claims}, other=1)))[0] == 202
    assert json.loads(json.dumps(endpoints.delivered[0].claims, default=float)) == claims
    assert endpoints.delivered[0].issuer == TRANSMITTER

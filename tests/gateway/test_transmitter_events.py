"""What the transmitter says: the examples of CAEP 1.0, as security event tokens (RFC 8417) by SSF's rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.signals.transmitter import Told, device_compliance_change, risk_level_change, session_revoked
from tests.gateway.telling_rig import ISSUER, NOW, office

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
IDP = "https://idp.example.com/123456789/"
WHEN = 1615304991.25
USER = {"format": "iss_sub", "iss": IDP, "sub": "jane.smith@example.com"}
SESSION = {"format": "complex", "session": {"format": "opaque", "id": "dMTlD|1600802906337.16|16008.16"}, "user": USER}
DEVICE = {"format": "complex", "device": USER | {"sub": "e9297990"}, "tenant": {"format": "opaque", "id": "123456789"}}
EXAMPLES: list[tuple[Told, dict[str, Any], dict[str, Any]]] = [
    (
        session_revoked(SESSION, "8675309", WHEN, "policy", "Landspeed Policy Violation: C076E82F"),
        SESSION,
        {
            f"{CAEP}session-revoked": {
                "initiating_entity": "policy",
                "reason_admin": {"en": "Landspeed Policy Violation: C076E82F"},
                "event_timestamp": 1615304991,
            }
        },
    ),
    (
        device_compliance_change(DEVICE, "8675309", WHEN, "not-compliant", "policy", "Location Policy Violation"),
        DEVICE,
        {
            f"{CAEP}device-compliance-change": {
                "current_status": "not-compliant",
                "previous_status": "compliant",
                "initiating_entity": "policy",
                "reason_admin": {"en": "Location Policy Violation"},
                "event_timestamp": 1615304991,
            }
        },
    ),
    (
        risk_level_change(
            USER,
            "8675309",
            WHEN,
            principal="USER",
            current="LOW",
            previous="HIGH",
            reason="PASSWORD_FOUND_IN_DATA_BREACH",
        ),
        USER,
        {
            f"{CAEP}risk-level-change": {
                "current_level": "LOW",
                "previous_level": "HIGH",
                "event_timestamp": 1615304991,
                "principal": "USER",
                "risk_reason": "PASSWORD_FOUND_IN_DATA_BREACH",
            }
        },
    ),
    (
        risk_level_change(USER, "8675309", WHEN, principal="USER", current="HIGH"),
        USER,
        {f"{CAEP}risk-level-change": {"current_level": "HIGH", "event_timestamp": 1615304991, "principal": "USER"}},
    ),
]


@pytest.mark.parametrize(("told", "subject", "events"), EXAMPLES)
async def test_an_event_becomes_a_token(
    tmp_path: Path, told: Told, subject: dict[str, Any], events: dict[str, Any]
) -> None:
    """All of it: no `sub` and no `exp`, which SSF forbids (section 5.1)."""
    async with office(tmp_path) as desk:
        name = await desk.create()
        assert await desk.transmitter.publish(told) == 1
        ((jti, claims),) = (await desk.poll(name)).items()
    assert claims == {
        "iss": ISSUER,
        "aud": "https://a.example",
        "iat": int(NOW),
        "jti": jti,
        "txn": "8675309",
        "sub_id": subject,
        "events": events,
    }


async def test_each_stream_gets_what_its_receiver_may_have_and_asked_for(tmp_path: Path) -> None:
    revoked, device, risk = (told for told, _, _ in EXAMPLES[:3])
    async with office(tmp_path) as desk:
        every, risks, none = await desk.create(), await desk.create("b"), await desk.create(events_requested=[])
        assert [await desk.transmitter.publish(told) for told in (revoked, device, risk)] == [1, 1, 2]
        ours, theirs = await desk.poll(every), await desk.poll(risks, "b")
        assert [[*claims["events"]] for claims in ours.values()] == [[told.event] for told in (revoked, device, risk)]
        assert [[*claims["events"]] for claims in theirs.values()] == [[risk.event]]
        assert not {*ours} & {*theirs}
        assert await desk.poll(none) == {}

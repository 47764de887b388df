"""The stream management API of the Shared Signals transmitter: the examples of SSF 1.0 sections 7.1 and 8.1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.signals.transmitter.rules import MOST_STREAMS
from tests.gateway.telling_rig import (
    ISSUER,
    REVOKED,
    RISK,
    VERIFICATION,
    emails,
    office,
    revoked,
    settings,
)

BELOW = f"{ISSUER}/.well-known/portcullis/ssf"
PUSH = {"method": "urn:ietf:rfc:8935", "endpoint_url": "https://receiver.example.com/events"}


async def test_metadata(tmp_path: Path) -> None:
    """SSF section 7.2.3, and what the interoperability profile of CAEP wants. Nobody needs to say who asks."""
    async with office(tmp_path) as desk:
        status, told = await desk.ask("GET", "configuration", "")
    assert status == 200
    assert told == {
        "spec_version": "1_0",
        "issuer": ISSUER,
        "jwks_uri": f"{ISSUER}/.well-known/portcullis/jwks.json",
        "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
        "configuration_endpoint": f"{BELOW}/streams",
        "status_endpoint": f"{BELOW}/status",
        "add_subject_endpoint": f"{BELOW}/subjects:add",
        "remove_subject_endpoint": f"{BELOW}/subjects:remove",
        "verification_endpoint": f"{BELOW}/verify",
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}, {"spec_urn": "urn:ietf:rfc:8705"}],
        "default_subjects": "ALL",
    }


async def test_a_stream_is_created_read_changed_and_deleted(tmp_path: Path) -> None:
    """SSF sections 8.1.1.1 to 8.1.1.5."""
    unknown = "urn:example:secevent:events:type_4"
    asked = {"delivery": PUSH, "events_requested": [REVOKED, unknown], "description": "Stream for Receiver A"}
    async with office(tmp_path) as desk:
        assert await desk.ask("GET", "streams") == (200, [])
        status, made = await desk.ask("POST", "streams", json=asked)
        name = made.pop("stream_id")
        assert status == 201
        assert made.pop("events_supported")[0] == REVOKED
        assert made == {
            "iss": ISSUER,
            "aud": "https://a.example",
            "delivery": PUSH,
            "events_requested": [REVOKED, unknown],
            "events_delivered": [REVOKED],
            "min_verification_interval": 10,
            "description": "Stream for Receiver A",
        }
        status, read = await desk.ask("GET", f"streams?stream_id={name}")
        assert (status, read["description"]) == (200, "Stream for Receiver A")
        assert await desk.ask("GET", "streams") == (200, [read])

        changes = {"stream_id": name, "events_requested": [RISK, unknown], "description": "B"}
        status, changed = await desk.ask("PATCH", "streams", json=changes)
        assert (status, changed["events_delivered"], changed["delivery"]) == (200, [RISK], PUSH)

        status, replaced = await desk.ask("PUT", "streams", json={"stream_id": name, "events_requested": [RISK]})
        assert (status, replaced["delivery"]["method"]) == (200, "urn:ietf:rfc:8936")
        assert replaced["delivery"]["endpoint_url"] == f"{BELOW}/poll/{name}"
        assert "description" not in replaced

        assert await desk.ask("PUT", "streams", json=replaced) == (200, replaced)  # read, and put back
        assert await desk.ask("DELETE", f"streams?stream_id={name}") == (204, None)
        assert (await desk.ask("GET", f"streams?stream_id={name}"))[0] == 404
        assert (await desk.ask("DELETE", f"streams?stream_id={name}"))[0] == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "https://other.example"},
        {"aud": "https://b.example"},
        {"events_delivered": []},
        {"events_supported": "all"},
        {"min_verification_interval": 1},
        {"events_requested": REVOKED},
        {"events_requested": [1]},
        {"delivery": "poll"},
        {"delivery": {"method": "https://schemas.openid.net/secevent/risc/delivery-method/push"}},
        {"description": 1},
        {"stream_id": 1},
    ],
)
async def test_what_does_not_fit_changes_nothing(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with office(tmp_path) as desk:
        name = await desk.create(description="as it was")
        before = await desk.ask("GET", f"streams?stream_id={name}")
        for method in ("PATCH", "PUT"):
            assert (await desk.ask(method, "streams", json={"stream_id": name, **wrong}))[0] == 400
        assert await desk.ask("GET", f"streams?stream_id={name}") == before


async def test_an_audience_may_be_written_as_a_list(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        name = await desk.create()
        body = {"stream_id": name, "aud": ["https://a.example"]}
        assert (await desk.ask("PATCH", "streams", json=body))[0] == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example.com/events",
        "https://receiver.example.com.evil.example/events",
        "https://receiver.example.com@evil.example/events",
        "https://receiver.example.com:8443/events",
        "https://receiver.example.com/in/../admin",
        "https://receiver.example.com/in/%2e%2e/admin",
        "https://receiver.example.com/in-box",
        "https://receiver.example.com/in\\..\\admin",
        "https://receiver.example.com/in#fragment",
        "https://receiver.example.com/in?a b",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/in",
        "file:///etc/passwd",
        "//receiver.example.com/in",
        "https://receiver.example.com/in\r\nX-Evil: 1",
        "https://receiver.example.com/in/" + "x" * 3000,
        "",
        None,
        {"url": "https://receiver.example.com/in"},
    ],
)
async def test_no_receiver_names_an_endpoint_that_it_may_not(tmp_path: Path, url: Any) -> None:
    """What a receiver names is what we call: only below its own prefixes."""
    known = settings(push_prefixes=("https://receiver.example.com/in",))
    async with office(tmp_path, known) as desk:
        body = {"delivery": {"method": "urn:ietf:rfc:8935", "endpoint_url": url}}
        assert (await desk.ask("POST", "streams", json=body))[0] == 400
        for good in ("https://receiver.example.com/in", "https://RECEIVER.example.com:443/in/a?b=c"):
            body["delivery"]["endpoint_url"] = good
            assert (await desk.ask("POST", "streams", json=body))[0] == 201


@pytest.mark.parametrize("header", ["a\r\nX-Evil: 1", "é", "\0", "x" * 5000, 1])
async def test_no_receiver_names_a_header_that_is_none(tmp_path: Path, header: Any) -> None:
    async with office(tmp_path) as desk:
        body = {"delivery": {**PUSH, "authorization_header": header}}
        assert (await desk.ask("POST", "streams", json=body))[0] == 400


async def test_who_is_no_receiver_gets_nothing(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        for who in ("", "stranger"):
            assert (await desk.ask("GET", "streams", who))[0] == 401
            assert (await desk.ask("POST", "streams", who, json={}))[0] == 401
            assert (await desk.ask("POST", "poll/x", who, json={}))[0] == 401


async def test_another_receivers_stream_is_no_stream(tmp_path: Path) -> None:
    """Everything that names a stream, by a receiver that is not its own: as if there were none."""
    async with office(tmp_path) as desk:
        name = await desk.create()
        await desk.transmitter.publish(revoked())
        (jti,) = await desk.poll(name)
        body, subject = {"stream_id": name}, {"format": "email", "email": "alice@example.com"}
        asked: list[tuple[str, str, Any]] = [
            ("GET", f"streams?stream_id={name}", None),
            ("DELETE", f"streams?stream_id={name}", None),
            ("GET", f"status?stream_id={name}", None),
            ("PATCH", "streams", body),
            ("PUT", "streams", body),
            ("POST", "status", body | {"status": "disabled"}),
            ("POST", "subjects:add", body | {"subject": subject}),
            ("POST", "subjects:remove", body | {"subject": subject}),
            ("POST", "verify", body),
            ("POST", f"poll/{name}", {"ack": [jti], "returnImmediately": True}),
        ]
        for method, path, content in asked:
            assert (await desk.ask(method, path, "b", json=content))[0] == 404, (method, path)
        assert await desk.ask("GET", "streams", "b") == (200, [])
        assert [*await desk.poll(name)] == [jti]


async def test_streams_of_a_receiver_are_limited(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        names = {await desk.create() for _ in range(MOST_STREAMS)}
        assert len(names) == MOST_STREAMS
        assert (await desk.ask("POST", "streams", json={}))[0] == 409
        await desk.create("b")


async def test_status_is_read_and_set(tmp_path: Path) -> None:
    """SSF section 8.1.2: what is told while a stream is paused waits; while it is disabled, it does not."""
    async with office(tmp_path) as desk:
        name = await desk.create()
        assert await desk.status(name) == {"stream_id": name, "status": "enabled"}
        paused = {"stream_id": name, "status": "paused", "reason": "Disabled by administrator action."}
        assert await desk.ask("POST", "status", json=paused) == (200, paused)
        assert await desk.status(name) == paused
        await desk.transmitter.publish(revoked("alice"))
        assert await desk.poll(name) == {}
        await desk.ask("POST", "status", json={"stream_id": name, "status": "enabled"})
        assert emails((await desk.poll(name)).values()) == ["alice"]
        await desk.ask("POST", "status", json={"stream_id": name, "status": "disabled"})
        await desk.transmitter.publish(revoked("bob"))
        await desk.ask("POST", "status", json={"stream_id": name, "status": "enabled"})
        await desk.transmitter.publish(revoked("carol"))
        assert emails((await desk.poll(name)).values()) == ["carol"]
        for wrong in ("stopped", None, 1, ["paused"]):
            assert (await desk.ask("POST", "status", json={"stream_id": name, "status": wrong}))[0] == 400


EMAIL = {"format": "email", "email": "jdoe@example.com"}
TENANT = {"format": "opaque", "id": "example-a38h4792-uw2"}


@pytest.mark.parametrize(
    ("added", "told", "heard"),
    [  # the first four are those of SSF section 8.1.3.1
        ({"format": "complex", "tenant": TENANT}, {"format": "complex", "tenant": TENANT, "user": EMAIL}, True),
        (
            {
                "format": "complex",
                "user": EMAIL,
                "device": {"format": "ip-addresses", "ip-addresses": ["10.29.37.75"]},
            },
            {"format": "complex", "user": EMAIL},
            True,
        ),
        (
            {"format": "complex", "user": EMAIL, "group": {"format": "did", "url": "did:example:123456"}},
            {"format": "complex", "user": EMAIL, "group": {"format": "did", "url": "did:example:9999999"}},
            False,
        ),
        (EMAIL, {"email": "jdoe@example.com", "format": "email"}, True),
        (EMAIL, {"format": "email", "email": "other@example.com"}, False),
        (EMAIL, {"format": "complex", "user": EMAIL, "tenant": TENANT}, True),
        (TENANT, EMAIL, False),
        ({"format": "complex", "user": EMAIL}, EMAIL, False),
    ],
)
async def test_subjects_that_are_added_are_heard_of(
    tmp_path: Path, added: dict[str, Any], told: dict[str, Any], heard: bool
) -> None:
    event = revoked()
    told_event = type(event)(event.event, told, event.claims, "t", event.time)
    async with office(tmp_path, settings(default_subjects="NONE")) as desk:
        name = await desk.create()
        assert await desk.transmitter.publish(told_event) == 0
        body = {"stream_id": name, "subject": added, "verified": True}
        assert await desk.ask("POST", "subjects:add", json=body) == (200, None)
        assert await desk.ask("POST", "subjects:add", json=body) == (200, None)
        assert await desk.transmitter.publish(told_event) == heard
        assert await desk.ask("POST", "subjects:remove", json=body) == (204, None)
        assert await desk.transmitter.publish(told_event) == 0


async def test_a_removed_subject_silences_no_more_than_itself(tmp_path: Path) -> None:
    """SSF section 9.3: what is about more than the one that was removed is still told."""
    event = revoked()

    def about(subject: dict[str, Any]) -> Any:
        return type(event)(event.event, subject, event.claims, "t", event.time)

    both = {"format": "complex", "tenant": TENANT, "user": EMAIL}
    async with office(tmp_path) as desk:
        name = await desk.create()
        for removed in (EMAIL, both):
            body = {"stream_id": name, "subject": removed}
            assert await desk.ask("POST", "subjects:remove", json=body) == (204, None)
        assert await desk.transmitter.publish(about(EMAIL)) == 0
        assert await desk.transmitter.publish(about(both)) == 0
        device = {"format": "opaque", "id": "laptop"}
        assert await desk.transmitter.publish(about(both | {"device": device})) == 0
        assert await desk.transmitter.publish(about({"format": "complex", "tenant": TENANT})) == 1
        assert await desk.ask("POST", "subjects:add", json={"stream_id": name, "subject": EMAIL}) == (200, None)
        assert await desk.transmitter.publish(about(EMAIL)) == 1


async def test_verification(tmp_path: Path) -> None:
    """SSF section 8.1.4: the state comes back, and no more often than we say."""
    state = "VGhpcyBpcyBhbiBleGFtcGxlIHN0YXRlIHZhbHVlLgo="
    async with office(tmp_path) as desk:
        name = await desk.create(events_requested=[RISK])
        assert await desk.ask("POST", "verify", json={"stream_id": name, "state": state}) == (204, None)
        ((jti, claims),) = (await desk.poll(name)).items()
        assert claims["events"] == {VERIFICATION: {"state": state}}
        assert claims["sub_id"] == {"format": "opaque", "id": name}
        assert (await desk.ask("POST", "verify", json={"stream_id": name}))[0] == 429
        desk.time[0] += 10
        assert (await desk.ask("POST", "verify", json={"stream_id": name}))[0] == 204
        (claims,) = (await desk.poll(name, ack=[jti])).values()
        assert claims["events"] == {VERIFICATION: {}}


async def test_what_stands_survives_a_restart(tmp_path: Path) -> None:
    async with office(tmp_path) as desk:
        name = await desk.create(description="kept", events_requested=[REVOKED])
        await desk.ask("POST", "subjects:remove", json={"stream_id": name, "subject": EMAIL})
        await desk.transmitter.publish(revoked("alice"))
        before, waited = await desk.ask("GET", "streams"), await desk.poll(name)
        await desk.ask("POST", "status", json={"stream_id": name, "status": "paused", "reason": "why"})
    async with office(tmp_path, settings(default_subjects="NONE")) as desk:
        assert await desk.ask("GET", "streams") == before
        assert await desk.status(name) == {"stream_id": name, "status": "paused", "reason": "why"}
        await desk.ask("POST", "status", json={"stream_id": name, "status": "enabled"})
        assert await desk.poll(name) == waited
        assert await desk.transmitter.publish(revoked("jdoe")) == 0  # it goes on being about everybody else
        assert await desk.transmitter.publish(revoked("bob")) == 1

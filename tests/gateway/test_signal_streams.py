"""Our stream at a transmitter (SSF 1.0 sections 7 and 8): discovered, made or found, verified; all parts together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from gateway.identity import KeySet
from gateway.identity.http_json import Unreachable
from gateway.signals import (
    CAEP_TYPES,
    STREAM_UPDATED,
    VERIFICATION,
    Receiving,
    SecurityEvent,
    Stream,
    read_push_tokens,
    read_subject,
)
from gateway.signals.asking import Asking
from gateway.signals.transmitter_metadata import (
    TransmitterDiscovery,
    TransmitterMetadata,
    metadata_url,
    transmitter_metadata,
)
from tests.gateway.issuer_rig import new_key
from tests.gateway.signals_rig import SECRET, configuration, counted
from tests.gateway.transmitter_rig import HERE, POLL, PUSH, TOKEN, LocalTransmitter, body, transmitting

PUSH_URL = f"{HERE}/.well-known/portcullis/events"
PUSH_TOKEN = "what-the-transmitter-must-show"
_VERIFIED = "portcullis_gateway_stream_verifications_total"
DEADLINE = 10.0  # seconds until a test gives up waiting

# SSF 1.0 section 7.2.3
SSF_METADATA = {
    "spec_version": "1_0",
    "issuer": "https://tr.example.com",
    "jwks_uri": "https://tr.example.com/jwks.json",
    "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
    "configuration_endpoint": "https://tr.example.com/ssf/mgmt/stream",
    "status_endpoint": "https://tr.example.com/ssf/mgmt/status",
    "add_subject_endpoint": "https://tr.example.com/ssf/mgmt/subject:add",
    "remove_subject_endpoint": "https://tr.example.com/ssf/mgmt/subject:remove",
    "verification_endpoint": "https://tr.example.com/ssf/mgmt/verification",
    "critical_subject_members": ["tenant", "user"],
    "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}, {"spec_urn": "urn:ietf:rfc:8705"}],
    "default_subjects": "NONE",
}


def test_the_metadata_of_ssf() -> None:
    assert transmitter_metadata(SSF_METADATA, "https://tr.example.com") == TransmitterMetadata(
        "https://tr.example.com",
        "https://tr.example.com/jwks.json",
        "https://tr.example.com/ssf/mgmt/stream",
        "https://tr.example.com/ssf/mgmt/status",
        "https://tr.example.com/ssf/mgmt/verification",
        ("tenant", "user"),
    )


def test_where_metadata_are() -> None:
    """SSF 1.0 section 7.2.1."""
    assert metadata_url("https://tr.example.com") == "https://tr.example.com/.well-known/ssf-configuration"
    path = "https://tr.example.com/.well-known/ssf-configuration/issuer1"
    assert metadata_url("https://tr.example.com/issuer1") == metadata_url("https://tr.example.com/issuer1/") == path


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "https://tr.example.com/"},
        {"jwks_uri": "http://tr.example.com/jwks"},
        {"configuration_endpoint": "http://tr.example.com/s"},
        {"status_endpoint": "file:///etc/passwd"},
        {"verification_endpoint": "/verify"},
        {"verification_endpoint": 7},
        {"critical_subject_members": "user"},
    ],
    ids=str,
)
def test_metadata_that_are_not_believed(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each says something else
        transmitter_metadata(SSF_METADATA | changes, "https://tr.example.com")


def stream_of(transmitter: LocalTransmitter, session: aiohttp.ClientSession, **changes: Any) -> Stream:
    deadline = changes.pop("deadline", DEADLINE)
    settings = transmitter.config(**changes)
    discovery = TransmitterDiscovery(transmitter.url, session, 300.0, lambda _: None)
    return Stream(settings, Asking(settings, session), discovery.metadata, PUSH_URL, PUSH_TOKEN, deadline)


async def test_a_stream_that_pushes_is_made_once_and_found_again() -> None:
    async with transmitting() as (transmitter, session):
        made = await stream_of(transmitter, session, delivery="push").establish()
        assert made.stream_id == "stream-1"
        assert transmitter.streams["stream-1"]["delivery"] == {
            "method": PUSH,
            "endpoint_url": PUSH_URL,
            "authorization_header": f"Bearer {PUSH_TOKEN}",
        }
        assert transmitter.streams["stream-1"]["events_requested"] == list(CAEP_TYPES)
        again = stream_of(transmitter, session, delivery="push", events=(CAEP_TYPES[0],))
        for _ in range(3):
            assert (await again.establish()).stream_id == "stream-1"
        assert transmitter.streams["stream-1"]["events_requested"] == [CAEP_TYPES[0]]
        assert transmitter.asked["POST stream"] == transmitter.asked["PATCH stream"] == 1
        assert transmitter.authorizations == {"", f"Bearer {TOKEN}"}  # none for the metadata


async def test_a_stream_that_is_polled_says_where() -> None:
    async with transmitting() as (transmitter, session):
        stream = stream_of(transmitter, session)
        await stream.establish()
        assert stream.poll_url() == f"{transmitter.url}/poll"
        assert (await stream_of(transmitter, session).establish()).stream_id == "stream-1"


async def test_the_streams_of_other_receivers_are_left_alone() -> None:
    async with transmitting() as (transmitter, session):
        theirs = {
            "stream_id": "theirs",
            "iss": transmitter.url,
            "aud": HERE,
            "delivery": {"method": PUSH, "endpoint_url": "https://other.bank.example/events"},
        }
        transmitter.streams["theirs"] = theirs
        assert (await stream_of(transmitter, session, delivery="push").establish()).stream_id == "stream-2"
        assert transmitter.streams["theirs"] == theirs


async def test_the_only_stream_that_we_may_have_is_set_up_as_we_want_it() -> None:
    async with transmitting() as (transmitter, session):
        transmitter.one_stream = True
        await stream_of(transmitter, session).establish()
        assert (await stream_of(transmitter, session, delivery="push").establish()).stream_id == "stream-1"
        assert transmitter.streams["stream-1"]["delivery"]["method"] == PUSH


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"aud": ["https://other.example"]},
        {"stream_id": ""},
        {"stream_id": 7},
        {"delivery": {"method": POLL, "endpoint_url": "file:///etc/passwd"}},
        {"delivery": {"method": POLL}},
        {"delivery": None},
    ],
    ids=str,
)
async def test_a_stream_that_is_not_ours_is_not_believed(changes: dict[str, Any]) -> None:
    async with transmitting() as (transmitter, session):
        transmitter.stream_changes = changes
        with pytest.raises(Unreachable):
            await stream_of(transmitter, session).establish()


@pytest.mark.parametrize("status", [400, 401, 403, 500])
async def test_a_transmitter_that_refuses(status: int) -> None:
    async with transmitting() as (transmitter, session):
        transmitter.instead["stream"] = (status, b"")
        with pytest.raises(Unreachable, match=str(status)):
            await stream_of(transmitter, session).establish()


async def test_a_transmitter_without_management() -> None:
    async with transmitting() as (transmitter, session):
        transmitter.metadata = {"configuration_endpoint": "", "verification_endpoint": "", "status_endpoint": ""}
        stream = stream_of(transmitter, session)
        with pytest.raises(Unreachable, match="configuration_endpoint"):
            await stream.establish()
        assert not await stream.verify()
        assert await stream.ask_status() is None


def _about(transmitter: LocalTransmitter, event_type: str, claims: dict[str, Any], stream: str) -> SecurityEvent:
    subject = read_subject({"format": "opaque", "id": stream})
    return SecurityEvent(event_type, subject, claims, transmitter.url, "j", 0.0)


async def test_a_verification_that_never_comes_is_noticed() -> None:
    async with transmitting() as (transmitter, session):
        transmitter.echo = False
        stream = stream_of(transmitter, session, deadline=0.05)
        await stream.establish()
        assert not await stream.verify()
        assert len(transmitter.states[0]) >= 32
        assert counted(_VERIFIED, issuer=transmitter.url, result="missing") == 1


async def test_a_transmitter_may_verify_before_we_know_the_stream() -> None:
    async with transmitting() as (transmitter, session):
        stream = stream_of(transmitter, session)
        assert stream.notice(_about(transmitter, VERIFICATION, {}, "stream-1"))
        assert not stream.notice(_about(transmitter, VERIFICATION, {"state": "of whom?"}, "stream-1"))
        await stream.establish()
        assert not stream.notice(_about(transmitter, VERIFICATION, {}, "another"))


@pytest.mark.parametrize(
    ("told", "period"),
    [
        ({}, 300.0),
        ({"inactivity_timeout": 120}, 60.0),
        ({"inactivity_timeout": 1}, 1.0),
        ({"inactivity_timeout": 10**9}, 300.0),
        ({"min_verification_interval": 3600}, 3600.0),
        ({"min_verification_interval": 10**18}, 86_400.0),
        ({"inactivity_timeout": 120, "min_verification_interval": -5}, 60.0),
    ],
)
async def test_how_often_a_stream_is_verified(told: dict[str, Any], period: float) -> None:
    async with transmitting() as (transmitter, session):
        transmitter.stream_changes = told
        assert (await stream_of(transmitter, session).establish()).period == period


async def test_a_state_that_was_not_sent_is_not_accepted() -> None:
    async with transmitting() as (transmitter, session):
        transmitter.echo = False
        stream = stream_of(transmitter, session)
        await stream.establish()

        def told(claims: dict[str, Any], name: str = "stream-1") -> bool:
            return stream.notice(_about(transmitter, VERIFICATION, claims, name))

        assert not told({"state": ""})
        assert stream.status is None
        async with asyncio.timeout(DEADLINE), asyncio.TaskGroup() as tasks:
            verified = tasks.create_task(stream.verify())
            await until(lambda: transmitter.states)
            assert not told({"state": "wrong"})
            assert not told({"state": "é"})
            assert not told({"state": transmitter.states[0]}, "another")
            assert told({})  # the transmitter's own idea
            assert not verified.done()
            assert told({"state": transmitter.states[0]})
        assert verified.result()
        assert told({"state": transmitter.states[0]})  # come again, it is acknowledged again
        assert counted(_VERIFIED, issuer=transmitter.url, result="verified") == 1


@pytest.mark.parametrize(("status", "result"), [(429, "too_often"), (404, "")])
async def test_a_verification_that_is_refused(status: int, result: str) -> None:
    async with transmitting() as (transmitter, session):
        stream = stream_of(transmitter, session)
        await stream.establish()
        transmitter.instead["verify"] = (status, b"")
        if not result:
            with pytest.raises(Unreachable):
                await stream.verify()
        else:
            assert not await stream.verify()
            assert counted(_VERIFIED, issuer=transmitter.url, result=result) == 1


async def test_the_status_is_read_and_told() -> None:
    async with transmitting() as (transmitter, session):
        stream = stream_of(transmitter, session)
        await stream.establish()
        assert await stream.ask_status() == "enabled"
        assert counted("portcullis_gateway_stream_enabled", issuer=transmitter.url) == 1
        assert stream.notice(_about(transmitter, STREAM_UPDATED, {"status": "paused"}, "stream-1"))
        assert stream.status == "paused"
        assert counted("portcullis_gateway_stream_enabled", issuer=transmitter.url) == 0
        transmitter.instead["status"] = (200, body({"status": "broken"}))
        with pytest.raises(Unreachable):
            await stream.ask_status()


# --- All parts together ------------------------------------------------------------------------------


class Received:
    """What a gateway received."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[SecurityEvent] = asyncio.Queue()

    async def deliver(self, events: Sequence[SecurityEvent]) -> None:
        for event in events:
            self.events.put_nowait(event)

    async def next(self) -> SecurityEvent:
        return await asyncio.wait_for(self.events.get(), DEADLINE)

    @asynccontextmanager
    async def by(
        self, transmitter: LocalTransmitter, session: aiohttp.ClientSession, **changes: Any
    ) -> AsyncIterator[Receiving]:
        config = configuration(transmitter.config(**changes), logout=())
        tokens = read_push_tokens(config.signals)
        receiving = Receiving(config, session, self.deliver, lambda _: KeySet(), self._fetch, tokens, SECRET)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(receiving.keep())
            yield receiving
            running.cancel()

    async def _fetch(self, issuer: str) -> None:
        raise AssertionError(issuer)


async def until(told: Any) -> None:
    async with asyncio.timeout(DEADLINE):
        while not told():  # noqa: ASYNC110  # metrics tell nobody
            await asyncio.sleep(0.005)


async def test_a_stream_is_polled_verified_and_delivers() -> None:
    async with transmitting() as (transmitter, session):
        jti = transmitter.put()
        received = Received()
        async with received.by(transmitter, session):
            assert (await received.next()).jti == jti
            await until(lambda: counted(_VERIFIED, issuer=transmitter.url, result="verified"))
            later = transmitter.put()
            assert (await received.next()).jti == later
            await until(lambda: not transmitter.waiting)
        assert received.events.empty()
        assert transmitter.most_in_flight == 1


async def test_a_polled_verification_with_another_state_is_an_error_of_ssf() -> None:
    async with transmitting() as (transmitter, session):
        transmitter.echo = False
        received = Received()
        async with received.by(transmitter, session):
            await until(lambda: transmitter.states)
            jti = transmitter.put(**transmitter.verification("another"))
            await until(lambda: not transmitter.waiting)
        errors = [poll["setErrs"] for poll in transmitter.polls if "setErrs" in poll]
        assert errors[0][jti]["err"] == "invalid_state"


async def test_keys_rotate_and_an_unknown_one_makes_one_fetch() -> None:
    async with transmitting() as (transmitter, session):
        received = Received()
        async with received.by(transmitter, session, delivery="unmanaged", token=None) as receiving:
            await until(lambda: transmitter.asked["GET jwks"] == 1)
            await receiving.receiver.pushed(transmitter.token()[1], "")
            transmitter.keys = {"k2": new_key()}
            _, forged = transmitter.token("unheard-of")
            outcomes = await asyncio.gather(*(receiving.receiver.pushed(forged, "") for _ in range(500)))
            assert {getattr(outcome, "err", outcome) for outcome in outcomes} == {"invalid_key"}
            assert transmitter.asked["GET jwks"] == 2
            _, good = transmitter.token("k2")
            assert await receiving.receiver.pushed(good, "") == "accepted"
            assert transmitter.asked["GET jwks"] == 2


async def test_what_the_transmitter_calls_critical_is_learned() -> None:
    async with transmitting() as (transmitter, session):
        transmitter.metadata = {"critical_subject_members": ["workload"]}
        received = Received()
        simple = {"format": "opaque", "id": "i"}
        async with received.by(transmitter, session, delivery="unmanaged", token=None) as receiving:
            await until(lambda: transmitter.asked["GET jwks"] == 1)
            sub_id = {"format": "complex", "user": simple, "workload": simple}
            outcome = await receiving.receiver.pushed(transmitter.token(sub_id=sub_id)[1], "")
            assert getattr(outcome, "err", outcome) == "invalid_request"


def test_push_tokens_are_read_from_files(tmp_path: Any) -> None:
    file = tmp_path / "token"
    file.write_text(f"{PUSH_TOKEN}\n")
    base = LocalTransmitter()
    base.url = "https://transmitter.bank.example"
    settings = base.config(delivery="push", push_token_file=file)
    assert read_push_tokens(configuration(settings).signals) == {base.url: PUSH_TOKEN}
    file.write_text("short")
    with pytest.raises(ValueError, match="16"):
        read_push_tokens(configuration(settings).signals)

"""Our stream at a transmitter (SSF 1.0 section 8.1): found or made, told where to push, and verified."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlencode

import msgspec
import structlog
from prometheus_client import Counter, Gauge

from gateway.config import Transmitter
from gateway.identity.http_json import Unreachable
from gateway.signals.asking import Answer, Asking
from gateway.signals.event import CAEP_TYPES, VERIFICATION, SecurityEvent
from gateway.signals.stream_configuration import POLL, PUSH, Delivery, StreamConfiguration, stream_configuration
from gateway.signals.subject import SubjectId
from gateway.signals.transmitter_metadata import TransmitterMetadata

DESCRIPTION: Final = "Portcullis"  # by which we know our own stream again
_DEADLINE: Final = 30.0  # seconds within which a verification event must come
_VERIFIED = Counter("portcullis_gateway_stream_verifications_total", "Verifications of streams", ["issuer", "result"])
_ENABLED = Gauge("portcullis_gateway_stream_enabled", "Whether a transmitter says that its stream runs", ["issuer"])
_log = structlog.get_logger()

Status = Literal["enabled", "paused", "disabled"]


class _Told(msgspec.Struct):
    """A stream's status (section 8.1.2)."""

    status: Status


class Stream:
    """One transmitter's stream to us. `push_url` is where it pushes, with `push_token` if there is one."""

    def __init__(
        self,
        settings: Transmitter,
        asking: Asking,
        metadata: Callable[[], Awaitable[TransmitterMetadata]],
        push_url: str,
        push_token: str,
        deadline: float = _DEADLINE,
    ) -> None:
        self.status: Status | None = None  # as far as we know
        self._settings = settings
        self._asking = asking
        self._metadata = metadata
        self._push_url = push_url
        self._push_token = push_token
        self._deadline = deadline
        self._established = asyncio.Event()
        self._id = ""
        self._poll_url = ""
        self._state = ""  # sent with the last request for verification
        self._arrived = asyncio.Event()

    async def establish(self) -> StreamConfiguration:
        """Find our stream, or make it; either way it is then as we want it. Raises Unreachable. What was established
        already is only looked at.
        """
        url = (await self._metadata()).configuration_endpoint
        if not url:
            raise Unreachable("metadata without configuration_endpoint")
        stream = self._ours(await self._listed(url))
        if stream is None or stream.stream_id != self._id:
            stream = await (self._updated(url, stream) if stream else self._created(url))
            missing = sorted(set(self._events()) - set(stream.events_delivered))
            _log.info("a stream is established", issuer=stream.iss, stream=stream.stream_id, never_sent=missing)
        self._id = stream.stream_id
        self._poll_url = stream.delivery.endpoint_url
        self._established.set()
        return stream

    async def established(self) -> None:
        """Wait until the stream is there."""
        await self._established.wait()

    def poll_url(self) -> str:
        """Where its events are asked for, where they are."""
        return self._poll_url

    async def verify(self) -> bool:
        """Ask for a verification event, and wait until it arrives. Raises Unreachable."""
        url = (await self._metadata()).verification_endpoint
        if not url:
            return self._verified("unsupported")
        self._state, self._arrived = secrets.token_urlsafe(32), asyncio.Event()
        answer = await self._asking.ask("POST", url, {"stream_id": self._id, "state": self._state})
        if answer.status == 429:
            return self._verified("too_often")
        if answer.status not in (200, 202, 204):
            raise Unreachable(f"{url}: status {answer.status}")
        try:
            async with asyncio.timeout(self._deadline):
                await self._arrived.wait()
        except TimeoutError:
            return self._verified("missing")
        return self._verified("verified")

    async def ask_status(self) -> Status | None:
        """What the transmitter says of the stream's status; None where it does not tell. Raises Unreachable."""
        url = (await self._metadata()).status_endpoint
        if not url:
            return None
        answer = await self._asking.ask("GET", f"{url}{_query(url, self._id)}")
        if answer.status != 200:
            raise Unreachable(f"{url}: status {answer.status}")
        try:
            self._put_status(msgspec.convert(answer.body, _Told).status)
        except msgspec.ValidationError as error:
            raise Unreachable(f"{url}: {error}") from None
        return self.status

    def notice(self, event: SecurityEvent) -> bool:
        """Take an event about the stream itself. False if it is not about ours, or answers what was not asked."""
        about_ours = event.subject.members.get("") == (SubjectId("opaque", "", self._id),)
        if self._id and not about_ours:  # while it is being made, the transmitter knows its id before us
            return False
        if event.type != VERIFICATION:
            self._put_status(event.claims["status"])
            return True
        state = event.claims.get("state")
        if state is None:
            return True  # the transmitter asked itself (section 8.1.4.2)
        if not self._state or not hmac.compare_digest(state.encode(), self._state.encode()):
            return False
        self._arrived.set()
        return True

    async def keep(self) -> None:
        """Establish and verify the stream, now and by period, until cancelled. Raises Unreachable."""
        while True:
            stream = await self.establish()
            await self.verify()
            await self.ask_status()
            await asyncio.sleep(stream.period)

    async def _listed(self, url: str) -> Sequence[StreamConfiguration]:
        answer = await self._asking.ask("GET", url)
        if answer.status == 404:
            return ()
        if answer.status != 200:
            raise Unreachable(f"{url}: status {answer.status}")
        listed = answer.body if isinstance(answer.body, list) else [answer.body]  # drafts answered with the only one
        return [stream for one in listed if (stream := self._usable(one)) is not None]

    def _usable(self, body: Any) -> StreamConfiguration | None:
        """One that is not for us, or cannot be read, is none of ours."""
        try:
            return stream_configuration(body, self._settings)
        except ValueError:
            return None

    def _ours(self, listed: Sequence[StreamConfiguration]) -> StreamConfiguration | None:
        """Another receiver of the same bank may have streams of its own there."""
        return next((one for one in listed if self._is_ours(one)), None)

    def _is_ours(self, stream: StreamConfiguration) -> bool:
        if self._settings.delivery == "push":
            return stream.delivery == Delivery(PUSH, self._push_url)
        return stream.delivery.method == POLL and stream.description == DESCRIPTION

    async def _created(self, url: str) -> StreamConfiguration:
        answer = await self._asking.ask("POST", url, self._wanted())
        if answer.status == 409:  # the only one that we may have is set up otherwise
            return await self._replaced(url)
        if answer.status not in (200, 201):
            raise Unreachable(f"{url}: status {answer.status}")
        return self._read(answer)

    async def _replaced(self, url: str) -> StreamConfiguration:
        listed = await self._listed(url)
        if not listed:
            raise Unreachable(f"{url}: there is a stream, and it is not listed")
        return await self._updated(url, listed[0])

    async def _updated(self, url: str, stream: StreamConfiguration) -> StreamConfiguration:
        """Once by each process: whether it has our present push token cannot be read."""
        answer = await self._asking.ask("PATCH", url, {"stream_id": stream.stream_id} | self._wanted())
        if answer.status not in (200, 202):
            raise Unreachable(f"{url}: status {answer.status}")
        return stream if answer.status == 202 else self._read(answer)  # 202: accepted, and not yet done

    def _wanted(self) -> dict[str, Any]:
        delivery = {"method": POLL}
        if self._settings.delivery == "push":
            delivery = {"method": PUSH, "endpoint_url": self._push_url}
            delivery |= {"authorization_header": f"Bearer {self._push_token}"} if self._push_token else {}
        return {"delivery": delivery, "events_requested": self._events(), "description": DESCRIPTION}

    def _events(self) -> tuple[str, ...]:
        return self._settings.events or CAEP_TYPES

    def _read(self, answer: Answer) -> StreamConfiguration:
        try:
            return stream_configuration(answer.body, self._settings)
        except ValueError as error:
            raise Unreachable(f"the configuration of our stream: {error}") from None

    def _verified(self, result: str) -> bool:
        _VERIFIED.labels(self._settings.issuer, result).inc()
        if result != "verified":
            _log.error("a stream is not verified", issuer=self._settings.issuer, stream=self._id, why=result)
        return result == "verified"

    def _put_status(self, status: Status) -> None:
        if status != "enabled" and status != self.status:
            _log.error("a transmitter has stopped its stream", issuer=self._settings.issuer, status=status)
        self.status = status
        _ENABLED.labels(self._settings.issuer).set(status == "enabled")


def _query(url: str, stream: str) -> str:
    return ("&" if "?" in url else "?") + urlencode({"stream_id": stream})

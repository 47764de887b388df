"""What happens to streams and to what waits in them: each rule is one job of the writer's, all of it or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.config import SignalsReceiver, SignalsTransmitter
from gateway.signals.event import STREAM_UPDATED
from gateway.signals.transmitter.configuration import created, updated
from gateway.signals.transmitter.metadata import VERIFICATION_SECONDS
from gateway.signals.transmitter.store import Store, Waiting
from gateway.signals.transmitter.stream import UNKNOWN, Refused, Status, Stream, delivered
from gateway.signals.transmitter.token import payload
from gateway.signals.transmitter.told import Told, stream_updated, verification

MOST_STREAMS: Final = 8  # of one receiver
MOST_SUBJECTS: Final = 10_000  # on the list of one stream
FULL: Final = "too many events wait: later ones are dropped until the status is enabled again"

Change = Callable[[Stream], Stream | Refused]


class Rules:
    """The rules under one configuration. Values only: the clock's time comes in with each call."""

    def __init__(self, settings: SignalsTransmitter) -> None:
        self.issuer = settings.issuer
        self.receivers: Mapping[str, SignalsReceiver] = {one.id: one for one in settings.receivers}
        self._everybody = settings.default_subjects == "ALL"  # what new streams are about

    def tell(self, store: Store, told: Told, now: float) -> int:
        """Let an event wait in each stream that carries it. Returns in how many it does."""
        number = 0
        for stream in store.streams():
            receiver = self.receivers.get(stream.receiver)
            if receiver and told.event in delivered(stream, receiver) and self._about(store, stream, told):
                number += self._hold(store, stream, receiver, told, now)
        return number

    def create(self, store: Store, receiver: str, body: dict[str, Any]) -> Stream | Refused:
        """A new stream."""
        if len(store.streams(receiver)) >= MOST_STREAMS:
            return Refused(409, f"there are {MOST_STREAMS} streams already")
        blank = Stream(secrets.token_hex(16), receiver, everybody=self._everybody)
        stream = created(body, blank, self.receivers[receiver])
        if isinstance(stream, Stream):
            store.put(stream)
        return stream

    def update(
        self, store: Store, receiver: str, name: str, body: dict[str, Any], *, replace: bool
    ) -> Stream | Refused:
        """Another configuration."""

        def change(stream: Stream) -> Stream | Refused:
            return updated(body, stream, self.receivers[receiver], self.issuer, replace=replace)

        return self._change(store, receiver, name, change)

    def delete(self, store: Store, receiver: str, name: str) -> Refused | None:
        """No such stream any more; what waits in it is dropped."""
        if store.stream(name, receiver) is None:
            return UNKNOWN
        store.remove(name)
        return None

    def set_status(self, store: Store, receiver: str, name: str, status: Status, reason: str) -> Stream | Refused:
        """The receiver's own wish. A disabled stream holds nothing (SSF section 8.1.2.1); and what we had to say of a
        status that the receiver has changed now is old.
        """
        stream = self._change(
            store, receiver, name, lambda now: msgspec.structs.replace(now, status=status, reason=reason)
        )
        if isinstance(stream, Stream):
            if status == "disabled":
                store.empty(name, "disabled")
            else:
                store.empty(name, "outdated", STREAM_UPDATED)
        return stream

    def add_subject(self, store: Store, receiver: str, name: str, subject: dict[str, Any]) -> Refused | None:
        """The receiver wants to hear of a subject."""
        return self._list(store, receiver, name, subject, wanted=True)

    def remove_subject(self, store: Store, receiver: str, name: str, subject: dict[str, Any]) -> Refused | None:
        """The receiver does not want to hear of a subject."""
        return self._list(store, receiver, name, subject, wanted=False)

    def verify(self, store: Store, receiver: str, name: str, state: str | None, now: float) -> Refused | None:
        """Let a verification event wait."""
        stream = store.stream(name, receiver)
        if stream is None:
            return UNKNOWN
        if stream.status == "disabled":
            return Refused(400, "the stream is disabled")
        if 0 <= now - stream.verified < VERIFICATION_SECONDS:
            return Refused(429, f"at most one verification in {VERIFICATION_SECONDS} seconds")
        if store.waiting(name) >= self.receivers[receiver].max_waiting:
            return Refused(429, "too many events wait")
        store.put(msgspec.structs.replace(stream, verified=now))
        self._append(store, stream, verification(name, state, secrets.token_hex(16), now), now)
        return None

    def deliverable(self, store: Store, stream: Stream, most: int) -> list[Waiting]:
        """What may go out now. While we have paused a stream, that is only the event that says so."""
        if stream.status == "enabled":
            return store.first(stream.id, most)
        return store.first(stream.id, most, STREAM_UPDATED)

    def _about(self, store: Store, stream: Stream, told: Told) -> bool:
        """Whether the receiver wants to hear of an event's subject. A removed subject must cover it: to keep silent
        about too much is the worse mistake (SSF section 9.3).
        """
        subject = dict(told.subject)
        if stream.everybody:
            return not store.lists_all_of(stream.id, subject)
        return store.lists_relative(stream.id, subject)

    def _hold(self, store: Store, stream: Stream, receiver: SignalsReceiver, told: Told, now: float) -> bool:
        if stream.status == "disabled":
            store.ended("disabled")
            return False
        if store.waiting(stream.id) < receiver.max_waiting:
            self._append(store, stream, told, now)
            return True
        if stream.status == "enabled":
            self._pause(store, stream, now)
        store.ended("full")
        return False

    def _pause(self, store: Store, stream: Stream, now: float) -> None:
        """The one event more that says so is the only one of its kind, so that what waits stays bounded."""
        store.put(msgspec.structs.replace(stream, status="paused", reason=FULL))
        store.empty(stream.id, "outdated", STREAM_UPDATED)
        store.news.paused += 1
        self._append(store, stream, stream_updated(stream.id, "paused", FULL, secrets.token_hex(16), now), now)

    def _append(self, store: Store, stream: Stream, told: Told, now: float) -> None:
        jti = secrets.token_hex(16)
        audience = self.receivers[stream.receiver].audience
        store.append(stream.id, Waiting(jti, told.event, payload(told, self.issuer, audience, jti, now)))

    def _change(self, store: Store, receiver: str, name: str, change: Change) -> Stream | Refused:
        stream = store.stream(name, receiver)
        if stream is None:
            return UNKNOWN
        after = change(stream)
        if isinstance(after, Stream):
            store.put(after)
        return after

    def _list(self, store: Store, receiver: str, name: str, subject: dict[str, Any], *, wanted: bool) -> Refused | None:
        """The list is of who was removed where a stream is about everybody, and of who was added where it is not."""
        stream = store.stream(name, receiver)
        if stream is None:
            return UNKNOWN
        if wanted == stream.everybody:
            store.remove_subject(name, subject)
        elif store.subjects(name) >= MOST_SUBJECTS:
            return Refused(403, f"there are {MOST_SUBJECTS} subjects already")
        else:
            store.add_subject(name, subject)
        return None

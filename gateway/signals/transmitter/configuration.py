"""A stream's configuration as its receiver sees it and writes it (SSF sections 8.1.1.1 to 8.1.1.4)."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.config import SignalsReceiver
from gateway.signals.transmitter.endpoint import target
from gateway.signals.transmitter.metadata import POLL, POLL_PATH, PUSH, VERIFICATION_SECONDS
from gateway.signals.transmitter.stream import Push, Refused, Stream, delivered, supported

_LONGEST: Final = 256  # characters of a description; the rest is cut off, as SSF allows
_LONGEST_HEADER: Final = 4096
_MOST_EVENTS: Final = 64
_OURS: Final = ("iss", "aud", "events_supported", "events_delivered", "min_verification_interval")


def shown(stream: Stream, receiver: SignalsReceiver, issuer: str) -> dict[str, Any]:
    """What the receiver reads. Its own authorization header is in it: a configuration that is read, changed and put
    back must not lose it.
    """
    said: dict[str, Any] = {
        "stream_id": stream.id,
        "iss": issuer,
        "aud": receiver.audience,
        "delivery": _delivery_shown(stream, issuer),
        "events_supported": list(supported(receiver)),
        "events_delivered": list(delivered(stream, receiver)),
        "min_verification_interval": VERIFICATION_SECONDS,
    }
    if stream.requested is not None:
        said["events_requested"] = list(stream.requested)
    if stream.description is not None:
        said["description"] = stream.description
    return said


def created(body: dict[str, Any], blank: Stream, receiver: SignalsReceiver) -> Stream | Refused:
    """The new stream that a request asks for, made of a `blank` one."""
    return _written(body, blank, receiver)


def updated(
    body: dict[str, Any], stream: Stream, receiver: SignalsReceiver, issuer: str, *, replace: bool
) -> Stream | Refused:
    """The stream after a request. Where it is to `replace` everything, what the request does not say is taken back."""
    now = shown(stream, receiver, issuer)
    for name in _OURS:
        if name in body and _plain(body[name]) != _plain(now[name]):
            return Refused(400, f"{name} is not what it was")
    blank = msgspec.structs.replace(stream, requested=None, push=None, description=None)
    return _written(body, blank if replace else stream, receiver)


def _written(body: dict[str, Any], stream: Stream, receiver: SignalsReceiver) -> Stream | Refused:
    changes: dict[str, Any] = {}
    if "events_requested" in body:
        changes["requested"] = _events(body["events_requested"])
    if "description" in body:
        text = body["description"]
        changes["description"] = text[:_LONGEST] if isinstance(text, str) else Refused(400, "description is no text")
    if "delivery" in body:
        changes["push"] = _delivery(body["delivery"], receiver)
    refused = next((value for value in changes.values() if isinstance(value, Refused)), None)
    return refused or msgspec.structs.replace(stream, **changes)


def _events(value: object) -> tuple[str, ...] | Refused:
    if not isinstance(value, list) or not all(isinstance(one, str) and len(one) <= _LONGEST for one in value):
        return Refused(400, "events_requested is no list of URIs")
    if len(value) > _MOST_EVENTS:
        return Refused(400, f"events_requested has more than {_MOST_EVENTS} URIs")
    return tuple(dict.fromkeys(value))


def _delivery(value: object, receiver: SignalsReceiver) -> Push | Refused | None:
    if not isinstance(value, dict):
        return Refused(400, "delivery is no object")
    method = value.get("method", POLL)
    if method == POLL:
        return None  # where to poll is ours to say
    if method != PUSH:
        return Refused(400, "delivery.method is not supported")
    return _push(value.get("endpoint_url"), value.get("authorization_header", ""), receiver)


def _push(url: object, header: object, receiver: SignalsReceiver) -> Push | Refused:
    if not isinstance(header, str) or not header.isascii() or not (header.isprintable() or not header):
        return Refused(400, "delivery.authorization_header is no header's value")
    if len(header) > _LONGEST_HEADER:
        return Refused(400, f"delivery.authorization_header has more than {_LONGEST_HEADER} characters")
    if not isinstance(url, str) or target(url, receiver.push_prefixes) is None:
        return Refused(400, "delivery.endpoint_url is not one that this receiver may name")
    return Push(url, header)


def _delivery_shown(stream: Stream, issuer: str) -> dict[str, str]:
    if stream.push is None:
        return {"method": POLL, "endpoint_url": f"{issuer}{POLL_PATH}{stream.id}"}
    secret = {"authorization_header": stream.push.authorization} if stream.push.authorization else {}
    return {"method": PUSH, "endpoint_url": stream.push.url, **secret}


def _plain(value: object) -> object:
    """A list of names says the same in any order; an audience of one is a text or a list of one."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return sorted(value) if len(value) != 1 else value[0]
    return value

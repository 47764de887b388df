"""What a transmitter says of a stream (SSF 1.0 section 8.1.1)."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from gateway.config import Transmitter
from gateway.identity.discovery import require_endpoint

PUSH, POLL = "urn:ietf:rfc:8935", "urn:ietf:rfc:8936"
_PERIOD: Final = 300.0  # seconds between verifications
_LONGEST_PERIOD: Final = 86_400.0  # whatever the transmitter wants


class Delivery(msgspec.Struct, frozen=True):
    """How its events come."""

    method: str
    endpoint_url: str = ""


class StreamConfiguration(msgspec.Struct, frozen=True):
    """A stream, as far as a receiver needs to know it."""

    stream_id: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]
    iss: str
    aud: str | list[str]
    delivery: Delivery
    events_delivered: tuple[str, ...] = ()
    min_verification_interval: int = 0  # seconds
    inactivity_timeout: int = 0  # seconds
    description: str = ""

    @property
    def period(self) -> float:
        """Seconds between verifications: one that hears nothing of its receiver may stop, so ask twice in that time."""
        period = min(_PERIOD, self.inactivity_timeout / 2) if self.inactivity_timeout > 0 else _PERIOD
        return min(max(period, self.min_verification_interval, 1.0), _LONGEST_PERIOD)


def stream_configuration(body: Any, settings: Transmitter) -> StreamConfiguration:
    """Read a stream's configuration. Raises ValueError if it is another issuer's, or for another audience, or is polled
    without TLS although the issuer has it.
    """
    try:
        stream = msgspec.convert(body, StreamConfiguration)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if stream.iss != settings.issuer:
        raise ValueError("a stream of another issuer")
    if settings.audience not in ((stream.aud,) if isinstance(stream.aud, str) else stream.aud):
        raise ValueError("a stream for another audience")
    if stream.delivery.method == POLL:
        require_endpoint(stream.delivery.endpoint_url, settings.issuer)
    return stream

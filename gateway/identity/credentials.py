"""Credentials are what a request shows of itself, as the edge hands them over; nothing is believed yet."""

from __future__ import annotations

import msgspec


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """The headers that identify a caller. Empty text means that there was none."""

    authorization: str = ""
    client_certificate: str = ""  # Envoy's x-forwarded-client-cert, set by our own edge and by nobody else

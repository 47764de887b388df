"""Credentials are what a request shows of itself, as the edge hands them over; nothing is believed yet."""

from __future__ import annotations

import msgspec

from gateway.identity.signatures import Message


class Credentials(msgspec.Struct, frozen=True, gc=False):
    """What identifies a caller. Empty text means that there was none."""

    authorization: str = ""
    client_certificate: str = ""  # Envoy's x-forwarded-client-cert, set by our own edge and by nobody else
    dpop: str = ""
    request: Message | None = None  # where the request itself is part of a proof: DPoP, HTTP message signatures

    @property
    def signed(self) -> bool:
        """Whether the request claims to be signed."""
        request = self.request
        return request is not None and any(name.lower() == "signature-input" for name, _ in request.headers)

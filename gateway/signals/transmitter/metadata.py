"""What receivers learn of us before they ask for anything (SSF section 7.1)."""

from __future__ import annotations

from typing import Any, Final

from gateway.config import SignalsTransmitter

PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"
CONFIGURATION_PATH: Final = "/.well-known/ssf-configuration"  # at the edge
EDGE_PREFIX: Final = "/.well-known/portcullis/ssf/"  # at the edge, for /ssf/ here
POLL_PATH: Final = EDGE_PREFIX + "poll/"
VERIFICATION_SECONDS: Final = 10  # at least between two verifications of one stream
_JWKS_PATH: Final = "/.well-known/portcullis/jwks.json"


def metadata(settings: SignalsTransmitter) -> dict[str, Any]:
    """The transmitter's configuration metadata."""
    below = settings.issuer + EDGE_PREFIX
    return {
        "spec_version": "1_0",
        "issuer": settings.issuer,
        "jwks_uri": settings.issuer + _JWKS_PATH,
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": below + "streams",
        "status_endpoint": below + "status",
        "add_subject_endpoint": below + "subjects:add",
        "remove_subject_endpoint": below + "subjects:remove",
        "verification_endpoint": below + "verify",
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}, {"spec_urn": "urn:ietf:rfc:8705"}],
        "default_subjects": settings.default_subjects,
    }

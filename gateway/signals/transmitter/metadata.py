"""What receivers learn of us before they ask for anything (SSF section 7.1)."""

from __future__ import annotations

from typing import Any, Final

from gateway.config import SignalsTransmitter
from gateway.edge import JWKS_PATH, SSF_PREFIX

PUSH: Final = "urn:ietf:rfc:8935"
POLL: Final = "urn:ietf:rfc:8936"
POLL_PATH: Final = SSF_PREFIX + "poll/"
VERIFICATION_SECONDS: Final = 10  # at least between two verifications of one stream


def metadata(settings: SignalsTransmitter) -> dict[str, Any]:
    """The transmitter's configuration metadata."""
    below = settings.issuer + SSF_PREFIX
    return {
        "spec_version": "1_0",
        "issuer": settings.issuer,
        "jwks_uri": settings.issuer + JWKS_PATH,
        "delivery_methods_supported": [PUSH, POLL],
        "configuration_endpoint": below + "streams",
        "status_endpoint": below + "status",
        "add_subject_endpoint": below + "subjects:add",
        "remove_subject_endpoint": below + "subjects:remove",
        "verification_endpoint": below + "verify",
        "authorization_schemes": [{"spec_urn": "urn:ietf:rfc:6749"}, {"spec_urn": "urn:ietf:rfc:8705"}],
        "default_subjects": settings.default_subjects,
    }

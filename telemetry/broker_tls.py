"""TLS to an MQTT broker."""

from __future__ import annotations

import ssl
from pathlib import Path


def broker_tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or later to a broker for whose name one of these authorities vouches, or of the system's where there are
    none; with our own certificate where there is one. Raises OSError. It reads files: not for the event loop.
    """
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context

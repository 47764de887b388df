"""The Shared Signals transmitter (SSF 1.0): the bank's other systems learn of our cuts. What is told is an event; a
stream is what one receiver wants to hear and how; an event waits in each stream that carries it, durably, until it is
pushed (RFC 8935) or polled (RFC 8936), as a security event token (RFC 8417). What waits has a bound: a stream that
reaches it is paused, and its receiver told.
"""

from gateway.signals.transmitter.application import LARGEST, Identify, transmitter_application
from gateway.signals.transmitter.push import Patience
from gateway.signals.transmitter.store import Store, TransmitterUnreadable, TransmitterUnwritable
from gateway.signals.transmitter.told import (
    Initiator,
    Told,
    device_compliance_change,
    risk_level_change,
    session_revoked,
)
from gateway.signals.transmitter.transmitter import LONG_POLL, Transmitter

__all__ = [
    "LARGEST",
    "LONG_POLL",
    "Identify",
    "Initiator",
    "Patience",
    "Store",
    "Told",
    "Transmitter",
    "TransmitterUnreadable",
    "TransmitterUnwritable",
    "device_compliance_change",
    "risk_level_change",
    "session_revoked",
    "transmitter_application",
]

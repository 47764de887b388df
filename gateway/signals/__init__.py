"""What others tell us while streams live. A transmitter sends security events, in tokens that it signs, on a stream: it
pushes them, or is polled. An issuer sends logout tokens. Each says of a subject that something changed; what is
delivered is delivered once, and acknowledged when it is durable.
"""

from gateway.signals.application import signals_application
from gateway.signals.deliveries import Deliver, Unavailable
from gateway.signals.event import CAEP, CAEP_TYPES, LOGOUT, STREAM_UPDATED, VERIFICATION, SecurityEvent
from gateway.signals.logout import Logouts
from gateway.signals.logout_token import LogoutError
from gateway.signals.poller import Poller
from gateway.signals.receiver import Outcome, Receiver
from gateway.signals.receiving import Receiving, read_push_tokens
from gateway.signals.security_event_token import SetError
from gateway.signals.stream import Stream
from gateway.signals.subject import Subject, SubjectId, read_subject

__all__ = [
    "CAEP",
    "CAEP_TYPES",
    "LOGOUT",
    "STREAM_UPDATED",
    "VERIFICATION",
    "Deliver",
    "LogoutError",
    "Logouts",
    "Outcome",
    "Poller",
    "Receiver",
    "Receiving",
    "SecurityEvent",
    "SetError",
    "Stream",
    "Subject",
    "SubjectId",
    "Unavailable",
    "read_push_tokens",
    "read_subject",
    "signals_application",
]

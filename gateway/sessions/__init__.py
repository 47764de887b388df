"""A session is a live stream: who, what, since when, under which decision. The registry finds the sessions that a
signal touches and ends them; a signal is anything that changes what was decided.
"""

from gateway.sessions.registry import Sessions
from gateway.sessions.session import Session

__all__ = ["Session", "Sessions"]

"""A session is a live stream: who, what, since when, under which decision, on what evidence. The registry finds the
sessions that a signal touches and ends them with a cut; a signal is anything that changes what was decided.
"""

from gateway.sessions.cut import Cut
from gateway.sessions.recent import RecentCuts
from gateway.sessions.registry import Sessions
from gateway.sessions.session import Session

__all__ = ["Cut", "RecentCuts", "Session", "Sessions"]

"""Keeps processes alive. A *part* says how a process is started; a *child* is a part that lives, and is started again
when it dies, alone, after a *backoff*; its *pulse* tells a life that goes on from one that is stuck, and *patience* how
long that is borne; *rebirth* is a start without
loading; the *backlog* holds what children said until it is written; the *lock* lets one supervisor at a time have a
state folder.
"""

from console.supervision.backlog import Backlog, Writer
from console.supervision.backoff import Backoff, Failures
from console.supervision.child import Child, Part
from console.supervision.health import Patience, Pulse, watch
from console.supervision.lock import AlreadyRunning, sole
from console.supervision.rebirth import reborn
from console.supervision.stop import told_to_stop

__all__ = [
    "AlreadyRunning",
    "Backlog",
    "Backoff",
    "Child",
    "Failures",
    "Part",
    "Patience",
    "Pulse",
    "Writer",
    "reborn",
    "sole",
    "told_to_stop",
    "watch",
]

"""Keeps processes alive. A *part* says how a process is started; a *child* is a part that lives, and is started again
when it dies, alone, after a *backoff*; the *lock* lets one supervisor at a time have a state folder.
"""

from console.supervision.backoff import Backoff, Failures
from console.supervision.child import Child, Part
from console.supervision.lock import AlreadyRunning, sole
from console.supervision.stop import told_to_stop

__all__ = ["AlreadyRunning", "Backoff", "Child", "Failures", "Part", "sole", "told_to_stop"]

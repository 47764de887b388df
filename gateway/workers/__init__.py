"""Several processes that judge as one. A *worker* answers the edge's questions: the gateway itself, which is number 0
and owns all state, and its *judges*, from 1 on, each with a *replica*. A change of state is an *operation*: it has a
number, goes to every judge, and counts from the moment at which its number is *published*, in memory that all share.
Before a judge answers it has applied all that counts; one that cannot have it ends. A *snapshot* is the state as the
operations that make it; a *link* is the gateway's end of one judge's stream of them, *following* is the judge's. What a
judge cannot answer by itself is a *question* to the gateway.
"""

from gateway.workers.counted import Count, Together, counts_of
from gateway.workers.follower import Following, LeftBehind
from gateway.workers.journal import Journal, Untold
from gateway.workers.operation import (
    HEAD,
    Begin,
    Complete,
    Live,
    Operation,
    Prepare,
    RoutesChanged,
    RoutesChanging,
    framed,
    read,
)
from gateway.workers.published import Published
from gateway.workers.publisher import Publisher
from gateway.workers.questions import QUESTIONS_SOCKET, Desk, Questions
from gateway.workers.replica import Replica
from gateway.workers.replica_judge import ReplicaJudge
from gateway.workers.replicas import REPLICA_SOCKET, STATE_FILE, Replicas
from gateway.workers.snapshot import State
from gateway.workers.words import Hello, Joined, Prepared, Pulse, said

__all__ = [
    "HEAD",
    "QUESTIONS_SOCKET",
    "REPLICA_SOCKET",
    "STATE_FILE",
    "Begin",
    "Complete",
    "Count",
    "Desk",
    "Following",
    "Hello",
    "Joined",
    "Journal",
    "LeftBehind",
    "Live",
    "Operation",
    "Prepare",
    "Prepared",
    "Published",
    "Publisher",
    "Pulse",
    "Questions",
    "Replica",
    "ReplicaJudge",
    "Replicas",
    "RoutesChanged",
    "RoutesChanging",
    "State",
    "Together",
    "Untold",
    "counts_of",
    "framed",
    "read",
    "said",
]

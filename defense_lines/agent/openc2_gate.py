"""The gate in front of a consumer: only what the gateway signed, for it, now, and for the first time, comes through.

A consumer knows no time of day. When it starts, and whenever it refuses, it names a nonce. A command that carries it
was signed after that: it binds the consumer to the gateway's session, and tells how the session's time runs beside its
own monotonic clock, to within DOUBT: what was longer on its way binds nobody. Within a session numbers ascend, and what
was longer on its way than MAX_AGE is refused. Nothing needs to be kept on disk: what was signed before a consumer
started is of no session that it is bound to. Pure.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from defense_lines.agent.openc2_command import MAX_MESSAGE
from defense_lines.agent.openc2_seal import open_command

MAX_AGE = 5.0  # seconds that a command may be on its way, and that a nonce may be answered
DOUBT = 0.5  # seconds that a nonce and the command with it may be on their ways: by so much a block may end late
_MAX_NUMBER = 1 << 53

Why = Literal["unsigned", "scope", "session", "sequence", "expired"]
WORDS: dict[Why, str] = {
    "unsigned": "not signed by the gateway's key",
    "scope": "signed for others",
    "session": "of a session that this consumer is not bound to",
    "sequence": "replayed, or after one that was sent later",
    "expired": f"longer than {MAX_AGE:g} s on its way",
}


class Stamp(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a signed command says of itself, in the header `x-portcullis`."""

    session: str  # of the gateway, new whenever it starts
    number: int  # ascends within the session
    time: int  # milliseconds since the session began, by the gateway's monotonic clock
    scope: str  # the topic that it is for
    excluded: tuple[str, ...] = ()  # devices of that topic that it is not for
    nonce: str = ""  # of the one consumer that it is for
    held: int = 0  # milliseconds since the gateway heard of the nonce
    head: str = ""  # the ledger's signed head, echoed in the answer


class _Headers(msgspec.Struct, frozen=True):
    stamp: Stamp = msgspec.field(name="x-portcullis")


class _Message(msgspec.Struct, frozen=True):
    headers: _Headers


class Admitted(msgspec.Struct, frozen=True):
    """A command to obey."""

    message: bytes  # without its signature
    age: float  # seconds that it was on its way
    head: str


class Refused(msgspec.Struct, frozen=True):
    """A command that is none for us, and why."""

    why: Why


_STAMP = msgspec.json.Decoder(_Message)


class Gate:
    """One consumer's."""

    def __init__(self, device: str, topics: Collection[str], key: Ed25519PublicKey, clock: Callable[[], float]) -> None:
        """`clock` gives seconds, never goes back, and counts while the host sleeps."""
        self._device = device
        self._topics = frozenset(topics)
        self._key = key
        self._clock = clock
        self._session = ""
        self._number = 0
        self._began = 0.0  # our clock when the session's time was 0, as far as we can tell
        self._nonce, self._named = "", 0.0

    def nonce(self) -> str:
        """What the next command has to carry if this consumer is to be bound by it."""
        now = self._clock()
        if not self._nonce or now - self._named > DOUBT / 2:
            self._nonce, self._named = secrets.token_hex(16), now
        return self._nonce

    def admit(self, message: bytes) -> Admitted | Refused | None:
        """A message from the broker; None if it is the gateway's, and leaves this device out."""
        inner = open_command(message, self._key) if len(message) <= MAX_MESSAGE else None
        if inner is None:
            return Refused("unsigned")
        try:
            stamp = _STAMP.decode(inner).headers.stamp
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Refused("scope")  # our key signs nothing else
        if stamp.scope not in self._topics or stamp.number > _MAX_NUMBER:
            return Refused("scope")
        why = self._bind(stamp) if stamp.nonce else self._follow(stamp)
        if why is not None:
            return Refused(why)
        self._number = stamp.number
        return None if self._device in stamp.excluded else Admitted(inner, self._age(stamp), stamp.head)

    def _bind(self, stamp: Stamp) -> Why | None:
        """Take the session from a command that answers our nonce, which is good for one."""
        if stamp.nonce != self._nonce:
            return "session"
        waited = self._clock() - self._named
        if waited > MAX_AGE or waited - stamp.held / 1000 > DOUBT:
            return "expired"
        if stamp.session == self._session and stamp.number <= self._number:
            return "sequence"
        self._nonce = ""
        self._session, self._began = stamp.session, self._clock() - stamp.time / 1000
        return None

    def _follow(self, stamp: Stamp) -> Why | None:
        if stamp.session != self._session:
            return "session"
        if stamp.number <= self._number:
            return "sequence"
        return "expired" if self._age(stamp) > MAX_AGE else None

    def _age(self, stamp: Stamp) -> float:
        """Seconds on the way, less those of the fastest so far: nothing arrives before it was sent."""
        age = self._clock() - self._began - stamp.time / 1000
        if age < 0:
            self._began += age
        return max(age, 0.0)

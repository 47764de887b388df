"""Continuous verification: live sessions judged again when something that they depended on changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import msgspec
import structlog

from gateway.agents import Agent
from gateway.marks import UNMARKED, Marks
from gateway.sessions import Session, Sessions
from gateway.standing import Standing
from policy import Decision, Pdp, Principal, ReadPath, overlap

_SLICE: Final = 0.002  # seconds of judging in a turn of the loop, whatever is signalled; then others have theirs
_RISK: Final = ("data", "risk")
_AT_ONCE: Final = 16  # questions to another engine, or to an issuer, at the same time
_log = structlog.get_logger()

Renew = Callable[[Session], Awaitable[Principal | None]]


class Rejudging:
    """Ends the sessions that policy, asked again, would refuse, and no other. Signals are put together by whom they
    touch: what many signals touch in a turn that has used up its slice of time is judged once. `later` begins the next
    turn; where the engine is another process, or an issuer must be asked, `run` does the work.
    """

    def __init__(
        self,
        sessions: Sessions,
        pdp: Pdp,
        standing: Standing,
        renew: Renew,
        later: Callable[[Callable[[], int]], object],
        marks: Marks = UNMARKED,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sessions = sessions
        self._pdp = pdp
        self._standing = standing
        self._renew = renew
        self._later = later
        self._marks = marks
        self._clock = clock
        self._monotonic = monotonic
        self._touched: dict[str, tuple[Session, str, float]] = {}  # by id: the session, the first signal, its arrival
        self._ends: float | None = None  # when this turn's slice ends; None before there was any work in it
        self._left = False  # something that this turn had no time for
        self._wanted = asyncio.Event()
        self.ended = 0  # sessions, in all

    def again(self, sessions: Iterable[Session], signal: str, arrived: float | None = None) -> int:
        """A signal touches these: judge them again, as far as that is done in no time. Returns how many ended by it;
        `settled` waits for the rest.
        """
        self._sessions.epoch += 1
        came = self._monotonic() if arrived is None else arrived
        for session in sessions:
            self._touched.setdefault(session.id, (session, signal, came))
        return self._work()

    def risk(self, principal: str) -> int:
        """Its risk changed. Returns how many streams ended at once."""
        return self.data(("data", "risk", principal), "risk")

    def data(self, path: ReadPath, signal: str = "data") -> int:
        """Policy's data changed at a path."""
        if path[:2] == _RISK and len(path) > len(_RISK):
            self._marks.touch("risk", str(path[2]))
        else:
            self._marks.everything()
        return self.again(self._sessions.read(path), signal)

    def agent(self, agent: Agent) -> int:
        """Its registration changed."""
        names = agent.profile.names()
        for name in names:
            self._marks.touch("actor", name)
        return self.again((session for name in names for session in self._sessions.find("actor", name)), "agent")

    def device(self, device: str) -> int:
        """Its posture changed."""
        self._marks.touch("device", device)
        using = self._sessions.find("device", device)
        return self.again((one for one in using if _reads(one.decision, ("input", "device"))), "posture")

    def keys(self, issuer: str) -> int:
        """An issuer's keys changed."""
        self._marks.touch("issuer", issuer)
        return self.again(self._sessions.find("issuer", issuer), "keys")

    def certificates(self) -> int:
        """What certificates stand on changed."""
        self._marks.touch("evidence", "certificate")
        return self.again(self._sessions.find("evidence", "certificate"), "certificates")

    def everyone(self) -> int:
        """The policy revision changed."""
        self._marks.everything()
        return self.again(self._sessions, "policy")

    def opened(self, session: Session, epoch: int) -> None:
        """A session that was judged in an epoch of `sessions` begins. What was signalled meanwhile touches it too."""
        if epoch != self._sessions.epoch:
            self.again((session,), "opened")

    def tick(self) -> None:
        """What time alone ends: proofs, and decisions that have grown old."""
        now = self._clock()
        due = self._sessions.due(now)
        expired = [one for one in due if one.request.principal.expires <= now and not one.evidence.opaque]
        self._sessions.cut(expired, "token_expired", "expiry")
        if old := [one for one in due if one in self._sessions]:
            self.again(old, "age")

    async def settled(self) -> int:
        """Wait until everybody who is touched now is judged, whoever is touched meanwhile. Returns how many have ended,
        of all time.
        """
        for name, touched in list(self._touched.items()):
            while self._touched.get(name) is touched:
                await asyncio.sleep(0 if self._pdp.immediate else 0.001)
                self._work()
        return self.ended

    async def run(self) -> None:
        """Ask other processes and issuers what must be asked of them, until cancelled."""
        turns = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                for touched in self._taken():
                    await turns.acquire()
                    tasks.create_task(self._ask(*touched)).add_done_callback(lambda _: turns.release())

    def _taken(self) -> list[tuple[Session, str, float]]:
        return [self._touched.pop(name) for name in list(self._touched) if self._must_wait(*self._touched[name])]

    def _must_wait(self, session: Session, signal: str, arrived: float) -> bool:
        return session in self._sessions and (not self._pdp.immediate or self._must_renew(session))

    def _must_renew(self, session: Session) -> bool:
        """Whether what an issuer said of its token counts no more, and it must be asked again."""
        return bool(session.evidence.opaque) and session.request.principal.expires <= self._clock()

    def _work(self) -> int:
        """As much as this turn's slice has time for."""
        if self._ends is None:
            self._ends = self._monotonic() + _SLICE
            self._later(self._next_turn)
        before, waiting = self.ended, False
        self._left = self._monotonic() > self._ends
        for name in () if self._left else list(self._touched):
            if self._must_wait(*self._touched[name]):
                waiting = True
                continue
            self._judge(*self._touched.pop(name))
            if self._monotonic() > self._ends:
                self._left = True
                break
        if waiting:
            self._wanted.set()
        return self.ended - before

    def _next_turn(self) -> int:
        self._ends = None
        return self._work() if self._left else 0

    def _judge(self, session: Session, signal: str, arrived: float) -> None:
        if session not in self._sessions:
            return
        request = self._standing.request(session, self._clock())
        if isinstance(request, str):
            self._end(session, request, signal, arrived)
        else:
            session.request = request
            self._apply(session, self._pdp.decide(request), signal, arrived)

    async def _ask(self, session: Session, signal: str, arrived: float) -> None:
        """Of an engine that is another process; of an issuer, where a token's time is over. What cannot be had is a
        refusal.
        """
        if self._must_renew(session):
            principal = await self._renew(session)
            if principal is None or principal.id != session.request.principal.id:
                self._end(session, "token_expired", "expiry", arrived)
                return
            session.request = msgspec.structs.replace(session.request, principal=principal)
        request = self._standing.request(session, self._clock())
        if isinstance(request, str):
            self._end(session, request, signal, arrived)
            return
        epoch = self._sessions.epoch
        decision = await self._pdp.ask(request)
        session.request = request
        self._apply(session, decision, signal, arrived)
        self.opened(session, epoch)

    def _apply(self, session: Session, decision: Decision, signal: str, arrived: float) -> None:
        if session not in self._sessions:
            return
        if not decision.allowed:
            self._end(session, ",".join(decision.reasons) or "refused", signal, arrived)
            return
        session.decision, session.judged = decision, self._clock()
        self._sessions.judged(session)

    def _end(self, session: Session, reason: str, signal: str, arrived: float) -> None:
        self.ended += self._sessions.cut((session,), reason, signal, arrived)


def _reads(decision: Decision, path: ReadPath) -> bool:
    return any(overlap(path, read) for read in decision.depends)

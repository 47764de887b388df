"""The agent is a line's end of the connection: it comes back to a gateway that was away, and answers what it is told.

Away from the gateway it only tries again: what stands in the firewall is enforced and ends on time by itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, TypeVarTuple

import msgspec
import structlog
from picows import WSError
from prometheus_client import Counter

from defense_lines.agent.disk import Disk
from defense_lines.agent.enforcer import Asked, Enforcer, Malformed, OtherLedger
from defense_lines.agent.libnftables import NftError
from defense_lines.agent.protocol import ENCODER, MAX_ORDERS, ORDER, Answer, Audit, Orders, Unlisted, Welcome
from defense_lines.agent.websocket import Messages

BACKOFF_SECONDS: Final = (0.05, 5.0)  # first and longest wait before connecting again, of which half is random
CONNECT_SECONDS: Final = 5.0  # for TCP, TLS and WebSocket: one that dies meanwhile may never be heard of again
CHECK_SECONDS: Final = 15.0  # between looks at whether the firewall holds what it should
_MOST_WAITING: Final = 4  # messages: a gateway asks no more before it was answered

Ts = TypeVarTuple("Ts")
T = TypeVar("T")
Connect = Callable[[Messages], Awaitable[object]]  # opens a connection that these hear; raises OSError, WSError

_log = structlog.get_logger()
_malformed = Counter("portcullis_defense_lines_agent_malformed_total", "Messages that closed the gateway's connection")
_others = Counter("portcullis_defense_lines_agent_other_ledger_total", "Gateways refused that have another ledger")
_lost = Counter("portcullis_defense_lines_agent_connections_lost_total", "Connections to the gateway that ended")
_uncompacted = Counter("portcullis_defense_lines_agent_compaction_failures_total", "Journals that stayed long")
_unlisted = Counter("portcullis_defense_lines_agent_listing_failures_total", "Times that the firewall said nothing")


class Agent:
    """One line. It carries out orders where they come in, or on a thread if its firewall waits for the kernel."""

    def __init__(self, enforcer: Enforcer, disk: Disk, instead: str = "") -> None:
        """`disk` syncs the journal, and is run by whoever made it. `instead` names a ledger to follow from now on if it
        is not the one that was followed.
        """
        self.enforcer = enforcer
        self.instead = instead
        self.disk = disk
        waits = enforcer.firewall.waits
        self.writer = ThreadPoolExecutor(1, "orders") if waits else None
        self._reader = ThreadPoolExecutor(1, "listing") if waits else None  # a long listing keeps no order waiting
        self._listing = asyncio.Lock()

    async def serve(self, connect: Connect) -> None:
        """Carry out the gateway's orders until cancelled. Raises NftError or CapabilityError if nothing can stand."""
        try:
            await on(self.writer, self.enforcer.start)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._upkeep())
                await self._stay_connected(connect, tasks)
        finally:
            self._close()

    async def check(self, asked: Awaitable[Asked] | None = None) -> Answer | None:
        """Have the firewall hold what the book says; the answer to an audit, if there is one, of which `asked` is what
        the enforcer finds when it is asked. Raises NftError, Malformed.
        """
        found = await asked if asked is not None else None
        async with self._listing:
            await on(self.writer, self.enforcer.listing_begins)
            listing = await on(self._reader, self.enforcer.firewall.listing)
            if found is not None:
                return await on(self.writer, self.enforcer.audit, found, listing)
            await on(self.writer, self.enforcer.check, listing)
            return None

    async def _stay_connected(self, connect: Connect, tasks: asyncio.TaskGroup) -> None:
        wait, longest = BACKOFF_SECONDS
        while True:
            link = _Link(self, tasks)
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    await connect(link)
                if link.transport is not None:  # picows returns as well from a handshake in which all was lost
                    await link.lost.wait()
                _lost.inc()
                _log.info("gateway is away", reason=link.fault or "connection closed")
            except (OSError, EOFError, WSError) as error:
                _log.debug("gateway is away", reason=str(error))
            finally:
                link.close()
            wait = BACKOFF_SECONDS[0] if link.welcomed else min(2 * wait, longest)
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - so that lines do not come back all at once

    async def _upkeep(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - as above
            try:
                await self.check()
                await on(self.writer, self.enforcer.compact)
            except NftError as error:
                _unlisted.inc()
                _log.error("the firewall did not say what it holds", reason=str(error))
            except OSError as error:
                _uncompacted.inc()
                _log.error("the journal cannot be compacted", reason=str(error))

    def _close(self) -> None:
        for threads in (self.writer, self._reader):
            if threads is not None:
                threads.shutdown()
        self.enforcer.close()


class _Link(Messages):
    """One connection to the gateway: it is welcomed, says hello, and then answers."""

    def __init__(self, agent: Agent, tasks: asyncio.TaskGroup) -> None:
        super().__init__(MAX_ORDERS)
        self.lost = asyncio.Event()
        self.welcomed = False
        self._agent = agent
        self._tasks = tasks
        self._waiting = 0

    def opened(self) -> None:
        """The gateway speaks first."""

    def closed(self) -> None:
        self.lost.set()

    def received(self, message: bytes) -> None:
        try:
            order = ORDER.decode(message)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._wrong(f"no order: {error}")
            return
        if isinstance(order, Welcome) == self.welcomed or self._waiting >= _MOST_WAITING:
            self._wrong("not its turn")
        elif isinstance(order, Orders):
            self._carry_out(order, message)
        elif isinstance(order, Audit):
            self._waiting += 1
            enforcer = self._agent.enforcer
            asked = on(self._agent.writer, enforcer.asked, order, enforcer.boottime())
            self._tasks.create_task(self._audit(asked))
        else:
            self.welcomed = True
            self._waiting += 1
            self._tasks.create_task(self._welcome(order))

    def _carry_out(self, orders: Orders, message: bytes) -> None:
        if self._agent.writer is not None:
            self._waiting += 1
            running = asyncio.get_running_loop().run_in_executor
            done = running(self._agent.writer, self._agent.enforcer.carry_out, orders, message)
            done.add_done_callback(self._carried_out)
            return
        try:
            self._answer(self._agent.enforcer.carry_out(orders, message))
        except Malformed as error:
            self._wrong(str(error))

    def _carried_out(self, done: asyncio.Future[Answer]) -> None:
        self._waiting -= 1
        try:
            self._answer(done.result())
        except Malformed as error:
            self._wrong(str(error))

    def _answer(self, answer: Answer) -> None:
        self.send(ENCODER.encode(answer))
        self._agent.disk.wrote(self._agent.enforcer.journal)

    async def _welcome(self, welcome: Welcome) -> None:
        agent = self._agent
        try:
            self._answer(await on(agent.writer, agent.enforcer.welcome, welcome, agent.instead))
            _log.info("connected to the gateway", line=welcome.line, cursor=agent.enforcer.book.cursor)
        except (OtherLedger, Malformed, OSError) as error:
            _others.inc(isinstance(error, OtherLedger))
            self.welcomed = False
            _log.error("gateway refused", reason=str(error))
            self.close(str(error))
        finally:
            self._waiting -= 1

    async def _audit(self, asked: Awaitable[Asked]) -> None:
        try:
            answer = await self._agent.check(asked)
        except NftError as error:
            _unlisted.inc()
            answer = Unlisted(str(error))
        except Malformed as error:
            self._wrong(str(error))
            return
        self._waiting -= 1
        if answer is not None:
            self._answer(answer)

    def _wrong(self, words: str) -> None:
        _malformed.inc()
        _log.warning("gateway's connection closed", reason=words)
        self.close(words, fault=True)


def on(threads: ThreadPoolExecutor | None, work: Callable[[*Ts], T], *arguments: *Ts) -> asyncio.Future[T]:
    """Do it on a thread, after all that was asked of it before; or here and now where there is none."""
    if threads is not None:
        return asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
    done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    try:
        done.set_result(work(*arguments))
    except Exception as error:
        done.set_exception(error)
    return done

"""Another configuration where several judge, behind a real Envoy: once the order has returned each of them judges by
the new routes, and none by half of them.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any

import jwt
import pytest
import pytest_asyncio

from bench.identities.callers import AUDIENCE, HOST, issuers
from gateway.config import Config, GatewayProcesses, Route, Service
from gateway.edge import judge_socket
from gateway.routing import Routing
from gateway.workers import HEAD, REPLICA_SOCKET, Begin, Hello, read, said
from tests.gateway.edge_rig import until
from tests.gateway.front import front
from tests.gateway.questioner import Answered, Questioner
from tests.gateway.test_reload import Site
from tests.gateway.upstream_rig import upstream
from tests.gateway.workers_rig import judges

pytestmark = pytest.mark.asyncio(loop_scope="module")
WORKERS = 3
PATHS = ("/accounts/1", "/payments/1", "/streams/1", "/loans/1", "/gone/1")
TURNS = 10


class Bank(Site):
    """The whole with judges beside the gateway."""

    def token(self, **claims: Any) -> str:
        """For all services, if nothing else is said."""
        return self.front.issuer.token(**{"sub": "person:alice", "aud": [AUDIENCE, "other"], **claims})

    def pids(self) -> dict[int, int]:
        assert self.front.gateway.replicas is not None
        return self.front.gateway.replicas.pids()

    async def asked(self, number: int) -> Questioner:
        return await Questioner.connected(judge_socket(self.front.gateway.run, number))

    async def everybody(self, path: str, body: bytes | None = None, **claims: Any) -> list[Answered]:
        """Each judge's answer, the gateway's own first."""
        answers = []
        for number in range(WORKERS):
            judge = await self.asked(number)
            answers.append(await ask(judge, path, self.token(**claims), body))
            judge.writer.close()
        return answers

    async def live(self) -> None:
        """Until every judge answers."""
        await until(lambda: len(self.pids()) == WORKERS - 1, "all judges are live")
        for number in range(WORKERS):
            await until(partial(self._listens, number), "all judges listen")

    async def _listens(self, number: int) -> bool:
        with suppress(OSError):
            (await self.asked(number)).writer.close()
            return True
        return False

    async def sent(self, path: str, token: str) -> tuple[int, str]:
        """What the edge answers, and by which decision."""
        headers = {"host": HOST, "authorization": f"Bearer {token}"}
        async with self.front.session.get(f"https://localhost:{self.front.port}{path}", headers=headers) as answer:
            await answer.read()
            return answer.status, answer.headers.get("x-portcullis-decision", "")

    def others(self) -> Config:
        """A route is gone, one is new, and each of the others is judged in another way."""
        other = Service(address="127.0.0.1", port=self.other.port, audience="other")
        return self.changed(
            services={**self.front.gateway.config.services, "other": other},
            routes=(
                Route(prefix="/accounts", service="accounts", body_bytes=1000),
                Route(prefix="/payments", service="other"),
                Route(prefix="/streams/", service="accounts"),
                Route(prefix="/loans", service="other"),
            ),
        )


async def ask(judge: Questioner, path: str, token: str, body: bytes | None = None) -> Answered:
    headers = {"x-forwarded-for": "10.0.0.5", "authorization": f"Bearer {token}"}
    return await judge.ask("GET" if body is None else "POST", path, headers, body, host=HOST)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Bank]:
    changes: Mapping[str, Callable[[Config], Any]] = {
        "gateway": lambda _: GatewayProcesses(workers=WORKERS),
        "edge": lambda config: config.edge.model_copy(update={"cache_seconds": 60.0}),
        "transactions": lambda config: config.transactions.model_copy(update={"life_seconds": 300}),
    }
    async with front(**changes) as made, upstream() as other:
        bank = Bank(made, other, made.gateway.config)
        file = made.folder / "portcullis.yaml"
        file.write_text(json.dumps(made.gateway.config.model_dump(mode="json", exclude_unset=True)))
        async with judges(made.folder, file):
            await bank.live()
            yield bank


@pytest_asyncio.fixture(loop_scope="module")
async def bank(running: Bank) -> AsyncIterator[Bank]:
    """Its configuration is the same again afterwards."""
    plain = running.front.gateway.config
    running.other.seen.clear()
    running.front.upstream.clear()
    yield running
    running.file = plain
    assert "problems" not in await running.reload()
    await running.live()


async def reloaded(bank: Bank, config: Config) -> None:
    bank.file = config
    assert "problems" not in await bank.reload()


@asynccontextmanager
async def hammering(bank: Bank) -> AsyncIterator[list[list[tuple[float, str, Answered]]]]:
    """Each judge is asked for all paths again and again: when, what, and its answer."""
    told: list[list[tuple[float, str, Answered]]] = [[] for _ in range(WORKERS)]
    token = bank.token()

    async def again(number: int) -> None:
        judge = await bank.asked(number)
        with suppress(asyncio.CancelledError):
            while True:
                for path in PATHS:
                    told[number].append((time.monotonic(), path, await ask(judge, path, token)))
        judge.writer.close()

    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(again(number)) for number in range(WORKERS)]
        await until(lambda: all(len(each) >= len(PATHS) for each in told), "everybody answers")
        yield told
        for task in asking:
            task.cancel()


async def test_each_judges_by_the_new_routes_when_the_order_returns_and_by_old_or_new_ones_before(bank: Bank) -> None:
    old, new, before = Routing(bank.front.gateway.config), Routing(bank.others()), bank.pids()
    async with hammering(bank) as told:
        await reloaded(bank, bank.others())
        returned = time.monotonic()
        await until(lambda: all(each[-len(PATHS)][0] > returned for each in told), "everybody is asked again")
    answers = [one for each in told for one in each]
    for sent, path, answer in answers:
        bound = answer.headers.get("x-portcullis-route", "")
        if sent > returned:
            assert (answer.status, bound) == ((200, new.bound(path)) if new.match(path) else (403, ""))
        else:
            assert answer.status == 503 or bound in (old.bound(path), new.bound(path))
    assert bank.pids() == before, "nobody had to begin anew"


async def test_what_is_said_of_a_route_counts_for_each(bank: Bank) -> None:
    await reloaded(bank, bank.others())
    assert {one.status for one in await bank.everybody("/accounts/1", b"not JSON")} == {400}
    assert {one.status for one in await bank.everybody("/accounts/1", b"{}")} == {200}
    assert {one.status for one in await bank.everybody("/loans/1", aud=AUDIENCE)} == {401}
    assert {one.status for one in await bank.everybody("/loans/1", aud="other")} == {200}
    assert {one.status for one in await bank.everybody("/accounts/1", aud="other")} == {401}
    assert {b"no_route" in one.body for one in await bank.everybody("/gone/1")} == {True}


async def test_judges_that_are_killed_come_back_with_the_new_routes(bank: Bank) -> None:
    before = bank.pids()
    await reloaded(bank, bank.others())
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not set(before.values()) & set(bank.pids().values()), "they are gone")
    await bank.live()
    new = Routing(bank.others())
    for path in PATHS:
        bound = [one.headers.get("x-portcullis-route", "") for one in await bank.everybody(path)]
        assert bound == [new.bound(path)] * WORKERS


async def test_judges_that_are_killed_while_it_changes_come_back_with_the_new_routes(bank: Bank) -> None:
    new, plain = bank.others(), bank.front.gateway.config
    for turn in range(TURNS):
        before = list(bank.pids().values())
        order = asyncio.create_task(reloaded(bank, new if turn % 2 == 0 else plain))
        await asyncio.sleep(0.003 * turn)  # any moment will do: they come back before, while or after it changes
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        await order
        await until(lambda before=before: not set(before) & set(bank.pids().values()), "gone")  # type: ignore[misc]
        await bank.live()
        status = 403 if turn % 2 == 0 else 200
        assert [one.status for one in await bank.everybody("/gone/1")] == [status] * WORKERS


async def test_who_connected_before_the_change_begins_with_what_counts_after_it(bank: Bank) -> None:
    reader, writer = await asyncio.open_unix_connection(str(bank.front.gateway.run / REPLICA_SOCKET))
    await reloaded(bank, bank.others())
    writer.write(said(Hello("parent")))  # as one is told: a judge that leaves again is killed
    length, _ = HEAD.unpack(await reader.readexactly(HEAD.size))
    begin = read(await reader.readexactly(length))
    writer.close()
    assert isinstance(begin, Begin)
    assert Config.model_validate_json(begin.config).routes == bank.others().routes


async def test_an_order_that_is_refused_changes_nobody(bank: Bank) -> None:
    plain, before = bank.front.gateway.config, bank.pids()
    bank.file = bank.others().model_copy(update={"metrics_port": 9999})
    assert await bank.reload() == {"problems": ["needs a restart: metrics_port"]}
    services = bank.others().services
    nowhere = services["other"].model_copy(update={"address": ""})  # refused by the edge, when all know what is coming
    bank.file = bank.others().model_copy(update={"services": {**services, "other": nowhere}})
    (problem,) = (await bank.reload())["problems"]
    assert problem.startswith("the edge refuses it: ")
    for path in PATHS:
        answers = await bank.everybody(path)
        assert [one.headers["x-portcullis-route"] for one in answers] == [Routing(plain).bound(path)] * WORKERS
        assert {one.status for one in await bank.everybody(path, aud="other")} == {401}
    assert bank.pids() == before, "nobody had to begin anew"


async def test_under_load_nobody_is_served_who_was_judged_for_another_service(bank: Bank) -> None:
    """A route goes to and fro between two services. Each of two callers may have one of them; another route stays."""
    plain, elsewhere = bank.front.gateway.config, bank.leading_elsewhere()
    other = elsewhere.services["other"].model_copy(update={"audience": "other"})
    elsewhere = elsewhere.model_copy(update={"services": {**elsewhere.services, "other": other}})
    usual, others = bank.token(sub="person:usual", aud=AUDIENCE), bank.token(sub="person:other", aud="other")
    numbers = count()
    statuses: dict[str, list[int]] = {"usual": [], "other": [], "unchanged": []}

    async def again(whose: str, path: Callable[[], str], token: str) -> None:
        with suppress(asyncio.CancelledError):
            while True:
                statuses[whose].append((await bank.sent(path(), token))[0])

    async with asyncio.TaskGroup() as tasks:
        asking = [
            tasks.create_task(again(whose, path, token))
            for whose, path, token in (
                ("usual", lambda: "/accounts/usual", usual),
                ("usual", lambda: f"/accounts/usual?{next(numbers)}", usual),
                ("usual", lambda: f"/accounts/usual/{next(numbers)}", usual),
                ("other", lambda: "/accounts/other", others),
                ("other", lambda: f"/accounts/other/{next(numbers)}", others),
                ("unchanged", lambda: f"/payments/{next(numbers)}", usual),
                ("unchanged", lambda: "/payments/1", usual),
            )
        ]
        await until(lambda: all(statuses.values()), "all are asked")
        for turn in range(2 * TURNS):
            await reloaded(bank, elsewhere if turn % 2 == 0 else plain)
            expected = (401, 200) if turn % 2 == 0 else (200, 401)
            for number in range(2 * WORKERS):
                first, second = f"/accounts/usual/{turn}/{number}", f"/accounts/other/{turn}/{number}"
                assert ((await bank.sent(first, usual))[0], (await bank.sent(second, others))[0]) == expected
        for task in asking:
            task.cancel()
    assert set(statuses["unchanged"]) == {200}
    assert set(statuses["usual"]) | set(statuses["other"]) <= {200, 401, 403, 503}
    assert {headers["x-portcullis-subject"] for headers in bank.front.upstream} == {"person:usual"}
    assert {path.split("/")[2] for _, path in bank.other.seen} == {"other"}


async def test_an_answer_is_given_again_only_for_the_route_that_it_was_given_for(bank: Bank) -> None:
    plain, token = bank.front.gateway.config, bank.token()
    first, unchanged = await bank.sent("/accounts/1", token), await bank.sent("/payments/1", token)
    assert (await bank.sent("/accounts/1", token), await bank.sent("/payments/1", token)) == (first, unchanged)
    await reloaded(bank, bank.leading_elsewhere())
    second = await bank.sent("/accounts/1", token)
    assert second[0] == 200
    assert second != first, "it was judged anew"
    assert await bank.sent("/accounts/1", token) == second
    assert [path for _, path in bank.other.seen] == ["/accounts/1"] * 2
    assert await bank.sent("/payments/1", token) == unchanged
    await reloaded(bank, plain.model_copy(update={"routes": plain.routes[:2]}))
    assert (await bank.sent("/accounts/1", token))[0] == 403
    assert await bank.sent("/payments/1", token) == unchanged
    closed = plain.services["accounts"].model_copy(update={"audience": "closed"})
    await reloaded(bank, plain.model_copy(update={"services": {"accounts": closed}}))
    for path in ("/accounts/1", "/payments/1"):
        assert {(await bank.sent(path, token))[0] for _ in range(WORKERS)} == {401}


async def test_whom_a_judge_passes_on_to_the_gateway_the_edge_lets_pass(bank: Bank) -> None:
    """A key that nobody knows yet is the gateway's to fetch: what it answers a judge is bound to a route too."""
    fresh = issuers()["ES256"]
    bank.front.published.append(fresh.jwk() | {"kid": "fresh"})
    claims = jwt.decode(bank.token(), options={"verify_signature": False})
    tokens = [
        jwt.encode(claims | {"jti": str(number)}, fresh.key, "ES256", {"typ": "at+jwt", "kid": "fresh"})
        for number in range(WORKERS)  # they are asked in turn
    ]
    told = await asyncio.gather(*(bank.sent("/accounts/1", token) for token in tokens))
    assert [status for status, _ in told] == [200] * WORKERS

"""The sample bank serves what the edge has judged, and counts the rest."""

from __future__ import annotations

import json
import time

import aiohttp
import grpc
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from deploy.demo import bank_pb2, bank_pb2_grpc
from deploy.demo.cast import CAROLS, FOREIGN, GRPC_SERVICE, HTTP_SERVICE, accounts
from gateway.config import Transactions
from gateway.transactions import HEADER, KeyRing, Minter
from policy import Actor, Principal

ALICES_BOT = Principal(
    id="person:alice", kind="person", issuer="test", actors=(Actor("agent:invoice-bot", "agent"),), expires=4e9
)


def judged(minter: Minter, service: str = HTTP_SERVICE, principal: Principal = ALICES_BOT) -> dict[str, str]:
    """What the edge adds to a request that the gateway lets pass."""
    return {HEADER: minter.token(principal, service, time.time())}


async def test_account_is_told_with_who_asked(bank: tuple[int, int], minter: Minter) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{bank[0]}", headers=judged(minter)) as edge:
        answer = await edge.get("/accounts/1001")
        told = await answer.json()
    assert answer.status == 200
    assert (told["account"], told["owner"], told["asked_by"]) == ("1001", "person:alice", "agent:invoice-bot")


async def test_request_without_a_decision_is_refused_and_counted(bank: tuple[int, int], minter: Minter) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{bank[0]}") as outsider:
        assert (await outsider.get("/accounts/1001")).status == 403
        assert (await outsider.get("/streams/accounts/1001")).status == 403
        assert (await (await outsider.get("/audit/unjudged")).json())["unjudged"] == 2


async def test_a_token_that_is_not_for_this_bank_now_is_refused_and_counted(
    bank: tuple[int, int], minter: Minter
) -> None:
    ended = minter.token(msgspec.structs.replace(ALICES_BOT, assurance="old"), HTTP_SERVICE, time.time() - 60)
    other = KeyRing.first(lambda: ec.generate_private_key(ec.SECP256R1()), time.time())
    foreign = judged(Minter(Transactions(), other, lambda: "txn-2"))
    bad = [{}, {HEADER: ended}, judged(minter, "ledger"), foreign, {HEADER: judged(minter)[HEADER][:-2] + "AA"}]
    async with aiohttp.ClientSession(f"http://127.0.0.1:{bank[0]}") as outsider:
        answers = [(await outsider.get("/accounts/1001", headers=headers)).status for headers in bad]
        assert answers == [403] * len(bad)
        assert (await (await outsider.get("/audit/unjudged")).json())["unjudged"] == len(bad)


async def test_payment_moves_money_and_bad_ones_do_not(bank: tuple[int, int], minter: Minter) -> None:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{bank[0]}", headers=judged(minter)) as edge:
        before = (await (await edge.get("/accounts/1001")).json())["cents"]
        paid = await edge.post("/payments", json={"from": "1001", "to": "1002", "amount": 12.5})
        wrong = [
            (await edge.post("/payments", data=body)).status
            for body in (b"{", b"[]", json.dumps({"from": "1", "to": "2", "amount": 1}), b'{"from":"1001"}')
        ]
        much = await edge.post("/payments", json={"from": "1001", "to": "1002", "amount": 1e9})
        after = (await (await edge.get("/accounts/1001")).json())["cents"]
    assert paid.status == 200
    assert wrong == [400, 400, 404, 400]
    assert much.status == 409
    assert after == before - 1250


async def test_statements_are_numbered_and_keep_their_pace(bank: tuple[int, int], minter: Minter) -> None:
    async with (
        aiohttp.ClientSession(f"http://127.0.0.1:{bank[0]}", headers=judged(minter)) as edge,
        edge.get("/streams/accounts/1001") as stream,
    ):
        began, numbers = time.monotonic(), []
        async for line in stream.content:
            if line.startswith(b"id:"):
                numbers.append(int(line[3:]))
            if len(numbers) == 10:
                break
    assert numbers == list(range(10))
    assert 0.4 <= time.monotonic() - began < 2


async def test_ledger_serves_the_owner_that_the_edge_names(bank: tuple[int, int], minter: Minter) -> None:
    metadata = tuple(judged(minter, GRPC_SERVICE).items())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{bank[1]}") as channel:
        ledger = bank_pb2_grpc.LedgerStub(channel)  # type: ignore[no-untyped-call]
        own = await ledger.Balance(bank_pb2.AccountRequest(account="1001"), metadata=metadata)
        watch = ledger.Watch(bank_pb2.AccountRequest(account="1001"), metadata=metadata)
        numbers = [(await watch.read()).sequence for _ in range(3)]
        watch.cancel()
        with pytest.raises(grpc.aio.AioRpcError) as foreign:
            await ledger.Balance(bank_pb2.AccountRequest(account="1002"), metadata=metadata)
        with pytest.raises(grpc.aio.AioRpcError) as unjudged:
            await ledger.Balance(bank_pb2.AccountRequest(account="1001"))
    assert own.cents == 1_250_000
    assert numbers == [0, 1, 2]
    assert foreign.value.code() is unjudged.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_every_account_of_the_cast_has_its_owner() -> None:
    owners = {number: account["owner"] for number, account in accounts().items()}
    assert {owners[number] for number in CAROLS} == {"person:carol"}
    assert len({owners[number] for number in FOREIGN}) == len(FOREIGN) == 400

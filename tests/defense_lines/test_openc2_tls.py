"""TLS to the broker, which both sides prove themselves to."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from defense_lines.agent.openc2_mqtt import Broker
from defense_lines.agent.openc2_seal import enrol
from defense_lines.lines.openc2_producer import Producer
from telemetry import Rejects, Topic, broker_tls, subscribe
from tests.authority import Authority
from tests.defense_lines.nftables_rig import namespaces
from tests.defense_lines.openc2_rig import (
    KEY,
    Filter,
    answering,
    block,
    consumers,
    counted,
    ids,
    mosquitto,
    orders,
    producer,
)

LOST = "portcullis_defense_lines_openc2_connections_lost_total"
HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
Trust = Callable[[], ssl.SSLContext]


class Bank:
    """An authority, a broker's certificate and a client's."""

    def __init__(self, folder: Path, name: x509.GeneralName = HERE) -> None:
        self.authority = Authority(folder, "bank")
        self.broker = self.authority.issue("broker", name)
        self.client = self.authority.issue("client", x509.DNSName("client"))
        self.stranger = Authority(folder, "stranger")

    @property
    def listener(self) -> str:
        certificate, key = self.broker
        files = f"cafile {self.authority.certificate}\ncertfile {certificate}\nkeyfile {key}"
        return f"{files}\nrequire_certificate true\nuse_identity_as_username true\nallow_anonymous false"

    @property
    def trust(self) -> Trust:
        return partial(broker_tls, self.authority.certificate, *self.client)


async def test_orders_go_and_answers_come_over_tls(tmp_path: Path) -> None:
    wall, bank = Filter(time.time), Bank(tmp_path)
    async with asyncio.timeout(20), mosquitto(tmp_path, bank.listener) as plain:
        broker = replace(plain, tls=bank.trust)
        async with consumers(broker, wall), producer(broker) as (line,):
            await answering(line)
            assert (await line.carry_out(orders(block(1)))).notes == ()
            assert wall.blocks == ids([block(1)])


async def lost_at_once(broker: Broker) -> None:
    """It never connects, and says so."""
    before, made = counted(LOST, why="broker"), Producer(broker, KEY)
    task = asyncio.create_task(made.run())
    while counted(LOST, why="broker") < before + 2:  # noqa: ASYNC110 - a counter tells nobody
        await asyncio.sleep(0.01)
    assert not made.connected.is_set()
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("why", ["another name", "another authority", "no certificate of ours", "not a file", "plain"])
async def test_who_is_not_proven_is_no_broker_and_no_client(tmp_path: Path, why: str) -> None:
    bank = Bank(tmp_path, x509.DNSName("mqtt.bank.example") if why == "another name" else HERE)
    trusts: dict[str, Trust | None] = {
        "another name": bank.trust,
        "another authority": partial(broker_tls, bank.stranger.certificate, *bank.client),
        "no certificate of ours": partial(broker_tls, bank.authority.certificate, None, None),
        "not a file": partial(broker_tls, tmp_path / "none.pem", None, None),
        "plain": None,
    }
    async with asyncio.timeout(20), mosquitto(tmp_path, bank.listener) as broker:
        await lost_at_once(replace(broker, tls=trusts[why]))


def test_nothing_older_than_tls_1_2_is_spoken(tmp_path: Path) -> None:
    context = Bank(tmp_path).trust()
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)


def test_the_program_speaks_tls(tmp_path: Path) -> None:
    async def story() -> None:
        bank, enrolment = Bank(tmp_path), tmp_path / "fw-0.enrolment"
        enrolment.write_bytes(msgspec.json.encode(enrol(KEY, "fw-0")))
        certificate, key = bank.client
        async with asyncio.timeout(40), mosquitto(tmp_path, bank.listener) as plain:
            broker = replace(plain, tls=bank.trust)
            files = ("--ca", str(bank.authority.certificate), "--certificate", str(certificate), "--key", str(key))
            module = ("-m", "defense_lines.agent.openc2_consumer", "--enrolment", str(enrolment))
            command = (*module, "--port", str(broker.port), *files)
            quiet = asyncio.subprocess.DEVNULL
            child = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=quiet, env=os.environ)
            async with producer(broker) as (line,):
                await answering(line)
                assert (await line.carry_out(orders(block(1)))).notes == ()
            child.terminate()
            assert await child.wait() == 0

    with namespaces(1) as (host,):
        host.loop(story())


async def test_reports_are_subscribed_to_over_tls(tmp_path: Path) -> None:
    bank, subscribed, stop = Bank(tmp_path), asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(20), mosquitto(tmp_path, bank.listener) as broker:
        topic = Topic(host=broker.host, port=broker.port, topic="reports/#", tls=bank.trust)
        told = subscribe(topic, lambda _: None, stop, rejects=Rejects(), on_subscribed=subscribed.set)
        task = asyncio.create_task(told)
        await subscribed.wait()
        stop.set()
        await task

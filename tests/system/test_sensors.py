"""Simulated sensors write what real ones would."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import datetime
from pathlib import Path

import aiomqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.demo import broker
from deploy.demo.children import Child
from deploy.demo.ports import free_ports
from deploy.demo.readiness import accepts
from deploy.demo.sensors import BranchSensor, credential_dump, exploit, publish, scan

NOW = 1_800_000_000.25


@given(st.integers())
def test_scan_is_eve_in_order_of_time(seed: int) -> None:
    lines = list(scan("198.51.100.7", "10.0.0.1", NOW, random.Random(seed)))
    times = [datetime.strptime(line["timestamp"], "%Y-%m-%dT%H:%M:%S.%f%z") for line in lines]
    assert times == sorted(times)
    assert {line["event_type"] for line in lines} == {"alert", "flow"}
    assert all(line["src_ip"] == "198.51.100.7" and line["event_type"] in line for line in lines)


def test_exploit_alerts_have_suricatas_fields() -> None:
    alert = next(exploit("198.51.100.7", "10.0.0.1", NOW, random.Random(1)))
    assert alert["timestamp"] == "2027-01-15T08:00:00.150000+0000"
    assert set(alert["alert"]) == {"action", "gid", "signature_id", "rev", "signature", "category", "severity"}


def test_sensor_appends_one_object_a_line(tmp_path: Path) -> None:
    sensor = BranchSensor(tmp_path / "eve.json", seed=1)
    written = sensor.scan("198.51.100.7", "10.0.0.1") + sensor.exploit("198.51.100.8", "10.0.0.1")
    lines = (tmp_path / "eve.json").read_text().splitlines()
    assert len(lines) == written
    assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.parametrize("kind", ["mosquitto", "amqtt"])
async def test_endpoint_report_arrives_over_either_broker(kind: str, tmp_path: Path) -> None:
    if kind == "mosquitto" and not broker.has_mosquitto():
        pytest.skip("needs mosquitto")
    (port,) = free_ports(1)
    amqtt = (sys.executable, "-m", "deploy.demo.broker", "--port", str(port))
    child = await (broker.start(port, tmp_path) if kind == "mosquitto" else Child.start(kind, *amqtt, folder=tmp_path))
    try:
        await accepts(port, child)
        report = credential_dump("laptop-tina", "person:tina", NOW)
        async with asyncio.timeout(10), aiomqtt.Client("127.0.0.1", port) as soc:
            await soc.subscribe("portcullis/telemetry/#", qos=1)
            await publish(port, report)
            message = await anext(aiter(soc.messages))
    finally:
        await child.stop()
    assert str(message.topic) == "portcullis/telemetry/endpoint/laptop-tina"
    assert isinstance(message.payload, bytes)
    assert json.loads(message.payload) == report

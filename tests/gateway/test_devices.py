"""Devices: what their agents report is what policy reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.devices import Devices
from policy import Principal
from telemetry import Event, EventBatch, parse_endpoint


def report(device: str, target: str, time: float, event: str = "posture") -> Event:
    line = json.dumps({"time": time, "host": device, "event": event, "target": target}).encode()
    parsed = parse_endpoint(line, "mqtt:endpoint")
    assert isinstance(parsed, Event)
    return parsed


def person(**attributes: Any) -> Principal:
    return Principal(id="person:ada", kind="person", issuer="i", attributes=attributes)


@pytest.fixture
def devices() -> Devices:
    made = Devices("device_id")
    made.saw(EventBatch.of([report("laptop-1", "compliant", 100.0), report("laptop-2", "disk_not_encrypted", 101.0)]))
    return made


def test_a_principal_has_the_posture_of_its_device(devices: Devices) -> None:
    assert devices.of(person(device_id="laptop-1")) == {"id": "laptop-1", "compliant": True, "seen": 100.0}
    assert devices.of(person(device_id="laptop-2")) == {"id": "laptop-2", "compliant": False, "seen": 101.0}


@pytest.mark.parametrize("attributes", [{}, {"device_id": "laptop-9"}, {"device_id": ["laptop-1"]}])
def test_who_names_no_known_device_has_none(devices: Devices, attributes: dict[str, Any]) -> None:
    assert devices.of(person(**attributes)) is None


def test_the_newest_report_counts_in_whatever_order_they_come(devices: Devices) -> None:
    devices.saw(EventBatch.of([report("laptop-1", "no_firewall", 120.0), report("laptop-1", "compliant", 110.0)]))
    assert devices.of(person(device_id="laptop-1")) == {"id": "laptop-1", "compliant": False, "seen": 120.0}


def test_other_events_say_nothing_of_posture(devices: Devices) -> None:
    devices.saw(EventBatch.of([report("laptop-1", "lsass.exe", 130.0, "process_access")]))
    assert devices.of(person(device_id="laptop-1")) == {"id": "laptop-1", "compliant": True, "seen": 100.0}

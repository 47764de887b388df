"""Refusals that repeat: one on record a minute, and a bound on how many different ones."""

from __future__ import annotations

from typing import Any

from gateway.refusals import Key, Refusals


def refused() -> dict[str, Any]:
    return {"rule": "rate", "repeated": 0}


def key(value: str, by: str = "detector:flow") -> Key:
    return Key("rate", "address", value, by)


def test_the_first_of_each_minute_is_recorded() -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    first = refused()
    assert refusals.first(key("192.0.2.1"), first)
    now = 59.0
    for _ in range(3):
        assert not refusals.first(key("192.0.2.1"), refused())
    assert first["repeated"] == 3
    now = 60.0
    assert refusals.first(key("192.0.2.1"), refused())


def test_one_that_could_not_be_recorded_is_recorded_when_it_comes_again() -> None:
    refusals = Refusals(lambda: 0.0)
    assert refusals.first(key("192.0.2.1"), refused())
    refusals.forget(key("192.0.2.1"))
    assert refusals.first(key("192.0.2.1"), refused())


def test_a_flood_of_different_ones_is_bounded() -> None:
    now = 0.0
    refusals = Refusals(lambda: now)
    recorded = sum(refusals.first(key(str(number)), refused()) for number in range(5000))
    assert recorded == 1024
    assert refusals.first(key("192.0.2.1", "analyst:jo as root"), refused())  # people are apart
    now = 61.0
    assert refusals.first(key("later"), refused())

"""Models trained once for all tests of this floor, and short ways to write events."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detectors import train_all
from telemetry import Event, EventBatch, Kind

MakeBatch = Callable[..., EventBatch]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shelf of trained models, seed 1: trained by the first of pytest's processes that asks, for all of them."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder = run / "models"
    with (run / "models.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        train_all(folder, 1)
    return folder


@pytest.fixture(scope="session")
def rows() -> MakeBatch:
    """`rows(times, actor=…, resource=[…])`: a batch of requests; a list is one value a row, the rest is for all."""

    def make(times: list[float], **columns: Any) -> EventBatch:
        fixed: dict[str, Any] = {"kind": Kind.REQUEST, "source": "edge"} | columns
        return EventBatch.of(
            [
                Event(
                    time=time,
                    **{name: value[row] if isinstance(value, list) else value for name, value in fixed.items()},
                )
                for row, time in enumerate(times)
            ]
        )

    return make

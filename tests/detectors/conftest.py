"""A shelf with the default models for all tests of this floor, and short ways to write events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detectors import put_defaults
from telemetry import Event, EventBatch, Kind

MakeBatch = Callable[..., EventBatch]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shelf with the default models in force."""
    folder = tmp_path_factory.mktemp("shelf") / "models"
    put_defaults(folder)
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

from pathlib import Path

import pytest

from telemetry import Event, EventBatch, Kind


@pytest.fixture
def data() -> Path:
    """The shared data sets, which are not part of the project."""
    path = Path(__file__).parents[3] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("needs ../shared/data")
    return path


@pytest.fixture
def batch() -> EventBatch:
    return EventBatch.of([Event(time=float(n + 1), kind=Kind.FLOW, source="s", peer=f"h{n}") for n in range(3)])

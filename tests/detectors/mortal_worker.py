"""A detector process that a test kills: `python -m tests.detectors.mortal_worker SOCKET FOLDER MODELS`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from detectors import Recorded, default_pipeline, recorded, work

CAPACITY = 131_072  # so that no filter takes a new thing for a known one


async def main(socket: Path, folder: Path, models: Path) -> None:
    """Until it is killed."""
    recorded.EVERY = 0.05  # seconds: so that many deaths fall into a checkpoint
    await work(socket, Recorded(default_pipeline(models, capacity=CAPACITY), folder), asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))

"""The detectors' process, as `portcullis run detectors` is: `python -m bench.eventing.worker SOCKET STATE MODELS PORT`,
with its metrics on that port.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop
from prometheus_client import start_http_server

from detectors import Recorded, default_pipeline, keep_freed, kept_key, settle, work

CAPACITY = 262_144


async def main(socket: Path, state: Path, models: Path) -> None:
    """Until it is killed."""
    keep_freed()
    pipeline = default_pipeline(models, capacity=CAPACITY, key=kept_key(state))
    judge = Recorded(pipeline, state)
    settle()
    await work(socket, judge, asyncio.Event())


if __name__ == "__main__":
    start_http_server(int(sys.argv[4]), "127.0.0.1")
    uvloop.run(main(*map(Path, sys.argv[1:4])))

"""Trains the demo's detectors, once for each state of their sources."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.demo.cast import ROOT
from deploy.demo.children import Child

SEED = 7


class TrainingFailed(Exception):
    """The detectors could not be trained; the message ends with what they said."""


async def models(folder: Path, say: Callable[[str], None]) -> Path:
    """The folder of trained models, trained now if need be. Raises TrainingFailed."""
    trained = ROOT / ".portcullis" / "demo-models" / _revision()
    if trained.is_dir():
        say("detectors were trained by an earlier run")
        return trained
    unfinished = folder / "models"
    unfinished.mkdir()
    command = (sys.executable, "-m", "deploy.demo.training", "--folder", str(unfinished))
    child = await Child.start("training", *command, folder=folder / "logs", piped=True)
    assert child.process.stdout is not None
    try:
        async for line in child.process.stdout:
            say(f"training detectors, {line.decode().strip()}")
        if await child.process.wait() != 0:
            raise TrainingFailed(child.log.read_text(errors="replace")[-2000:])
    finally:
        await child.stop()
    _keep(unfinished, trained)
    return trained


def _keep(unfinished: Path, trained: Path) -> None:
    """Copy to `trained` in one step, so that whoever finds that folder finds all of it."""
    trained.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=trained.parent) as copying:
        whole = shutil.copytree(unfinished, Path(copying) / "models")
        try:
            whole.rename(trained)
        except OSError:
            if not trained.is_dir():  # if it is, another run was first, with the same
                raise


def _revision() -> str:
    learned = ("features", "models", "simulator")  # the rooms that decide what a model is
    sources = sorted(path for room in learned for path in (ROOT / "detectors" / room).glob("*.py"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(ROOT).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def _tell(what: str, share: float) -> None:
    sys.stdout.write(f"{share:.0%} {what}\n")
    sys.stdout.flush()


def main() -> None:
    """Train into `--folder`."""
    import structlog

    import detectors

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    detectors.train_all(options.parse_args().folder, SEED, _tell)


if __name__ == "__main__":
    main()

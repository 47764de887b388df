"""Trains the demo's detectors, once for each state of their sources."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from pathlib import Path

from deploy.demo.cast import ROOT
from deploy.demo.children import Child

SEED = 7


class TrainingFailed(Exception):
    """The detectors could not be trained; the message ends with what they said."""


async def models(folder: Path) -> tuple[Path, bool]:
    """The folder of trained models and whether they were there already. Raises TrainingFailed."""
    trained = ROOT / ".portcullis" / "demo-models" / _revision()
    if trained.is_dir():
        return trained, True
    unfinished = folder / "models"
    unfinished.mkdir()
    command = (sys.executable, "-m", "deploy.demo.training", "--folder", str(unfinished))
    child = await Child.start("training", *command, folder=folder / "logs")
    try:
        if await child.process.wait() != 0:
            raise TrainingFailed(child.log.read_text(errors="replace")[-2000:])
    finally:
        await child.stop()
    trained.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(unfinished, trained, dirs_exist_ok=True)
    return trained, False


def _revision() -> str:
    sources = sorted((ROOT / "detectors").rglob("*.py"))
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.relative_to(ROOT).as_posix().encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def main() -> None:
    """Train into `--folder`."""
    import detectors

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--folder", type=Path, required=True)
    detectors.train_all(options.parse_args().folder, SEED, lambda words: sys.stderr.write(f"{words}\n"))


if __name__ == "__main__":
    main()

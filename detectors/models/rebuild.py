"""Trains the models that Portcullis comes with, anew: `make models`."""

from __future__ import annotations

import shutil
import sys

from detectors.models.defaults import TRAINED
from detectors.models.model import Model
from detectors.models.tasks import TASKS
from detectors.models.traffic import simulated
from detectors.models.training import train

SEED = 1


def main(names: list[str]) -> None:
    """Those of the schemas named, or all."""
    for name in names or TASKS:
        task = TASKS[name]
        _write(train(task, SEED, simulated(task, SEED), _tell))


def _write(model: Model) -> None:
    folder = TRAINED / model.card.schema.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, body in model.unsigned().items():
        (folder / name).write_bytes(body)
    sys.stdout.write(f"{model.card.revision}: threshold {model.card.threshold:.3f}, {model.card.test}\n")


def _tell(what: str, share: float) -> None:
    sys.stderr.write(f"{share:.0%} {what}\n")


if __name__ == "__main__":
    main(sys.argv[1:])

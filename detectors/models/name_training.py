"""Trains a model of names, from traffic: what was asked for tells the names, who asked tells the families.

The names alone decide what is learnt; the card counts addresses, as the detector judges them.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from detectors.models.card import Evaluation
from detectors.models.heard import Heard
from detectors.models.model import Model
from detectors.models.naming import learn_names
from detectors.models.progress import Progress
from detectors.models.refused import DataRefused
from detectors.models.tasks import Task
from detectors.models.traffic import Parts
from detectors.simulator.names import NamesOf

_FAMILIES = 2  # to learn from, at least: each is asked about by who learnt from the others
_ORDINARY = 100  # names


def train_names_of(task: Task, seed: int, parts: Parts, tell: Progress) -> Model:
    """A model of names. Same seed, same traffic and same libraries: the same model, to the byte.

    Raises DataRefused where there is too little of either class to learn from.
    """
    tell("name: watching traffic", 0.0)
    training, learnt_from = parts.training.watched(Heard.of, "training")
    validation, chosen_by = parts.validation.watched(Heard.of, "validation")
    test, tested_by = parts.test.watched(Heard.of, "test")
    tell("name: learning", 0.3)
    shown, chosen, asked = (_enough(part.origins()) for part in (training, validation, test))
    model = learn_names(shown, chosen, asked, seed).model
    tell("name: testing", 0.7)
    lineage = replace(
        model.card.lineage,
        simulator=parts.simulator,
        traffic=(learnt_from, chosen_by, tested_by),
        files=parts.training.files,
    )
    card = replace(
        model.card,
        lineage=lineage,
        validation=validation.judged(model),
        test=test.judged(model),
        intended_use=task.intended_use,
        limits=(*task.limits, _alone(model.card.test)),
    )
    return Model(model.booster, card.sealed())


def _enough(origins: Sequence[NamesOf]) -> Sequence[NamesOf]:
    people, *families = origins
    if len(people.names) < _ORDINARY or len(families) < _FAMILIES:
        raise DataRefused(
            f"name: {len(people.names)} ordinary names and {len(families)} addresses with hostile ones in a part, and "
            f"{_ORDINARY} and {_FAMILIES} are needed"
        )
    return origins


def _alone(test: Evaluation) -> str:
    return (
        f"Of one name alone it is not sure: on the test traffic {test.true_positive_rate:.1%} of the made names are "
        f"strange to it, and {test.false_positive_rate:.2%} of the others."
    )

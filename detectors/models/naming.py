"""A model of names: two languages, and an ensemble of trees over what a name looks like beside them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xgboost
from numpy.typing import NDArray

from detectors.features.labels import LETTERS, Labels, labels
from detectors.features.language import BINS, Language
from detectors.features.names import ENDINGS, NAMES, Languages
from detectors.models import calibration
from detectors.models.card import Card, Evaluation, Lineage, Schema
from detectors.models.model import Model, margins, raw, warm
from detectors.models.refused import ModelRefused
from detectors.simulator.lexicon import sources
from detectors.simulator.names import NamesOf

NAME = Schema("name", 1, NAMES)
_PARAMETERS: dict[str, float | int | str] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": 5,
    "eta": 0.1,
    "max_bin": 128,
    "min_child_weight": 5,
    "subsample": 0.8,
    "colsample_bytree": 0.4,
    "nthread": 1,
}
_ROUNDS = 200
_PARTS = 5  # in which the languages are learnt without the names that they are then asked about
_ACCUSED = 0.01  # share of ordinary names that may be called strange
_LIKELY = 0.5  # chance from which a name that does not exist counts
_LANGUAGES = "languages"  # the booster's attribute that holds them, so that the model's hash covers them


@dataclass(frozen=True, slots=True)
class NameModel:
    """Judges names. Scoring never changes it."""

    languages: Languages
    model: Model
    likely: float = _LIKELY

    @classmethod
    def of(cls, model: Model) -> NameModel:
        """Read the languages out of a loaded model. Raises ModelRefused where there are none."""
        try:
            return cls(_languages(model.booster.attr(_LANGUAGES) or ""), model)
        except (ValueError, TypeError) as error:
            raise ModelRefused(f"a model of names without its languages: {error}") from error

    @property
    def strange(self) -> float:
        """The chance that one ordinary name in a hundred reaches."""
        return self.model.card.threshold

    @property
    def revision(self) -> str:
        """The model's."""
        return self.model.card.revision

    def chance(self, names: Sequence[str]) -> NDArray[np.float64]:
        """Calibrated probability that an algorithm made each name, as many made as not; 0 for what is not judged."""
        return self.judge(labels(names))

    def judge(self, found: Labels) -> NDArray[np.float64]:
        """The same of labels."""
        chance = np.zeros(len(found))
        rows = np.flatnonzero(found.length > 0)
        if len(rows):
            chance[rows] = self.model.score(self.languages.matrix(found.take(rows)))
        return chance


def learn_names(
    training: Sequence[NamesOf], validation: Sequence[NamesOf], test: Sequence[NamesOf], seed: int
) -> NameModel:
    """Learn from some origins, calibrate and choose the threshold on others, and test on yet others.

    Same origins, same seed, same libraries: the same model. The card counts names, and has no traffic yet.
    """
    found, made, family = _table(training)
    matrix = _unfamiliar(found, made, _parts(made, family, np.random.default_rng((seed, 7))))
    parameters = {**_PARAMETERS, "seed": seed}
    booster = xgboost.train(parameters, xgboost.QuantileDMatrix(matrix, made, max_bin=128, nthread=1), _ROUNDS)
    languages = Languages.of(found, made)
    booster.set_attr(**{_LANGUAGES: _packed(languages)})
    sha256 = hashlib.sha256(raw(booster)).hexdigest()
    booster = warm(booster, len(NAMES), "cpu")
    shown, truth, _ = _table(validation)
    values = margins(booster, languages.matrix(shown))
    scale = calibration.fit(values, truth)
    chances = calibration.probability(scale, values)
    limit = calibration.threshold(chances[~truth], _ACCUSED, 0.5)
    asked, hidden, _ = _table(test)
    answers = calibration.probability(scale, margins(booster, languages.matrix(asked)))
    card = Card(
        schema=NAME,
        sha256=sha256,
        threshold=limit,
        threshold_choice=_choice(truth),
        calibration=scale,
        reliability=calibration.reliability(answers, hidden),
        lineage=Lineage(
            seed=seed,
            simulator="",
            libraries={"numpy": np.__version__, "xgboost": xgboost.__version__} | sources(),
            parameters=parameters | {"num_boost_round": _ROUNDS},
            rows=len(made),
            traffic=(),
        ),
        validation=_evaluation(chances >= limit, truth),
        test=_evaluation(answers >= limit, hidden),
        intended_use="Tells names that an algorithm made from those that people chose.",
        limits=(),
    )
    return NameModel(languages, Model(booster, card.sealed()))


def _choice(made: NDArray[np.bool_]) -> str:
    return (
        f"the lowest from 0.5 up that at most {_ACCUSED:.0%} of the {int((~made).sum())} ordinary names of the "
        "validation traffic reach, and a tenth of the way from there to 1; the test traffic had no say"
    )


def _evaluation(strange: NDArray[np.bool_], made: NDArray[np.bool_]) -> Evaluation:
    """Counted by name, each judged alone: events and seconds have no meaning here."""
    return Evaluation(
        attackers=int(made.sum()),
        caught=int(strange[made].sum()),
        honest=int((~made).sum()),
        accused=int(strange[~made].sum()),
        events_until_caught=None,
        events_until_caught_p95=None,
        seconds_until_caught=None,
        seconds_until_caught_p95=None,
    )


def _table(origins: Sequence[NamesOf]) -> tuple[Labels, NDArray[np.bool_], NDArray[np.int64]]:
    """Labels, whether each is made, and a number for its origin; what cannot be judged is left out."""
    sizes = [len(origin.names) for origin in origins]
    found = labels([name for origin in origins for name in origin.names])
    made = np.repeat([origin.made for origin in origins], sizes)
    family = np.repeat(np.arange(len(origins)), sizes)
    kept = found.length > 0
    return found.take(kept), made[kept], family[kept]


def _parts(made: NDArray[np.bool_], family: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """A part for each row: a family is in one part whole, what people chose is spread over all."""
    place = rng.permutation(int(family.max()) + 1) % _PARTS
    return np.where(made, place[family], rng.integers(0, _PARTS, len(made)))


def _unfamiliar(found: Labels, made: NDArray[np.bool_], part: NDArray[np.int64]) -> NDArray[np.float32]:
    """[rows, NAMES] of each row beside languages that know neither it nor its family."""
    matrix = np.empty((len(found), len(NAMES)), np.float32)
    for number in range(_PARTS):
        asked = part == number
        matrix[asked] = Languages.of(found.take(~asked), made[~asked]).matrix(found.take(asked))
    return matrix


def _packed(languages: Languages) -> str:
    parts = (languages.ordinary, languages.made)
    arrays = [array for one in parts for array in (one.trigrams, one.seen)]
    return base64.b85encode(b"".join(array.tobytes() for array in (*arrays, languages.ends, languages.tops))).decode()


def _languages(text: str) -> Languages:
    """Raises ValueError where the text is something else."""
    body = base64.b85decode(text)
    halves = np.frombuffer(body, np.uint8)
    sizes = np.cumsum([*(_SIZES * 2), _ENDS_SIZE, _ENDS_SIZE])
    if len(body) != sizes[-1]:
        raise ValueError("of another size")
    parts = np.split(halves, sizes[:-1])
    one, other = (_language(parts[place].tobytes(), parts[place + 1].tobytes()) for place in (0, 2))
    ends, tops = (part.view(np.float16).reshape(2, -1) for part in parts[4:])
    return Languages(one, other, ends, tops)


def _language(trigrams: bytes, seen: bytes) -> Language:
    cube = np.frombuffer(trigrams, np.float16).reshape(LETTERS, LETTERS, LETTERS)
    return Language(cube, np.frombuffer(seen, np.uint8).reshape(2, BINS))


_SIZES = (2 * LETTERS**3, 2 * BINS)  # bytes of a language's tables
_ENDS_SIZE = 2 * 2 * ENDINGS

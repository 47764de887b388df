"""An XGBoost model with its card: saved as UBJSON, verified before it is parsed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import xgboost
from numpy.typing import NDArray

from detectors.arrays import Array, Device
from detectors.models.calibration import probability
from detectors.models.card import Card, Schema

MODEL, CARD = "model.ubj", "card.json"


class ModelRefused(Exception):
    """A model that may not judge anybody; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Model:
    """A trained ensemble. Scoring never changes it."""

    booster: xgboost.Booster
    card: Card

    def score(self, matrix: Array) -> NDArray[np.float64]:
        """Calibrated probability for each row of [rows, features], on whichever device the matrix lies."""
        return probability(self.card.calibration, margins(self.booster, matrix))

    def contributions(self, matrix: NDArray[np.float64]) -> NDArray[np.float32]:
        """TreeSHAP: what each feature added to each row's margin. [rows, features], without the bias."""
        rows = xgboost.DMatrix(matrix, nthread=1)
        parts: NDArray[np.float32] = self.booster.predict(rows, pred_contribs=True)
        return parts[:, :-1]

    def save(self, folder: Path) -> None:
        """Write model and card into a folder; the card last, so that a torn write is found."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CARD).unlink(missing_ok=True)
        (folder / MODEL).write_bytes(raw(self.booster))
        (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(self.card), indent=2) + b"\n")


def load(folder: Path, schema: Schema, device: Device = "cpu") -> Model:
    """Read a model that fits a schema. Raises ModelRefused if it is missing, altered, unreadable or of another."""
    card = _card(folder / CARD)
    if card.schema != schema:
        raise ModelRefused(f"{folder / CARD}: of another schema than {schema.name} version {schema.version}")
    try:
        body = (folder / MODEL).read_bytes()
    except OSError as error:
        raise ModelRefused(f"{folder / MODEL}: {error.strerror}") from error
    if hashlib.sha256(body).hexdigest() != card.sha256:
        raise ModelRefused(f"{folder / MODEL}: altered, its SHA-256 is not the card's")
    try:
        booster = warm(xgboost.Booster(model_file=bytearray(body)), len(schema.features), device)
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise ModelRefused(f"{folder / MODEL}: no model of this schema: {error}") from error
    return Model(booster, card)


def warm(booster: xgboost.Booster, features: int, device: Device) -> xgboost.Booster:
    """One thread, one device, and the first prediction done, which is the slow one."""
    booster.set_param({"nthread": 1, "device": "cuda" if device == "gpu" else "cpu"})
    booster.inplace_predict(np.zeros((1, features)), predict_type="margin", validate_features=False)
    booster.predict(xgboost.DMatrix(np.zeros((1, features)), nthread=1), pred_contribs=True)
    return booster


def margins(booster: xgboost.Booster, matrix: Array) -> NDArray[np.float64]:
    """The ensemble's log-odds for each row, in main memory."""
    values = booster.inplace_predict(matrix, predict_type="margin", validate_features=False)
    return np.asarray(values.get() if hasattr(values, "get") else values, np.float64)


def raw(booster: xgboost.Booster) -> bytes:
    """The model as UBJSON."""
    return bytes(booster.save_raw("ubj"))


def _card(path: Path) -> Card:
    try:
        card = msgspec.json.decode(path.read_bytes(), type=Card)
    except OSError as error:
        raise ModelRefused(f"{path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelRefused(f"{path}: not a model card: {error}") from error
    if card.revision != card.seal():
        raise ModelRefused(f"{path}: altered, its revision does not fit")
    return card

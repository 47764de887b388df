"""Models as people read them: a row in a list, a card, and results side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from detectors import Evaluation
    from detectors.models import Card, Comparison, Entry, History

Row = dict[str, Any]


def listed(entry: Entry, people: bool) -> Row:
    """One revision in a list; for programs with its evaluation."""
    card = entry.card
    row: Row = {"revision": entry.revision, "created": entry.created, "in_force": entry.in_force}
    row["made_from"] = (
        (f"simulator {card.lineage.simulator}" if not card.lineage.files else _files(card)) if card else ""
    )
    row["seed"] = card.lineage.seed if card else None
    row["threshold"] = card.threshold if card else None
    if people:
        row["threshold"] = f"{card.threshold:.3f}" if card else None
        row |= compared(card.test) if card else {}
        row["evaluated"] = _verdict(entry.evaluated)
    else:
        row["test"] = msgspec.to_builtins(card.test) if card else None
        row["evaluated"] = msgspec.to_builtins(entry.evaluated)
        row["signed_by"] = entry.signer
    return row | {"refused": entry.refused}


def shown(card: Card, signer: str, history: History, evaluated: Comparison | None) -> Row:
    """A card, a line for each thing that one would ask."""
    lineage, schema = card.lineage, card.schema
    calibration = (
        f"slope {card.calibration.slope:.3g}, offset {card.calibration.offset:.3g}, fitted on validation traffic"
    )
    return {
        "revision": card.revision,
        "in_force": history.in_force == card.revision,
        "schema": f"{schema.name} version {schema.version}, {len(schema.features)} features",
        "signed_by": signer,
        "sha256": card.sha256,
        "intended_use": card.intended_use,
        "made_from": _files(card) if lineage.files else f"simulator {lineage.simulator}",
        "seed": lineage.seed,
        "libraries": _pairs(lineage.libraries),
        "parameters": _pairs(lineage.parameters),
        "threshold": f"{card.threshold:.3f}: {card.threshold_choice}",
        "calibration": calibration,
        "calibration_error": f"{card.reliability.error:.4f} on test traffic (expected calibration error, by tenths)",
        "evaluated": _verdict(evaluated),
        "limits": "",
        **{f"  {number}": limit for number, limit in enumerate(card.limits, 1)},
        "results": [{"on": "validation"} | compared(card.validation), {"on": "test"} | compared(card.test)],
        "reliability": [
            {"said": f"{one.chance:.3f}", "was": f"{one.hostile:.3f}", "rows": one.rows}
            for one in card.reliability.bins
        ],
        "traffic": [msgspec.to_builtins(part) for part in lineage.traffic],
        "promotions": [
            msgspec.to_builtins(one) for one in history.promotions if card.revision in (one.revision, one.before)
        ],
    }


def compared(result: Evaluation) -> Row:
    """What an evaluation counted, by subject."""
    return {
        "caught": _share(result.caught, result.attackers),
        "accused": _share(result.accused, result.honest),
        "after_events": _median(result.events_until_caught, result.events_until_caught_p95),
        "after_seconds": _median(result.seconds_until_caught, result.seconds_until_caught_p95),
    }


def _share(count: int, of: int) -> str:
    """With the interval in which the true share lies: of few, much is possible."""
    from detectors.models import wilson

    low, high = wilson(count, of)
    return f"{count} of {of} ({low:.1%} to {high:.1%})"


def _median(median: float | None, p95: float | None) -> str:
    return "-" if median is None else f"{median:.3g} (p95 {p95:.3g})"


def _files(card: Card) -> str:
    return ", ".join(f"{file.name} ({file.events} events, {file.hostile} hostile)" for file in card.lineage.files)


def _pairs(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _verdict(told: Comparison | None) -> str:
    if told is None:
        return "no"
    against = f" than {told.against}" if told.against else ", for nothing was in force"
    return ("worse" if told.worse else "no worse") + against + f" on {told.traffic.source}"

"""Cases that are measured as they are: the hard one, and OPA's own. Their inputs are few."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.decisions import rust
from bench.decisions.case import Case, must_agree
from bench.decisions.opa import LEVELS, Opa
from bench.decisions.ours import Ours
from bench.decisions.timing import p50, times

SECONDS = 0.3  # for which an engine is asked, at least

Figures = dict[str, float]


def single(case: Case, folder: Path) -> tuple[Figures, Figures]:
    """Figures and ratios of a case with one input, by its name. Raises CannotRun if answers differ."""
    document, opa, ours = case.inputs[0], Opa(case, folder), Ours(case)
    expected = [ours.answer(document)]
    for level in LEVELS:
        must_agree(case, {"ours": expected, f"OPA at -O={level}": opa.answers(level)})
    forms, _ = rust.agreeing(case, expected)
    before = _asked(ours.ask, document)
    theirs = min((opa.bench(document, mode) for mode in opa.modes), key=lambda found: found.best)
    figures = {f"{case.name}_opa_us": theirs.best, f"{case.name}_opa_median_us": theirs.median}
    if forms:
        figures[f"{case.name}_regorus_us"] = min(p50(_asked(form.ask, form.questions[0])) for form in forms)
    own = p50(before + _asked(ours.ask, document))
    ratios = {f"{case.name}_opa_engine": theirs.best / own}
    if forms:
        ratios[f"{case.name}_regorus"] = figures[f"{case.name}_regorus_us"] / own
    return {f"{case.name}_us": own} | figures, ratios


def _asked(ask: Callable[[Any], Any], question: Any) -> list[int]:
    found, end = times(ask, [question]), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        found += times(ask, [question], 10)
    return found

"""The starter policy at the bank: ours and its peers take turns. Before and after each peer, ours is measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opa_client import AsyncOpaClient

from bench.decisions import rust
from bench.decisions.case import Case, must_agree
from bench.decisions.opa import FAST_STORE, LEVELS, Mode, Opa
from bench.decisions.ours import Ours
from bench.decisions.requests import requests
from bench.decisions.starter import one_of_each
from bench.decisions.timing import p50, p99, settle, times
from bench.result import CannotRun
from policy import Bundle, Pdp, embedded_pdp

PASSES = 2  # of ours over all requests, before and after a peer
REPEATS = 1000  # of ours on an input that OPA's engine is measured on, before and after
SHOWN = ("own account", "own payment", "agent's payment", "teller's payment", "staff's read", "foreign account")
SERVED = Mode("0", FAST_STORE)

Figures = dict[str, float]


@dataclass(frozen=True)
class Sides:
    """Everything that takes turns, prepared and in agreement."""

    case: Case
    ours: Ours
    pdp: Pdp
    expected: Sequence[Any]
    regorus: Mapping[str, rust.Form]  # by name of the figure: the fastest form, and the fastest by its interpreter
    wrong: Mapping[str, str]  # forms that are left out, and why
    opa: Opa
    mode: Mode  # the fastest of OPA
    shown: Sequence[Any]  # inputs that OPA's engine is measured on


def prepare(case: Case, opa: Opa) -> Sides:
    """Compile for all, and see that all say the same of every input. Raises CannotRun."""
    ours = Ours(case)
    expected = [ours.answer(document) for document in case.inputs]
    for level in LEVELS:
        must_agree(case, {"ours": expected, f"OPA at -O={level}": opa.answers(level)})
    forms, wrong = rust.agreeing(case, expected)
    interpreted = [form for form in forms if form.name.startswith("interpreter")]
    if not interpreted:
        raise CannotRun(f"{case.name}, regorus: {wrong}")
    regorus = {"regorus": rust.fastest(forms), "regorus_interpreter": rust.fastest(interpreted)}
    pdp = embedded_pdp(Bundle(case.sources, case.data))
    where = one_of_each(len(case.data["principals"]))
    shown = [case.inputs[where[kind]] for kind in SHOWN]
    settle()
    return Sides(case, ours, pdp, expected, regorus, wrong, opa, opa.best_mode(shown[:2]), shown)


async def rounds(sides: Sides, count: int, say: Callable[[str], None]) -> list[tuple[Figures, Figures]]:
    """Figures and ratios of so many rounds, after one that is thrown away. Raises CannotRun."""
    found = []
    async with sides.opa.serve(SERVED) as client:
        for number in range(count + 1):
            found.append(await _round(sides, client, backwards=bool(number % 2)))
            figures, ratios = found[-1]
            told = ", ".join(f"{name} {value:.1f}" for name, value in ratios.items())
            say(f"{f'round {number}' if number else 'warm-up'}: p50 {figures['p50_us']:.2f} µs, {told}")
    return found[1:]


async def _round(sides: Sides, client: AsyncOpaClient, *, backwards: bool) -> tuple[Figures, Figures]:
    own: list[int] = []
    figures: Figures = _door(sides)
    ratios: Figures = {}
    peers = ["opa_engine", *sides.regorus, "opa_rest"]
    for peer in reversed(peers) if backwards else peers:
        if peer == "opa_engine":
            more = _engine(sides)
            figures |= more[0]
            ratios |= more[1]
            continue
        before = times(sides.ours.ask, sides.case.inputs, PASSES)
        theirs = p50(await _rest(sides, client) if peer == "opa_rest" else sides.regorus[peer].times())
        around = before + times(sides.ours.ask, sides.case.inputs, PASSES)
        figures[f"{peer}_us"] = theirs
        ratios[peer] = theirs / p50(around)
        own += around
    in_turn = times(sides.ours.ask, sides.case.inputs, PASSES, warm=0)
    figures |= {"p50_in_turn_us": p50(in_turn), "p99_in_turn_us": p99(in_turn)}
    return {"p50_us": p50(own), "p99_us": p99(own)} | figures, ratios


def _door(sides: Sides) -> Figures:
    asked = [request for _, request in requests(len(sides.case.data["principals"]))]
    door = times(sides.pdp.decide, asked, PASSES)
    return {"door_p50_us": p50(door), "door_p99_us": p99(door)}


def _engine(sides: Sides) -> tuple[Figures, Figures]:
    """OPA's engine on each shown input; the median over them."""
    measured = []
    for document in sides.shown:
        before = times(sides.ours.ask, [document], REPEATS)
        found = sides.opa.bench(document, sides.mode)
        measured.append((found, p50(before + times(sides.ours.ask, [document], REPEATS))))
    middle = statistics.median
    figures = {
        "opa_engine_us": middle(found.best for found, _ in measured),
        "opa_engine_median_us": middle(found.median for found, _ in measured),
        "opa_engine_mean_us": middle(found.mean for found, _ in measured),
    }
    ratios = {
        "opa_engine": middle(found.best / own for found, own in measured),
        "opa_engine_median": middle(found.median / own for found, own in measured),
    }
    return figures, ratios


async def _rest(sides: Sides, client: AsyncOpaClient) -> list[int]:
    """Every request over REST, one after the other; the answers are compared as well."""
    package, _, rule = sides.case.entrypoint.rpartition("/")
    found, answers = [], []
    for document in sides.case.inputs:
        start = time.perf_counter_ns()
        answer = await client.query_rule(document, package, rule)
        found.append(time.perf_counter_ns() - start)
        answers.append(answer.get("result"))
    must_agree(sides.case, {"ours": sides.expected, "OPA's server": answers})
    return found

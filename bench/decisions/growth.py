"""Does a decision take longer the more principals there are, and what does it cost to change one of them?"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.decisions.bank import BLOCK, LIMITED, account, person
from bench.decisions.case import Case
from bench.decisions.ours import Ours
from bench.decisions.requests import NOW, SCOPES, SEED, requests
from bench.decisions.starter import starter
from bench.decisions.timing import p50, settle, times
from bench.result import CannotRun
from policy import AccessRequest, Bundle, Principal, embedded_pdp
from policy.question import access_input

PASSES = 5
PATCHES = 500


def growth(sizes: Sequence[int], rounds: int) -> tuple[dict[str, float], Case]:
    """p50 in microseconds by size, of requests by the same hundred principals, and by any of the largest bank; and that
    bank.
    """
    cases = {size: starter(size, known=True) for size in sizes}
    engines = {size: Ours(case) for size, case in cases.items()}
    asked = {f"growth_{size}_us": (engines[size].ask, cases[size].inputs) for size in sizes}
    anybody = [access_input(request) for _, request in requests(sizes[-1])]
    asked[f"spread_{sizes[-1]}_us"] = (engines[sizes[-1]].ask, anybody)
    settle()
    return _in_turns(asked, rounds), cases[sizes[-1]]


def _in_turns(asked: Mapping[str, tuple[Callable[[Any], Any], Sequence[Any]]], rounds: int) -> dict[str, float]:
    found: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(rounds + 1):
        for name, (ask, inputs) in asked.items():
            measured = p50(times(ask, inputs, PASSES))
            if number:  # the first round warms up
                found[name].append(measured)
    return {name: statistics.median(values) for name, values in found.items()}


def patches(case: Case) -> list[float]:
    """Milliseconds of each patch that suspends one principal, or ends that; the next decision must know. Raises
    CannotRun.
    """
    pdp = embedded_pdp(Bundle(case.sources, case.data))
    settle()
    rng, found = random.Random(SEED), []
    for _ in range(PATCHES):
        block, one = rng.randrange(len(case.data["principals"]) // BLOCK), rng.choice(LIMITED)
        path = f"/principals/{person(block, one)}/status"
        for status, effect in (("suspended", "deny"), ("active", "allow")):
            start = time.perf_counter()
            pdp.patch_data([{"op": "replace", "path": path, "value": status}])
            found.append((time.perf_counter() - start) * 1000)
            if pdp.decide(_reads_own_account(block, one)).effect != effect:
                raise CannotRun(f"{path} is {status}, and the next decision is not {effect}")
    return found


def _reads_own_account(block: int, one: int) -> AccessRequest:
    who = Principal(id=person(block, one), kind="person", issuer="bank", scopes=SCOPES)
    return AccessRequest(principal=who, action="GET", service="bank", path=f"/accounts/{account(block, one)}", time=NOW)

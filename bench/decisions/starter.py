"""The starter policy at a bank of any size, as a case."""

from __future__ import annotations

from bench.decisions.bank import document
from bench.decisions.case import Case
from bench.decisions.requests import REQUESTS, requests
from policy import read_bundle
from policy.question import access_input
from policy.revision import ACCESS


def starter(principals: int, count: int = REQUESTS, *, known: bool = False) -> Case:
    """So many principals, a multiple of a hundred, and requests as `requests` draws them."""
    inputs = [access_input(request) for _, request in requests(principals, count, known=known)]
    return Case("starter", read_bundle().sources, document(principals), ACCESS, inputs)


def one_of_each(principals: int) -> dict[str, int]:
    """Where the first request of each kind stands."""
    kinds = [kind for kind, _ in requests(principals)]
    return {kind: kinds.index(kind) for kind in dict.fromkeys(kinds)}

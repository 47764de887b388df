"""Identification: how many requests a second one core knows who sent, against plain PyJWT on each request.

Tokens of each algorithm that were never seen (`cold`) and that were (`remembered`), tokens bound to a key with a proof
each (DPoP), client certificates, requests that an agent signed. The peer decodes each token with `jwt.decode`, its key
at hand, checking signature, issuer, audience, expiry and required claims. Rounds are interleaved; a ratio is ours over
the peer's within a round, the median over rounds. Memory is measured in a process of its own.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version

import jwt

from bench.decisions.timing import settle
from bench.identities.callers import AUDIENCE, KINDS, Bank, Signs
from bench.machine import facts
from bench.result import CannotRun, Result, line, table
from gateway.identity import Credentials
from policy import Principal

BATCH = 400  # requests of each kind in a round
REQUIRED = ["exp", "iat", "iss", "sub", "aud", "jti", "client_id"]


def main(arguments: Sequence[str]) -> int:
    """`python -m bench identity [--json] [--rounds N] [--quick]`."""
    parser = argparse.ArgumentParser(prog="python -m bench identity", description=__doc__)
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--rounds", type=int, default=9, help="rounds after the warm-up")
    parser.add_argument("--quick", action="store_true", help="three rounds, and the memory of 20,000 tokens")
    options = parser.parse_args(arguments)
    try:
        result = measure(3 if options.quick else options.rounds, 20_000 if options.quick else 1_000_000)
    except CannotRun as error:
        print(f"identity: {error}", file=sys.stderr)
        return 1
    print(line(result) if options.json else table(result))
    return 0


def measure(count: int, remembered: int) -> Result:
    """Everything. Raises CannotRun where somebody is not known."""
    bank = Bank.open(100_000)
    settle()
    rounds = [_round(bank) for _ in range(count + 1)][1:]
    figures = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    ratios = {
        f"{state}_{algorithm.lower()}": statistics.median(
            one[f"{state}_{algorithm.lower()}_per_s"] / one[f"pyjwt_{algorithm.lower()}_per_s"] for one in rounds
        )
        for algorithm in KINDS
        for state in ("cold", "remembered")
    }
    figures |= {"remembered_tokens": remembered, "remembered_bytes_each": _memory(remembered)}
    return Result(
        name="identity",
        figures=figures,
        ratios=ratios,
        peer="PyJWT on each request",
        rounds=count,
        machine=facts(),
        settings={"pyjwt": version("pyjwt"), "cryptography": version("cryptography"), "batch": str(BATCH)},
    )


def _round(bank: Bank) -> Mapping[str, float]:
    figures: dict[str, float] = {}
    for algorithm, issuer in bank.issuers.items():
        shown, name = bank.bearers(algorithm, BATCH), algorithm.lower()
        figures[f"pyjwt_{name}_per_s"] = _rate(_peer(issuer), shown)
        figures[f"cold_{name}_per_s"] = _rate(_ours(bank), shown)
        figures[f"remembered_{name}_per_s"] = _rate(_ours(bank), shown)
        if algorithm == "ES256":
            figures |= _one_by_one(bank, shown)
    figures["dpop_per_s"] = _rate(_ours(bank), bank.bound(BATCH))
    figures["http_signature_per_s"] = _rate(_ours(bank), bank.signed(BATCH))
    certificates = bank.certificates(BATCH)
    figures["mtls_cold_per_s"] = _rate(_ours(bank), certificates)
    figures["mtls_remembered_per_s"] = _rate(_ours(bank), certificates)
    return figures


def _ours(bank: Bank) -> Callable[[Credentials], None]:
    now, identify = time.time(), bank.identifier.identify

    def ask(shown: Credentials) -> None:
        answer = identify(shown, now)
        if not isinstance(answer, Principal):
            raise CannotRun(f"nobody was known: {answer}")

    return ask


def _peer(issuer: Signs) -> Callable[[Credentials], None]:
    key = jwt.PyJWK.from_dict(issuer.jwk(), issuer.algorithm).key

    def ask(shown: Credentials) -> None:
        jwt.decode(
            shown.authorization[len("Bearer ") :],
            key,
            [issuer.algorithm],
            audience=AUDIENCE,
            issuer=issuer.name,
            options={"require": REQUIRED},
        )

    return ask


def _rate(ask: Callable[[Credentials], None], shown: Sequence[Credentials]) -> float:
    start = time.perf_counter()
    for one in shown:
        ask(one)
    return len(shown) / (time.perf_counter() - start)


def _one_by_one(bank: Bank, shown: Sequence[Credentials]) -> dict[str, float]:
    """Each remembered token by the clock, whose own time (some 50 ns) is in it. A gateway has just read the header, so
    each is asked about twice before.
    """
    ask, clock, taken = _ours(bank), time.perf_counter_ns, []
    for one in shown:
        ask(one)
        ask(one)
        start = clock()
        ask(one)
        taken.append(clock() - start)
    taken.sort()
    return {
        "remembered_p50_us": taken[len(taken) // 2] / 1000,
        "remembered_p99_us": taken[int(0.99 * len(taken))] / 1000,
    }


def _memory(count: int) -> float:
    command = [sys.executable, "-m", "bench.identities.memory", str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotRun(done.stderr[-500:])
    return float(done.stdout)

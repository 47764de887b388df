"""The hard case: a day's payments are screened."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from bench.decisions.case import Case
from bench.decisions.requests import SEED

PAYMENTS, ACCOUNTS = 20, 6
PATTERNS = {
    "invoice": r"^invoice [0-9]{4}$",
    "card": r"[0-9]{4}([ -]?[0-9]{4}){3}",
    "link": r"(?i)https?://[a-z0-9.-]+\.(biz|info)\b",
    "urgent": r"(?i)\burgent(ly)?\b",
    "nonsense": r"^[^aeiou ]{6,}$",
}
REFERENCES = ("rent", "invoice 4711", "URGENT refund", "card 4111-1111-1111-1111", "http://pay.biz/x", "xkcdqwrt")


def hard() -> Case:
    """Twenty payments between six accounts, drawn from the seed."""
    source = Path(__file__).with_name("hard.rego").read_text()
    rng = random.Random(SEED)
    payments = [_payment(rng, number) for number in range(PAYMENTS)]
    data = {"patterns": PATTERNS, "reported": 10_000}
    return Case("hard", {"hard.rego": source}, data, "bench/hard/report", [{"payments": payments}])


def _payment(rng: random.Random, number: int) -> dict[str, Any]:
    source, target = rng.sample(range(ACCOUNTS), 2)
    return {
        "id": f"p-{number:02}",
        "from": f"a-{source:02}",
        "to": f"a-{target:02}",
        "amount": rng.randrange(1, 12_000),
        "time": rng.randrange(24 * 3600),
        "reference": rng.choice(REFERENCES),
    }

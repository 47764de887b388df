"""What the simulated subjects share: chance, the time, accounts, and the shape of a request."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from detectors.simulator.tracks import Codes, Numbers, Track

STATUS = {"allow": 200, "deny": 403, "error": 404, "unauthenticated": 401}
_GIVEN_OUT, _LAST = 100_000, 99_000_000  # numbers of accounts; those of others that are touched are below
FORMS = ("/accounts/{}", "/accounts/{}/statements", "/v1/accounts/{}/balance", "/customers/c-{}")


@dataclass(slots=True)
class Bank:
    """One stretch of time, `seconds` from `opening`."""

    rng: Generator
    opening: float
    seconds: float
    seed: int  # of what stays from one stretch to the next

    def lasting(self, name: str) -> Generator:
        """Chance that falls alike for a subject in every stretch: where it sits, and what it owns."""
        return np.random.default_rng((self.seed, 6, zlib.crc32(name.encode())))

    def foreign(self, count: int) -> Codes:
        """Accounts of others: counted up or picked at random."""
        if self.rng.random() < 0.5:
            return self.rng.integers(1, 90_000) + np.arange(count)
        return self.rng.permutation(90_000)[:count] + 1

    def moment(self, share: float = 0.9) -> float:
        """A time within the first `share` of the stretch."""
        return self.opening + float(self.rng.uniform(0, self.seconds * share))

    def chance(self, probability: float) -> bool:
        """Whether something of that probability happens."""
        return bool(self.rng.random() < probability)

    def requests(
        self,
        times: Numbers,
        resource: Sequence[str],
        outcome: Sequence[str],
        *,
        subject: str = "",
        actor: str = "",
        address: str = "",
        action: str = "GET",
        hostile: NDArray[np.bool_] | None = None,
    ) -> Track:
        """A track of HTTP requests within the stretch. "unauthenticated" is a denial for want of proof."""
        keep = np.flatnonzero(times < self.opening + self.seconds).tolist()
        status = np.array([STATUS[outcome[row]] for row in keep], np.int64)
        good = status == 200
        headers = float(np.exp(self.rng.uniform(3.0, 8.0)))  # of this service and this client
        size = headers + np.where(good, self.rng.lognormal(6.0, 1.2, len(keep)), self.rng.integers(0, 400, len(keep)))
        told = not self.chance(0.1)  # some sources say nothing of sizes
        words = [outcome[row] for row in keep]
        return Track(
            times=times[keep],
            hostile=np.zeros(len(keep), np.bool_) if hostile is None else hostile[keep],
            subject=subject,
            actor=actor or subject,
            session=f"s-{subject}-{actor}",
            address=address,
            service="accounts",
            resource=[resource[row] for row in keep],
            action=(action,) * len(keep),
            outcome=["deny" if word == "unauthenticated" else word for word in words],
            numbers={
                "status": status,
                "bytes_in": (headers + self.rng.integers(0, 60, len(keep))) * told,
                "bytes_out": size * told,
            },
        )


def some_accounts(rng: Generator, count: int) -> Codes:
    """Accounts that belong to one owner: neighbours, as they are given out."""
    return int(rng.integers(_GIVEN_OUT, _LAST)) + np.arange(count)


def an_address(rng: Generator) -> str:
    """Somebody's address."""
    a, b, c = rng.integers(1, 255, 3)
    return f"10.{a}.{b}.{c}"


def paths(accounts: Codes, forms: Codes | int = 0) -> list[str]:
    """Request paths; `forms` chooses among FORMS."""
    chosen = np.broadcast_to(forms, accounts.shape)
    return [FORMS[form].format(account) for account, form in zip(accounts.tolist(), chosen.tolist(), strict=True)]


def mostly(rng: Generator, count: int, rare: dict[str, float], usual: str = "allow") -> list[str]:
    """`count` outcomes: the usual one, and each rare one with its probability."""
    words = [usual, *rare]
    odds = [1.0 - sum(rare.values()), *rare.values()]
    return [words[code] for code in rng.choice(len(words), count, p=odds).tolist()]

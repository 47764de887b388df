"""With each death of the gateway its host loses power: of its ledger's folder is left what was synced to the disk."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from defense_lines import LedgerAltered
from tests.chaos.account import Account, Asked
from tests.chaos.record import Ended, on_record
from tests.defense_lines.power import Power

LEDGER = ("ledger.db", "ledger.db-wal")  # what a ledger whose fsync is taken out does not sync


class Lost(Exception):
    """What was acknowledged is gone, or the ledger knows that something is and will not open; no use in going on."""

    def __init__(self, asked: list[Asked], refusal: str) -> None:
        super().__init__(f"{len(asked)} acknowledged orders are gone; {refusal or 'the ledger opens'}")
        self.asked = asked
        self.refusal = refusal  # why the ledger does not open; "" where it does


class PowerLoss:
    """One ledger's. To be made before any part: they are all started with a library preloaded."""

    def __init__(self, ledger: Path, scratch: Path, account: Account, synced: bool) -> None:
        """`synced`: whether the ledger's syncs have an effect."""
        self._ledger, self._scratch, self._account = ledger, scratch, account
        self._power = Power(ledger, scratch)
        self._cuts = 0
        os.environ.update(self._power.environment(() if synced else LEDGER))

    async def cut(self) -> None:
        """The gateway is dead, and so is its host. Raises Lost."""
        self._cuts += 1
        left = self._power.cut(self._scratch / f"cut-{self._cuts}")
        await self._check(left)
        shutil.rmtree(self._ledger)
        shutil.copytree(left, self._ledger)
        self._power.begin_anew()

    async def _check(self, left: Path) -> None:
        tried = self._scratch / f"tried-{self._cuts}"
        shutil.copytree(left, tried)
        record, refusal = dict[str, Ended](), ""
        try:
            record = await on_record(tried)
        except LedgerAltered as altered:
            refusal = str(altered)
        lost = self._account.lost(record)
        if lost or refusal:
            raise Lost(lost, refusal)

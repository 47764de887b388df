"""The rules of an SLPF actuator: OpenC2 knows a rule by number, whoever gave it by its command id.

Both are in the id of the firewall's order, `NUMBER/COMMAND`, so that the kernel keeps them and a new process reads
them back. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from defense_lines.agent.orders import Order, OrderBook

MAX_RULES = 65_536  # that stand at once


class Rules:
    """Every rule that stands."""

    def __init__(self, orders: Iterable[Order] = (), last: int = 0) -> None:
        """Numbers are given from above `last`; with the time in it, none is given twice over restarts."""
        self._book = OrderBook()
        self._by_number: dict[int, Order] = {}
        self._by_command: dict[str, Order] = {}
        self.last = last  # number that was given
        for order in orders:
            if number(order.id) > 0:
                self.put(order)

    def __len__(self) -> int:
        return len(self._book)

    def order_id(self, command_id: str) -> str:
        """The id under which a command's order stands, or is to stand; a command given twice is one order."""
        standing = self.of(command_id)
        if standing is None:
            self.last += 1  # whether it comes to stand or not
        return standing.id if standing else f"{self.last}/{command_id}"

    def of(self, command_id: str) -> Order | None:
        """The order of a command, if it stands."""
        return self._by_command.get(command_id) if command_id else None

    def put(self, order: Order) -> None:
        """The order stands."""
        self._book.put(order)
        self._by_number[number(order.id)] = order
        if command(order.id):
            self._by_command[command(order.id)] = order
        self.last = max(self.last, number(order.id))

    def get(self, rule: int) -> Order | None:
        """The order behind a rule number, if it stands."""
        return self._by_number.get(rule)

    def remove(self, order: Order) -> None:
        """The order stands no longer."""
        self._book.remove(order.id)
        self._forget(order)

    def expire(self, now: float) -> None:
        """Forget what has ended."""
        for order in self._book.expire(now):
            self._forget(order)

    def _forget(self, order: Order) -> None:
        self._by_number.pop(number(order.id), None)
        self._by_command.pop(command(order.id), None)


def number(order_id: str) -> int:
    """The rule number in an order's id; 0 if it is none of ours."""
    digits = order_id.partition("/")[0]
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else 0


def command(order_id: str) -> str:
    """The command id in an order's id, empty if it was given without."""
    return order_id.partition("/")[2]

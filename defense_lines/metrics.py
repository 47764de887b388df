"""Lines' metrics, read from the hub when somebody asks: a series for each line and kind, whatever a line does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from defense_lines.status import LineStatus

_PREFIX = "portcullis_defense_lines_"
_GAUGES: Sequence[tuple[str, str, Callable[[LineStatus], float | None]]] = (
    ("up", "1 while the line answers", lambda line: float(line.state == "up")),
    ("in_service", "1 while the line is given orders", lambda line: float(line.service == "in_service")),
    ("pending", "Orders not yet answered for good", lambda line: line.pending),
    ("enforced", "Blocks that the line enforces, as far as it told", lambda line: line.enforced),
    ("refused", "Live blocks that the line refused", lambda line: line.refused),
    ("foreign", "Blocks that the line enforces and no ledger of ours knows", lambda line: len(line.foreign)),
    ("drifted", "Blocks found missing or left over since the start, and repaired", lambda line: line.drifted),
    ("last_contact_seconds", "When the line last answered, Unix seconds", lambda line: line.last_contact),
    (
        "delay_p50_seconds",
        "From ordered to receipt, half of the last two hundred batches",
        lambda line: _s(line.p50_ms),
    ),
    (
        "delay_p99_seconds",
        "From ordered to receipt, 99 % of the last two hundred batches",
        lambda line: _s(line.p99_ms),
    ),
)


class LinesCollector(Collector):
    """For a registry of prometheus_client."""

    def __init__(self, status: Callable[[], Sequence[LineStatus]]) -> None:
        self._status = status

    def describe(self) -> Sequence[GaugeMetricFamily]:
        """Nothing: a registry that takes us must not have us count all lines first."""
        return ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """As of now."""
        lines = self._status()
        for name, words, read in _GAUGES:
            family = GaugeMetricFamily(_PREFIX + name, words, labels=["line"])
            for line in lines:
                if (value := read(line)) is not None:
                    family.add_metric([line.name], value)
            yield family


def _s(ms: float | None) -> float | None:
    return None if ms is None else ms / 1e3

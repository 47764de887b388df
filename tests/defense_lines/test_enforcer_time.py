"""What an agent makes of the gateway's clock: it may be set, and what it says may be late; neither is the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from defense_lines.agent.protocol import Audit, InStep, Welcome
from tests.defense_lines.agent_rig import LEDGER, Host
from tests.defense_lines.test_enforcer import audit, order

SETTLED = 30.0  # seconds in which nothing may have come as fast as before, for the clock to count as set
CLOSE = 0.11  # seconds


class Told(Host):
    """Told the time by a gateway whose clock is `set` by some seconds, each time `late` on its way."""

    set = 0.0

    def hear(self, late: float = 0.0, welcome: bool = False) -> None:
        time, now = self.clocks.gateway() + self.set - late, self.clocks.boottime()
        if welcome:
            self.enforcer.welcome(Welcome("line", LEDGER, 1 << 40, time))
        else:
            self.enforcer.asked(Audit(0, 0, time), now)

    def wrong(self) -> float:
        """Seconds by which it counts too far."""
        return self.enforcer.now() - self.clocks.gateway() - self.set


@pytest.fixture
def host(tmp_path: Path) -> Told:
    told = Told(tmp_path)
    told.hear(welcome=True)
    return told


def test_a_gateway_whose_clock_is_behind_takes_over_and_its_blocks_end_on_time(host: Told) -> None:
    host.set = -8.0
    host.hear(welcome=True)
    host.hear()
    host.clocks.passed += SETTLED
    host.hear()
    host.tell(0, order(host, 1, ttl=60.0 + host.set), time=host.clocks.gateway() + host.set)
    host.clocks.passed += 59.9
    assert host.enforced() == {"10.0.0.1"}
    host.clocks.passed += 0.2
    assert host.enforced() == set()


def test_a_welcome_alone_sets_no_clock_back_however_long_ago(host: Told) -> None:
    host.tell(0, order(host, 1, ttl=500.0))
    for _ in range(5):
        host.hear(late=6, welcome=True)
        host.clocks.passed += SETTLED - 1
        host.hear()
        assert audit(host, 1) == InStep()
        assert abs(host.wrong()) < CLOSE


gaps = st.floats(0.1, SETTLED)
steps = st.floats(-9.5, 20.0)
quick = st.floats(0.0, CLOSE / 2)


@settings(deadline=None)
@given(steps, st.lists(st.tuples(gaps, quick, st.booleans()), min_size=3, max_size=20))
def test_a_clock_that_is_set_is_followed(
    tmp_path_factory: pytest.TempPathFactory, by: float, heard: list[tuple[float, float, bool]]
) -> None:
    host = Told(tmp_path_factory.mktemp("line"))
    host.hear(welcome=True)
    host.set, since = by, 0.0
    for number, (gap, late, welcome) in enumerate(heard):
        host.hear(late, welcome)
        if by >= 0 or (number >= 2 and since >= SETTLED):
            assert abs(host.wrong()) < CLOSE
        host.clocks.passed += gap
        since += gap
    host.kill()


@settings(deadline=None)
@given(st.lists(st.tuples(gaps, st.one_of(st.just(0.0), st.floats(0.0, 9.5)), st.booleans()), max_size=20))
def test_what_is_late_sets_no_clock(
    tmp_path_factory: pytest.TempPathFactory, heard: list[tuple[float, float, bool]]
) -> None:
    host = Told(tmp_path_factory.mktemp("line"))
    host.hear(welcome=True)
    since = 0.0  # the last that was not late
    for gap, late, welcome in heard:
        host.clocks.passed += gap
        host.hear(late, welcome)
        since = since + gap if late else 0.0
        assert -CLOSE - (9.5 if since > SETTLED else 0.0) < host.wrong() < CLOSE
        assert late or abs(host.wrong()) < 0.001
    host.kill()

"""For every test: the project is importable, and each missing part that made tests skip is counted and named.

Under `CI=true` a missing part fails the run: a green run there means that everything really ran.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent.parent))

# A property is about values, not about how busy the machine is.
settings.register_profile("portcullis", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("portcullis")

# A real Keycloak takes its time: `make test-keycloak` asks for it by name.
collect_ignore = [] if os.environ.get("PORTCULLIS_KEYCLOAK") == "1" else ["keycloak"]

NOT_TO_BE_HAD = ("needs a GPU",)  # parts that a machine may lack for good: their skips never fail a run
_MISSING = pytest.StashKey["Counter[str]"]()


def pytest_configure(config: pytest.Config) -> None:
    """Start counting."""
    config.stash[_MISSING] = Counter()
    config.pluginmanager.register(_Count(config.stash[_MISSING]), "missing-parts")


class _Count:
    """Counts skips by the reason they give."""

    def __init__(self, missing: Counter[str]) -> None:
        self._missing = missing

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and isinstance(report.longrepr, tuple):
            self._missing[report.longrepr[2].removeprefix("Skipped: ")] += 1


def unexcused(missing: Counter[str]) -> list[str]:
    """The reasons among these that must not happen where everything can be installed."""
    return sorted(reason for reason in missing if reason.startswith("needs ") and reason not in NOT_TO_BE_HAD)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run for a part that CI should have had."""
    missing = session.config.stash[_MISSING]
    if os.environ.get("CI") == "true" and unexcused(missing) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Name each missing part with the number of tests that it cost."""
    missing = config.stash[_MISSING]
    for reason, count in sorted(missing.items()):
        terminalreporter.write_line(f"skipped {count}: {reason}")
    if os.environ.get("CI") == "true" and unexcused(missing):
        terminalreporter.write_line(f"FAILED: under CI nothing may be missing: {', '.join(unexcused(missing))}")

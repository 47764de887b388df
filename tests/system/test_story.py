"""The nine steps of the demo bank's story, played once on the whole system; one test a step, in any order."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.system
STEPS = 9


def _missing(story: dict[str, Any], part: str) -> bool:
    return any(part in missing for missing in story["unavailable"])


@pytest.mark.parametrize("number", range(1, STEPS + 1))
def test_step_holds(story: dict[str, Any], number: int) -> None:
    assert len(story["steps"]) == STEPS, story["steps"]
    step = story["steps"][number - 1]
    assert step["ok"], f"{step['name']}: {step['detail']}"


def test_story_ends_well_and_in_time(story: dict[str, Any]) -> None:
    assert (story["exit"], story["lines_told"]) == (0, 1)
    assert sum(step["ms"] for step in story["steps"]) < 120_000


def test_attack_is_blocked_within_a_second(story: dict[str, Any]) -> None:
    assert story["attack_to_block_ms"] < 1000


def test_stream_is_cut_within_twenty_milliseconds(story: dict[str, Any]) -> None:
    assert story["signal_to_cut_ms"] < 20


@pytest.mark.parametrize("line", ["edge", "nftables", "openc2"])
def test_line_answered(story: dict[str, Any], line: str) -> None:
    if _missing(story, line):
        pytest.skip(f"needs what line {line} needs")
    assert next(told for told in story["lines"] if told["name"] == line)["ok"]

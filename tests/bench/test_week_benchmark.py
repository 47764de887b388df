"""`bench week` plays every event of the days that it says, and counts by day."""

from __future__ import annotations

from bench import week
from detectors.simulator import honest_days


def test_a_day_of_few_people() -> None:
    result = week.measure(seed=1, days=1, people=4, agents=0)
    assert result.figures["events"] == sum(len(one.batch) for one in honest_days(1, 1, 4, 0)) > 0
    assert result.figures["days"] == 1
    assert result.figures["false_alarms_per_1000_a_day"] == 1000 * result.figures["false_alarms_first_day"] / 4

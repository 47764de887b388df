"""What consumers are asked, until they have answered all of it. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from defense_lines.agent.openc2_message import Response
from defense_lines.line import LineUnavailable
from defense_lines.lines.openc2_plan import Plan

Answers = list[Response] | LineUnavailable  # one to each step, or why one is missing
Heard = Callable[[Plan, Answers], None]


class Call:
    """What one consumer is asked. Who asks is called back once, with the answers; with a thousand consumers, tasks that
    wait for them would cost more than the answers.
    """

    def __init__(self, device: str, plan: Plan, heard: Heard) -> None:
        self.device = device
        self.plan = plan
        self.accepted = False  # the final answers are still to come
        self._left = len(plan.steps)
        self._answers: list[Response | None] = [None] * self._left
        self._heard = heard

    def settle(self, step: int, answer: Response) -> None:
        """A step was answered."""
        self._answers[step] = answer
        self._left -= 1
        if not self._left:
            self.complete()

    def complete(self) -> None:
        """Every step was answered, if there are any."""
        self._end([answer for answer in self._answers if answer])

    def fail(self, why: str) -> None:
        """A step will not be answered."""
        self._end(LineUnavailable(f"{self.device}: {why}"))

    def drop(self) -> None:
        """Nobody waits for it any longer."""
        self._heard = _nobody

    def _end(self, answers: Answers) -> None:
        heard, self._heard = self._heard, _nobody
        heard(self.plan, answers)


class Request(msgspec.Struct, frozen=True):
    """One message that was published, and who is still to answer it."""

    step: int
    calls: dict[str, Call]


def _nobody(plan: Plan, answers: Answers) -> None:
    """Hears nothing."""

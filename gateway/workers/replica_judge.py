"""A judge beside the gateway's own: before each answer it has applied all that counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from gateway.config import Config
from gateway.enforcement import Answer, Attempt, Judge
from gateway.identity import Missing
from gateway.workers.follower import Following, LeftBehind
from gateway.workers.questions import Questions
from gateway.workers.replica import Replica
from policy import AccessRequest, Decision


class ReplicaJudge(Judge):
    """Answers by a replica what it can; the rest it passes on. Which proofs were seen before, only one process may
    say, so attempts that prove something by themselves are the gateway's.
    """

    def __init__(
        self,
        config: Config,
        replica: Replica,
        following: Following,
        questions: Questions,
        witness: Callable[[AccessRequest, Decision], None],
        left_behind: Callable[[LeftBehind], NoReturn],
    ) -> None:
        """`left_behind` ends the process: whoever cannot know what counts answers nobody."""
        super().__init__(
            config,
            replica.identifier,
            replica.blocklist,
            replica.pdp,
            witness,
            _unasked,
            replica.minter,
            replica.devices,
            replica.revocations,
            replica.recent,
        )
        self._following = following
        self._questions = questions
        self._left_behind = left_behind

    def at_once(self, attempt: Attempt) -> Answer | None:
        """Answer without waiting; None where the gateway must be asked."""
        try:
            self._following.catch_up()
        except LeftBehind as error:
            self._left_behind(error)
        return super().at_once(attempt) if attempt.credentials.request is None else None

    async def ask(self, attempt: Attempt) -> Answer:
        """The gateway's answer."""
        return await self._questions.ask(attempt)


async def _unasked(missing: Missing) -> None:
    """No judge asks an issuer: the gateway does, once for all."""

"""Why nobody was identified stands in the log, under the id that the caller was told, however many come."""

from __future__ import annotations

from structlog.testing import capture_logs

from gateway.enforcement import Answer, Attempt
from gateway.identity import Credentials, Refusal
from gateway.unidentified import Unidentified

ATTEMPT = Attempt("GET", "/accounts/1001?secret=1", "bank.example", "192.0.2.7", Credentials("Bearer secret"))


def test_the_line_says_why_and_shows_nothing_secret() -> None:
    with capture_logs() as lines:
        Unidentified().saw(ATTEMPT, Answer(401, "r-1", "deny"), Refusal("invalid_token", "audience"))
    (line,) = lines
    assert (line["decision"], line["error"], line["detail"]) == ("r-1", "invalid_token", "audience")
    assert (line["address"], line["path"]) == ("192.0.2.7", "/accounts/1001")
    assert "secret" not in str(line)


def test_a_flood_is_counted_and_does_not_fill_the_disk() -> None:
    seconds = [0.0]
    told = Unidentified(lambda: seconds[0])
    with capture_logs() as lines:
        for _ in range(1000):
            told.saw(ATTEMPT, Answer(401, "r-1", "deny"), Refusal("invalid_token", "signature"))
        assert len(lines) == 20
        seconds[0] = 1.0
        told.saw(ATTEMPT, Answer(401, "r-2", "deny"), Refusal("invalid_token", "signature"))
    assert len(lines) == 21

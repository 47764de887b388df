"""A question that is not answered, and why, in words for who asked."""

from __future__ import annotations


class Refused(Exception):
    """Status 400 and 413 are the asker's fault, 401 and 403 are about who asks, 500 is ours."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

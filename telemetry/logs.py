"""How every process of ours logs: one line an entry on standard error, never what a program held in its variables."""

from __future__ import annotations

import sys
from typing import TextIO

import structlog
from structlog.typing import Processor


def plain_logs() -> None:
    """Configure logging, once a process and before anything logs; later calls change nothing.

    An entry is `time level event key=value …` on a terminal, and JSON otherwise. A traceback names files, lines and the
    error, never local variables: those hold tokens, bodies and passwords (structlog's default shows them).
    """
    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(sys.stderr),
        ],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _rendering(stream: TextIO) -> list[Processor]:
    if not stream.isatty():
        # `format_exc_info` is Python's own traceback, as text.
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    return [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)]

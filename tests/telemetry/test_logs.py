"""What is logged: plain lines on standard error, and never what a program held in its variables."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAILURE = """
import structlog
from telemetry import plain_logs

log = structlog.get_logger()  # as our modules have it: made before anybody configures
plain_logs()
plain_logs()

def judge(authorization):
    body = "hunter2" * 3
    raise ValueError("no such key")

try:
    token = "eyJ" + "hbGci"
    judge("Bearer " + token)
except ValueError:
    log.exception("judging failed", path="/accounts/1")
log.warning("later", attempt=2)
"""


def test_a_failure_is_logged_without_what_its_variables_held() -> None:
    done = subprocess.run([sys.executable, "-c", FAILURE], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "eyJhbGci" not in done.stderr
    assert "hunter2hunter2" not in done.stderr
    failed, later = (json.loads(line) for line in done.stderr.splitlines())
    assert (failed["event"], failed["level"], failed["path"]) == ("judging failed", "error", "/accounts/1")
    assert failed["exception"].splitlines()[0] == "Traceback (most recent call last):"
    assert failed["exception"].splitlines()[-1] == "ValueError: no such key"
    assert failed["timestamp"] <= later["timestamp"]
    assert (later["level"], later["attempt"]) == ("warning", 2)


def test_on_a_terminal_an_entry_is_for_people_and_holds_no_variables_either() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        subprocess.run([sys.executable, "-c", FAILURE], cwd=ROOT, stderr=theirs, check=True)
        os.close(theirs)
        told = _all_of(terminal.fileno())
    assert "eyJhbGci" not in told
    assert "hunter2" not in told
    assert "judging failed" in told
    assert "path=/accounts/1" in told
    assert "ValueError: no such key" in told


def _all_of(terminal: int) -> str:
    told = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # Linux's end of file of a terminal that nobody holds open
            return told.decode()
        told += data

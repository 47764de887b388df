"""Command line: a noun and a verb. Data goes to stdout, the rest to stderr; the exit code says how it went."""

from console.cli.main import app, main

__all__ = ["app", "main"]

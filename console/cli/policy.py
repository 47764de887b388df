"""`portcullis policy`: whether Rego compiles, and making it live."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, Output, gateway
from console.cli.output import Format, note, show, show_rows

if TYPE_CHECKING:
    from policy import Problem

app = typer.Typer(name="policy", help="What is allowed, in Rego.", no_args_is_help=True)


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Rego files and folders.", exists=True)],
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="The document that policy sees as `data`.")] = None,
    output: Output = Format.human,
) -> None:
    """Compile as the gateway would. Exit code 3 if there are problems."""
    problems = _problems(tuple(paths), data)
    if output is Format.json:
        show_rows([msgspec.to_builtins(problem) for problem in problems], output)
    for problem in problems if output is Format.human else ():
        typer.echo(problem)
    if problems:
        raise typer.Exit(Exit.FINDINGS)
    note("the policy compiles")


@app.command()
def reload(config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Make the policy on disk live. One that does not compile changes nothing: exit code 3."""
    answer = gateway(config).ask("POST", "/v1/policy")
    problems = answer.get("problems", ())
    if output is Format.json or not problems:
        show(answer, output)
    for problem in problems if output is Format.human else ():
        typer.echo("{file}:{line}:{column}: {message}".format_map(problem))
    if problems:
        raise typer.Exit(Exit.FINDINGS)


def _problems(paths: tuple[Path, ...], data: Path | None) -> tuple[Problem, ...]:
    from policy import PolicyError, compile_bundle, read_bundle

    try:
        compile_bundle(read_bundle(paths, data))
    except PolicyError as error:
        return error.problems
    return ()

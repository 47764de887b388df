"""`portcullis policy`: whether Rego compiles, and making it live."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from console.cli.exits import Exit
from console.cli.options import DEFAULT_FILE, ConfigFile, DryRun, Output, configuration, gateway
from console.cli.output import Format, note, show, show_rows

app = typer.Typer(name="policy", help="What is allowed, in Rego.", no_args_is_help=True)
Problems = Sequence[dict[str, Any]]


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Rego files and folders.", exists=True)],
    data: Annotated[Path | None, typer.Option(metavar="FILE", help="The document that policy sees as `data`.")] = None,
    output: Output = Format.human,
) -> None:
    """Compile as the gateway would. Exit code 3 if there are problems."""
    _, problems = _compile(tuple(paths), data)
    if output is Format.json:
        show_rows(problems, output)
    _end_with(problems, output)
    note("the policy compiles")


@app.command()
def reload(dry_run: DryRun = False, config: ConfigFile = DEFAULT_FILE, output: Output = Format.human) -> None:
    """Make the policy on disk live. One that does not compile changes nothing: exit code 3."""
    client = gateway(config)
    if dry_run:
        settings = configuration(config).config.policy
        revision, problems = _compile(settings.paths, settings.data)
        answer = {"outcome": "dry_run", "revision": revision, "running": client.ask("GET", "/v1/status")["revision"]}
    else:
        answer = client.ask("POST", "/v1/policy")
        problems = answer.get("problems", ())
    if not problems:
        show(answer, output)
    elif output is Format.json:
        show({"problems": problems}, output)
    _end_with(problems, output)


def _compile(paths: tuple[Path, ...], data: Path | None) -> tuple[str, Problems]:
    """The revision that these files make, or their problems."""
    from policy import PolicyError, compile_bundle, read_bundle  # takes longer to load than most commands to run

    try:
        return compile_bundle(read_bundle(paths, data)).id, ()
    except PolicyError as error:
        return "", [msgspec.to_builtins(problem) for problem in error.problems]


def _end_with(problems: Problems, output: Format) -> None:
    for problem in problems if output is Format.human else ():
        typer.echo("{file}:{line}:{column}: {message}".format_map(problem))
    if problems:
        raise typer.Exit(Exit.FINDINGS)

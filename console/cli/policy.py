"""`portcullis policy`: whether Rego compiles, what it becomes and answers, and making it live."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from console.cli import policy_data
from console.cli.exits import Exit
from console.cli.files import text
from console.cli.options import DEFAULT_FILE, ConfigFile, DryRun, Output, configuration, gateway
from console.cli.output import Format, note, show, show_rows

if TYPE_CHECKING:
    from policy import Bundle

app = typer.Typer(name="policy", help="What is allowed, in Rego.", no_args_is_help=True)
app.add_typer(policy_data.app)
Problems = Sequence[dict[str, Any]]
DataFile = Annotated[Path | None, typer.Option(metavar="FILE", help="The document that policy sees as `data`.")]
Paths = Annotated[
    list[Path] | None, typer.Argument(help="Rego files and folders; without, the configured ones.", exists=True)
]


@app.command()
def check(
    paths: Annotated[list[Path], typer.Argument(help="Rego files and folders.", exists=True)],
    data: DataFile = None,
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


@app.command("show")
def show_(
    paths: Paths = None,
    python: Annotated[bool, typer.Option("--python", help="The generated Python, beside the Rego.")] = False,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Show each rule, when it is evaluated and what it may depend on; or the Python that it becomes."""
    from policy import PolicyError, compile_bundle, rules_of

    try:
        bundle = _bundle(paths, None, config)
        revision = compile_bundle(bundle)
        rows = [] if python else [msgspec.to_builtins(rule) for rule in rules_of(bundle)]
    except PolicyError as error:
        _end_with(_told(error), output)
        return
    if not python:
        show_rows(rows if output is Format.json else [_short(row) for row in rows], output)
    elif output is Format.json:
        show({"revision": revision.id, "python": revision.program.source}, output)
    else:
        typer.echo(revision.program.source)


@app.command()
def schema(
    question: Annotated[
        Literal["access", "signals"], typer.Argument(help="What is asked: for access, or about a security event.")
    ] = "access",
) -> None:
    """The JSON Schema of what policy sees as `input`."""
    import json

    from policy import access_input_schema, signals_input_schema

    typer.echo(json.dumps(access_input_schema() if question == "access" else signals_input_schema(), indent=2))


@app.command("eval")
def eval_(
    rule: Annotated[str, typer.Argument(help="What to evaluate: data.portcullis.access.decision, for one.")],
    paths: Paths = None,
    input_: Annotated[
        Path | None, typer.Option("--input", metavar="FILE", help="The input as JSON; - for stdin.", allow_dash=True)
    ] = None,
    data: DataFile = None,
    config: ConfigFile = DEFAULT_FILE,
    output: Output = Format.human,
) -> None:
    """Evaluate a rule here, now: its value, and what that depended on. No gateway is asked."""
    from policy import UNDEFINED, EvaluationError, PolicyError, decode_json, encode_json, evaluate

    root, *path = rule.split(".")
    if root != "data" or not all(path):
        raise typer.BadParameter("write it as data.package.rule", param_hint="RULE")
    try:
        document = UNDEFINED if input_ is None else decode_json(text(input_))
        found = evaluate(_bundle(paths, data, config), path, document, time.time())
    except PolicyError as error:
        _end_with(_told(error), output)
        return
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--input") from error
    except EvaluationError as error:
        note(f"{error.code}: {error}")
        raise typer.Exit(Exit.FAILURE) from error
    defined = {} if found.value is UNDEFINED else {"value": found.value}
    if output is Format.json:
        typer.echo(encode_json(defined | {"depends": list(found.depends)}, indent="  "))
    else:
        value = encode_json(found.value) if defined else "undefined"
        show({"value": value, "depends": list(found.depends)}, output)


def _bundle(paths: Iterable[Path] | None, data: Path | None, config: Path) -> Bundle:
    """Of these files, or of those that are configured. Raises PolicyError, ConfigurationError."""
    from policy import read_bundle

    if paths:
        return read_bundle(tuple(paths), data)
    settings = configuration(config).config.policy
    return read_bundle(settings.paths, data or settings.data)


def _compile(paths: tuple[Path, ...], data: Path | None) -> tuple[str, Problems]:
    """The revision that these files make, or their problems."""
    from policy import PolicyError, compile_bundle, read_bundle  # takes longer to load than most commands to run

    try:
        return compile_bundle(read_bundle(paths, data)).id, ()
    except PolicyError as error:
        return "", _told(error)


def _told(error: Any) -> Problems:
    return [msgspec.to_builtins(problem) for problem in error.problems]


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """A rule's row as people read it."""
    at = f"{row['file']}:{row['line']}"
    return {"rule": row["rule"], "at": at, "evaluated": row["evaluated"], "depends": list(row["depends"])}


def _end_with(problems: Problems, output: Format) -> None:
    for problem in problems if output is Format.human else ():
        typer.echo("{file}:{line}:{column}: {message}".format_map(problem))
    if problems:
        raise typer.Exit(Exit.FINDINGS)

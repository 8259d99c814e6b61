"""The command line: finds the command, imports only that one, maps errors to exit codes."""

from __future__ import annotations

import importlib
import signal
import sys
from typing import Final

import click

from phoneproof.core.errors import INTERRUPTED_EXIT_CODE, MissingExtra, PhoneproofError, nearest

_COMMANDS: Final = {
    "inspect": "Show what a model file says: inputs, head, training, licence, hazards.",
    "init": "Write phoneproof.toml: everything inferred, with the reasons.",
    "search": "Try other contracts on labelled images; propose the one that explains them.",
    "preflight": "Show what the model says of production images; converts nothing.",
    "build": "Capture, convert, verify and package; refuses a model that got worse.",
    "verify": "Check a bundle: hashes, golden vectors, and a re-measure on images.",
    "compare": "Compare two model files under one contract, on images.",
    "run": "Run a model on pictures and draw the predictions.",
    "pixels": "Show the first input values, or name what a phone's dump got wrong.",
    "formats": "List sources, converters, optimizers and runtimes.",
    "doctor": "Show what is installed and what is missing.",
    "demo": "Train a small model on the spot and send it through everything.",
}


class _LazyGroup(click.Group):
    """Lists commands without importing them, so that --help needs no heavy library."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"phoneproof.cli.{cmd_name}_command")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            near = nearest(args[0], _COMMANDS)
            hint = f" Did you mean {near!r}?" if near else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="phoneproof")
def cli() -> None:
    """Make a trained vision model phone-proof, and prove that it is still the same model."""


def _run(arguments: list[str] | None) -> object:
    try:
        return cli.main(args=arguments, prog_name="phoneproof", standalone_mode=False)
    except ModuleNotFoundError as error:
        missing = MissingExtra.from_import(error)
        if missing is None:
            raise
        raise missing from error


def _exit_code(arguments: list[str] | None) -> int:
    try:
        code = _run(arguments)
    except PhoneproofError as error:
        click.echo(f"phoneproof: {error}", err=True)
        return error.exit_code
    except (click.exceptions.Abort, KeyboardInterrupt):
        click.echo("phoneproof: interrupted; finished steps are kept", err=True)
        return INTERRUPTED_EXIT_CODE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    return code if isinstance(code, int) else 0


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0, or the exit code of the error (see core.errors)."""
    code = _exit_code(arguments)
    if arguments is None:
        # The work is over: an interrupt could now only change how its end looks.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)

"""Reads the command line, runs the command, and turns errors into a sentence and a status."""

from __future__ import annotations

import argparse
import os
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from ..errors import EkgError
from .common import MODEL_OPTIONS, drop_output, model_options

ENTRY_POINTS = "ekg.commands"  # group of the modules that are commands, too


class Command(Protocol):
    """A module of this folder that is a command; its docstring is the command's help.

    Attributes
    ----------
    EXAMPLE : arguments of a call that one would type
    """

    EXAMPLE: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's own arguments."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work; gives the exit status."""


def main(
    arguments: Sequence[str] | None = None, *, prog: str = "ekg", commands: str = __package__
) -> int:
    """Run a command; errors are one sentence on standard error and exit status 2.

    Parameters
    ----------
    arguments : without the program's name; of this process by default
    prog : the program's name in the help
    commands : the package whose modules are the commands; by default this folder
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this, as some daemons do
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
        with suppress(AttributeError):  # a name that the encoding lacks must not end the work
            getattr(sys, name).reconfigure(errors="backslashreplace")
    given = sys.argv[1:] if arguments is None else list(arguments)
    args = _parser(prog, commands, _after_model_options(given)[:1]).parse_args(given)
    try:
        code = int(args.run(args))
        sys.stdout.flush()  # what is refused here would be lost at the end
        return code
    except EkgError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has read enough
        drop_output()
        return 0
    except OSError as error:
        drop_output()
        print(
            f"error: {error.filename or 'standard output'} cannot be written or read "
            f"({error.strerror or error}).",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        return 130


def _parser(prog: str, package: str, first: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser of a command line whose first argument but for the model's is ``first``."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="EKG beats and anomalies. Not a medical device.",
        epilog=f"`{prog} COMMAND --help` shows a command's options and an example.",
    )
    parser.add_argument("--version", action="version", version=f"ekg {_version()}")
    model_options(parser)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command in _commands(package, first):
        summary = (command.__doc__ or "").partition("\n")[0]
        added = commands.add_parser(
            name,
            help=summary,
            description=command.__doc__,
            epilog=f"example:\n  %(prog)s {command.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(added)
        model_options(added, again=True)
        added.set_defaults(run=command.run)
    return parser


def _after_model_options(arguments: Sequence[str]) -> Sequence[str]:
    """Arguments from the first on that is no option of `model_options` and no value of one."""
    at = 0
    while at < len(arguments) and arguments[at].partition("=")[0] in MODEL_OPTIONS:
        at += 1 if "=" in arguments[at] else 2
    return arguments[at:]


def _commands(package: str, first: Sequence[str]) -> list[tuple[str, Command]]:
    """Import the command that the first argument names; all of them if it names none.

    To import one command in place of all takes a tenth off the start.
    """
    modules = {
        found.name: f"{package}.{found.name}"
        for found in pkgutil.iter_modules(import_module(package).__path__)
    }
    if only := _imported({name: modules[name] for name in first if name in modules}):
        return only
    # What is installed beside the package may add commands. A checkout has its own folders only.
    if package == __package__ == "ekg.cli":
        from importlib.metadata import entry_points

        modules |= {one.name: one.value for one in entry_points(group=ENTRY_POINTS)}
    return _imported(modules)


def _imported(modules: Mapping[str, str]) -> list[tuple[str, Command]]:
    """Import modules, given by command and path, and keep those that are commands."""
    imported: list[tuple[str, Any]] = [
        (name, import_module(path)) for name, path in modules.items()
    ]
    return [(name, module) for name, module in imported if hasattr(module, "add_arguments")]


def _version() -> str:
    package = import_module(__package__.partition(".")[0])
    return str(getattr(package, "__version__", "of unknown version"))

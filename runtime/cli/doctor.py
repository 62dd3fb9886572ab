"""Report what is installed, which providers really run the model, and what is wrong."""

from __future__ import annotations

import argparse

from .installation import report

EXAMPLE = "--artifacts artifacts"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments but those of the model."""


def run(args: argparse.Namespace) -> int:
    """Print it; gives 1 if something is wrong."""
    return report(args.artifacts)

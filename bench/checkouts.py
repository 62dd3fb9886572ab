"""Another commit of this project beside the working tree, for as long as it is compared."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.environments import ROOT


class CheckoutError(Exception):
    """A commit cannot be checked out; the message says why."""


@contextmanager
def checkout(revision: str) -> Iterator[Path]:
    """Check a revision out into a temporary git worktree, which is removed at the end.

    If the loops in C are built here, they are built there, so that like is compared with like.

    Raises
    ------
    CheckoutError
        There is no such commit, or no git repository, or its loops cannot be built.
    """
    commit = commit_of(revision)
    with tempfile.TemporaryDirectory(prefix="ekg-") as folder:
        path = Path(folder) / "base"
        _git("worktree", "add", "--quiet", "--detach", str(path), commit)
        try:
            if loops_are_built() and (path / "setup.py").exists():
                _run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], path)
            yield path
        finally:  # git keeps a list of its worktrees: removing the folder is not enough
            _git("worktree", "remove", "--force", str(path))


def commit_of(revision: str) -> str:
    """The full hash of a commit; raises as `checkout`."""
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except CheckoutError:
        raise CheckoutError(
            f"--base {revision}: there is no such commit in {ROOT.name}/; expected "
            "a branch, a tag or a hash, in a git checkout."
        ) from None


def loops_are_built() -> bool:
    """Whether the loops in C are built in this working tree."""
    return any((ROOT / "runtime").rglob("compiled.*.so"))


def environment() -> dict[str, str]:
    """Environment of a process that must import from its own checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _git(*arguments: str) -> str:
    return _run(["git", *arguments], ROOT)


def _run(command: Sequence[str], folder: Path) -> str:
    what = " ".join(command[:2])
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise CheckoutError(f"{command[0]} cannot be run ({error.strerror}).") from error
    if done.returncode:
        raise CheckoutError(f"{what} failed: {done.stderr.strip()}")
    return done.stdout.strip()

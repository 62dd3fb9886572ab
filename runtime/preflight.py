"""Checks Python's version and the needed packages before anything else is imported.

Importing it makes the check, which the package's ``__init__`` does first. As a program (``python
runtime/preflight.py``, in the Makefile) it checks that an environment can be made with this
Python. Any Python from 3.6 on can read this file.
"""

import sys

OLDEST, NEWEST = (3, 11), (3, 13)  # that the tests run with


def python_problem(version: "tuple[int, ...]" = sys.version_info[:3]) -> str:
    """Return a sentence if this version of Python is not supported, else ''."""
    if OLDEST <= version[:2] <= NEWEST:
        return ""
    oldest, newest, this = (".".join(map(str, v)) for v in (OLDEST, NEWEST, version))
    return f"ekg needs Python {oldest} to {newest}, this is {this} ({sys.executable})."


def problem() -> str:
    """Return a sentence if this Python or its packages cannot run the commands, else ''."""
    unsupported = python_problem()
    if sys.version_info[:2] < OLDEST:
        return unsupported
    from .packages import NEEDED, why_not

    # A newer Python is not refused if everything is installed; pip may find no wheels for it.
    lacking = why_not(NEEDED, "for everything here")
    return unsupported or lacking if lacking else ""


def check() -> None:
    """End ``python -m runtime ...`` with a sentence and status 2 if it cannot run.

    Raises
    ------
    ImportError
        A program imports the package with a Python that is too old.
    """
    if sys.argv[:1] == ["-m"]:  # so it is while Python locates the module to run
        sentence = problem()
        if sentence:
            print("error: " + sentence, file=sys.stderr)
            sys.exit(2)
    elif sys.version_info[:2] < OLDEST:
        raise ImportError(python_problem())


def main() -> int:
    """Say which Python to name if this one is not supported; gives the exit status."""
    sentence = python_problem()
    if sentence:
        print(
            f"error: {sentence} Name another one: `make demo PYTHON=python3.{NEWEST[1]}`.",
            file=sys.stderr,
        )
    return 2 if sentence else 0


if __name__ == "__main__":
    sys.exit(main())
check()

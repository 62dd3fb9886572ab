"""``python -m runtime``: the command line from a checkout or an unpacked bundle."""

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main(prog=f"python -m {__package__}"))

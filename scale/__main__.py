"""``python -m scale``: the commands of this folder, from a checkout."""

import sys

from .ekg import main

if __name__ == "__main__":
    sys.exit(main.main(prog=f"python -m {__package__}", commands=f"{__package__}.cli"))

"""From a checkpoint to ``artifacts/``: every file is proven equal to torch before it is written."""

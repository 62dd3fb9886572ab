"""Resting ECGs in SCP-ECG (EN 1064, ISO 11073-91064); needs the package ``ecgdatakit``."""

from __future__ import annotations

from pathlib import Path

from .kit import kit_leads
from .leads import Lead
from .reader import Options, Reader

MAGIC, MAGIC_AT = b"SCPECG", 16  # in the header of the first section


class ScpReader(Reader):
    """Reads the rhythm leads of a record; a wrong checksum is refused."""

    name = "SCP-ECG"
    extensions = (".scp",)

    def recognises(self, path: Path) -> bool:
        """Return True if the header of the first section has SCP-ECG's mark."""
        with path.open("rb") as file:
            return file.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC

    def leads(self, path: Path, options: Options) -> list[Lead]:
        """List the leads, decompressed."""
        return kit_leads(path, self.name, options)

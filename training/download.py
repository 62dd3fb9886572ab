"""The folder of recordings: found, completed from PhysioNet, checked file by file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from runtime import RecordError
from runtime.records.physionet import PHYSIONET, SUMS, fetch, parse_sums, sha256
from training.databases import BEATLESS, RECORDS
from training.errors import DataError

PROJECT = Path(__file__).resolve().parent.parent
VERSION = "1.0.0"  # of every PhysioNet database used here


def data_folder() -> Path | None:
    """The folder that holds ``mitdb/`` and the others, or None if there is none.

    ``EKG_DATA`` names it; else ``data/``, else ``../shared/data``, seen from the project's root.
    """
    named = os.environ.get("EKG_DATA")
    if named:
        if not Path(named).is_dir():
            raise DataError(
                f"EKG_DATA names {named}, which is no folder; "
                "expected the folder that holds mitdb/ and svdb/."
            )
        return Path(named)
    for folder in (PROJECT / "data", PROJECT.parent / "shared" / "data"):
        if (folder / "mitdb").is_dir():
            return folder
    return None


def require_data(databases: Iterable[str] = ("mitdb", "svdb", "nstdb")) -> Path:
    """The data folder with these databases in it, complete and undamaged, downloaded if need be.

    A complete database without SHA256SUMS, which wfdb's own downloader does not write, is taken
    as it is.

    Raises
    ------
    DataError
        A database is unknown, or data are damaged, or missing and not to be had; then the
        message names the three remedies.
    """
    wanted = {database: _files(database) for database in databases}  # first: it may refuse
    folder = data_folder()
    if folder is None:
        folder = PROJECT / "data"
    for database, names in wanted.items():
        if not all((folder / database / name).is_file() for name in names):
            download(database, folder)
        verify(folder / database)
    return folder


def download(database: str, folder: Path, *, base_url: str | None = None) -> None:
    """Fetch one database from PhysioNet into ``folder/database``.

    Each file is checked against the database's SHA256SUMS.txt; a broken-off file is continued
    where it stopped. (wfdb's own downloader does neither, so this does not use it.)
    ``EKG_PHYSIONET`` names a mirror. No folder is made before the sums are there: an empty one
    would look like data.

    Raises
    ------
    DataError
        The server cannot be reached, lacks a file, or sends one that does not match, or the
        folder cannot be written.
    """
    import requests
    from tqdm import tqdm

    base = base_url or os.environ.get("EKG_PHYSIONET", PHYSIONET)
    url, target = f"{base}/{database}/{VERSION}", folder / database
    names = _files(database)
    try:
        with requests.Session() as http:
            reply = http.get(f"{url}/{SUMS}", timeout=30)
            reply.raise_for_status()
            sums = parse_sums(reply.text)
            target.mkdir(parents=True, exist_ok=True)
            for name in tqdm(names, desc=f"download {database}", unit="file"):
                fetch(http, f"{url}/{name}", target / name, sums.get(name))
            (target / "SHA256SUMS").write_text(
                "".join(f"{sums[name]}  {name}\n" for name in names if name in sums)
            )
    except RecordError as error:  # a file is not listed, or arrived damaged
        raise DataError(str(error)) from error
    except requests.RequestException as error:  # these are OSErrors too
        raise DataError(
            f"{database} is not in {folder} and could not be downloaded from {base} "
            f"({type(error).__name__}). Three ways to provide it: set EKG_DATA to a folder that "
            f"holds {database}/, put it under data/{database}/, or run again with a network "
            "connection (what is there already is kept)."
        ) from error
    except OSError as error:
        raise DataError(
            f"{database} cannot be written to {target} ({error.strerror or error}); expected "
            f"EKG_DATA or data/ to hold {database}/ or to be a folder to write to."
        ) from error


def verify(folder: Path) -> None:
    """Check every file that SHA256SUMS lists; without it there is nothing to check against.

    Raises
    ------
    DataError
        Names the first missing or damaged file.
    """
    for sums in (folder / "SHA256SUMS", folder / "SHA256SUMS.txt"):
        if sums.is_file():
            break
    else:
        return
    for name, expected in parse_sums(sums.read_text()).items():
        path = folder / name
        if path.suffix not in (".hea", ".dat", ".atr"):
            continue
        if not path.is_file():
            raise DataError(
                f"{path} is missing although {sums.name} lists it; "
                "download it again or copy it from a complete database."
            )
        if sha256(path) != expected:
            raise DataError(
                f"{path} is damaged (its SHA-256 is not the one in {sums.name}); "
                "delete it and download it again."
            )


def _files(database: str) -> list[str]:
    if database not in RECORDS:
        raise DataError(
            f"{database!r} is no database that is read here; expected one of {', '.join(RECORDS)}."
        )
    endings = (".hea", ".dat") if database in BEATLESS else (".hea", ".dat", ".atr")
    return [record + ending for record in RECORDS[database] for ending in endings]

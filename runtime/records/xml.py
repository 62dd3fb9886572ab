"""XML from strangers, read without document types: no entity can unfold or fetch anything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from ..errors import RecordError

BLOCK_BYTES = 1 << 16


def read_xml(path: Path) -> Element:
    """Read a document; names are without their namespaces.

    Raises
    ------
    RecordError
        It is not well formed, or declares a document type.
    """
    builder = TreeBuilder()
    try:
        with path.open("rb") as file:
            _parse(file, builder)
    except expat.ExpatError as error:
        raise RecordError(
            f"{path} is no whole XML file: {expat.ErrorString(error.code)} in line {error.lineno}."
        ) from error
    except _DocumentTypeError as error:
        raise RecordError(
            f"{path} declares a document type, which may hide anything; expected plain XML."
        ) from error
    except (LookupError, ValueError) as error:  # of an encoding that Python lacks
        raise RecordError(f"{path} is XML in an unknown encoding.") from error
    return builder.close()


def is_xml(path: Path) -> bool:
    """Return True if a file begins as XML does: with an element, or a document type."""
    found: list[str] = []

    def note(tag: str, _: dict[str, str]) -> Element:
        found.append(tag)
        return Element(tag)

    builder = TreeBuilder(element_factory=note)
    try:
        with path.open("rb") as file:
            _parse(file, builder, until=found)
    except _DocumentTypeError:
        return True
    except (expat.ExpatError, LookupError, ValueError):
        pass
    return bool(found)


class _DocumentTypeError(Exception):
    pass


def _parse(file: IO[bytes], builder: TreeBuilder, until: list[str] | None = None) -> None:
    """Feed a document to a builder; only as far as the first element if ``until`` is given."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse
    parser.StartElementHandler = lambda name, attributes: builder.start(
        _bare(name), {_bare(key): value for key, value in attributes.items()}
    )
    parser.EndElementHandler = lambda name: builder.end(_bare(name))
    parser.CharacterDataHandler = builder.data
    for block in _blocks(file):
        parser.Parse(block)
        if until:
            return
    parser.Parse(b"", True)


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _refuse(*_: object) -> None:
    raise _DocumentTypeError


def _bare(name: str) -> str:
    return name.rpartition("}")[2]

"""CONTRIBUTING: the ten questions lead to files that define what they are about."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROW = re.compile(r"^\| .*\? \| \[([\w/.]+)\]\(\1\) \| `(\w+)` \|$", re.MULTILINE)
QUESTIONS = ROW.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))


def test_contributing_answers_ten_questions() -> None:
    assert len(QUESTIONS) == 10
    assert len({file for file, _ in QUESTIONS}) == 10


@pytest.mark.parametrize(("file", "name"), QUESTIONS)
def test_the_file_defines_what_the_question_is_about(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    assert name in {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }

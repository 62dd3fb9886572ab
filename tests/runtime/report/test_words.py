"""The files of words: every language has every word, and sentences the same values."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime

import pytest

from runtime import InputError
from runtime.findings import Event
from runtime.report import languages
from runtime.report.words import FOLDER, KINDS, Words
from runtime.rhythm import RhythmPolicy, rules

OTHERS = [name for name in languages() if name != "en"]


def read(language: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((FOLDER / f"{language}.toml").read_text(encoding="utf-8"))


def named(sentence: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", sentence))


def test_the_languages_are_those_that_are_promised() -> None:
    assert languages() == ["en", "de", "es", "fr", "zh"]


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_word(language: str) -> None:
    english, words = read("en"), read(language)
    assert set(words) == {*english, "rules"}
    for section, ours in english.items():
        assert set(words[section]) == set(ours), section
        assert all(text.strip() for text in words[section].values()) or section == "numbers"
    for key, sentence in english["sentences"].items():
        assert named(words["sentences"][key]) == named(sentence), key


@pytest.mark.parametrize("language", OTHERS)
def test_nothing_is_left_in_english(language: str) -> None:
    english, words = read("en"), read(language)
    for section in ("kinds", "flaws", "sentences"):
        same = {key for key, text in words[section].items() if text == english[section][key]}
        assert same <= {"pause", "scale", "caption_rate", "caption_rr", "caption_score"}, section


@pytest.mark.parametrize("language", OTHERS)
def test_a_rule_has_the_limits_in_force(language: str) -> None:
    policy = RhythmPolicy(pause_s=2.75, run_beats=7, af_min_s=45.0)
    words = Words(language)
    for kind, english in rules(policy).items():
        rule = words.rule(Event(kind, 0.0, 1.0, 0.9, english), policy.limits)
        assert rule != english
        numbers = set(re.findall(r"\d+(?:[.,]\d+)?", rule))
        expected = {
            n.replace(".", words.number(0.1, 1)[1]) for n in re.findall(r"\d+(?:\.\d+)?", english)
        }
        assert numbers >= expected - {"3"}, kind


def test_an_event_without_a_policy_keeps_its_own_rule() -> None:
    assert Words("de").rule(Event("pause", 0, 1, 0.9, "as told"), {}) == "as told"


def test_every_word_is_used() -> None:
    folder = FOLDER.parent
    sources = "".join(
        file.read_text(encoding="utf-8")
        for file in (*folder.glob("*.py"), *(folder / "templates").iterdir())
    )
    english = read("en")
    for section in ("labels", "sentences"):
        unused = {key for key in english[section] if not re.search(rf"[\"']{key}[\"']", sources)}
        assert not unused, section
    assert set(english["kinds"]) >= set(KINDS)


@pytest.mark.parametrize(
    ("language", "number", "share"),
    [
        ("en", "12,345.6", "22.0\u202f%"),
        ("de", "12.345,6", "22,0\u202f%"),
        ("fr", "12\u202f345,6", "22,0\u202f%"),
        ("es", "12.345,6", "22,0\u202f%"),
        ("zh", "12,345.6", "22.0%"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(
    language: str, number: str, share: str
) -> None:
    words = Words(language)
    assert words.number(12345.6, 1) == number
    assert words.percent(0.22) == share
    assert words.number(-1.5, 1)[0] == "\N{MINUS SIGN}"


def test_moments_are_the_clock_s_if_it_is_known() -> None:
    start = datetime(2026, 2, 3, 23, 59, 30)
    words = Words("de", start)
    assert words.moment(10.25, 1) == "23:59:40,2"
    assert words.moment(45) == "Tag 2, 00:00:15"
    assert words.date() == "03.02.2026, 23:59:30"
    assert Words("en", start.replace(year=1, month=1, day=1)).date() == "23:59:30"
    assert Words("en").moment(3725.04, 1) == "1:02:05.0"
    assert Words("en").date() == ""
    assert Words("en").length(59.94) == "59.9 s"
    assert Words("en").length(61) == "0:01:01"


def test_a_language_without_words_is_refused() -> None:
    with pytest.raises(InputError, match="no words in 'la'; expected one of en, de"):
        Words("la")

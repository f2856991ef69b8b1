"""Both languages say the same, all of it, and nothing is said outside the word files."""

import re
from pathlib import Path
from string import Formatter

import pytest

from crm.attributes import NO_HISTORY
from pages.words import load_words
from training.report.notes import OPTIONAL

PAGES = Path(__file__).parents[3] / "pages"
ALIGNMENT = PAGES.parent / "alignment"
OTHER_LANGUAGE = ("board.other_language",)
"""Links to the page in the other language are in that language."""
JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")


def _placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    english, japanese = load_words("en").texts, load_words("ja").texts
    assert list(english) == list(japanese)
    assert {key: _placeholders(text) for key, text in english.items()} == {
        key: _placeholders(text) for key, text in japanese.items()
    }


def test_english_has_no_japanese_and_japanese_leaves_no_english_sentence() -> None:
    words = load_words("en").texts.items()
    assert not [key for key, text in words if JAPANESE.search(text) and key not in OTHER_LANGUAGE]
    bare = {key: re.sub(r"\{\w+\}", "", text) for key, text in load_words("ja").texts.items()}
    assert not [
        key
        for key, text in bare.items()
        if key not in OTHER_LANGUAGE and not JAPANESE.search(text) and re.search(r"[a-z]+ [a-z]+ [a-z]+", text)
    ]


def test_japanese_uses_full_width_punctuation() -> None:
    texts = {key: text for key, text in load_words("ja").texts.items() if key != "date.moment"}
    assert not [key for key, text in texts.items() if re.search(r"[(),;?!]|:", re.sub(r"\{\w+\}", "", text))]


def test_every_word_is_used() -> None:
    board = "".join(path.read_text() for path in ALIGNMENT.rglob("*.py"))
    code = board + "".join(path.read_text() for path in [*PAGES.glob("*.py"), *PAGES.glob("templates/*.html")])
    literal = set(re.findall(r'"([a-z_]+(?:\.\w+)+)"|\'([a-z_]+(?:\.\w+)+)\'', code))
    used = {key for pair in literal for key in pair if key}
    stems = tuple(re.findall(r'"((?:[a-z_]+\.)+)\{', code)) + tuple(re.findall(r'"(verdict\.[a-z]*_?)\{', code))
    stems += tuple(re.findall(r'"((?:[a-z_]+\.)+[a-z]+_)\{', board))
    columns = {
        f"{section}.{name.partition(':')[0]}"
        for section, names in re.findall(r'columns\(\s*(?:context\.)?words,\s*"(\w+)",([^)]*)\)', code)
        for name in re.findall(r'"([\w:]+)"', names)
    }
    columns |= {f"board_column.{name}" for name in re.findall(r'"(\w+)(?::[nwd])?"', board)}
    unused = [key for key in load_words("en").texts if key not in used | columns and not key.startswith(stems)]
    assert unused == []


def test_templates_hold_no_text_of_their_own() -> None:
    for path in PAGES.glob("templates/*.html"):
        source = re.sub(r"\{%.*?%\}|\{\{.*?\}\}|<script>.*?</script>", "", path.read_text(), flags=re.DOTALL)
        for attribute in re.findall(r'(?:aria-label|title|alt|placeholder)="([^"]*)"', source):
            assert not attribute.strip(), f"{path.name}: {attribute}"
        text = re.sub(r"<[^>]*>", "", source)
        assert not re.search(r"\w", text), f"{path.name}: {re.search(r'.*[a-zA-Z].*', text)}"


@pytest.mark.parametrize(
    "sentence",
    [
        *OPTIONAL.values(),
        NO_HISTORY,
        "unknown lead",
        "happened_at is missing",
        "happened_at is no time",
        "amount in USD without a rate to the workspace currency",
        "duplicate key: the row before it with the same lead_id was kept",
        "equals visit_count_30d in every training row",
        "Fewer than 100 wins are mature: the score speaks of SQL.",
        "[old_rule.touches] names 'vist', a kind that no touch of a lead has.",
        "[old_rule.attributes.level] names 'VP', a value that no lead has had.",
        "2025-01-01 to 2025-03-01: trained on 1,200 rows with 40 outcomes, tested on 300 with 9",
    ],
)
def test_sentences_of_other_packages_are_translated(sentence: str) -> None:
    assert JAPANESE.search(load_words("ja").phrase(sentence))
    assert load_words("en").phrase(sentence) == sentence


def test_an_unknown_sentence_stays_as_it_is() -> None:
    assert load_words("ja").phrase("A sentence nobody knows.") == "A sentence nobody knows."


def test_another_language_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'en' or 'ja'"):
        load_words("de")  # type: ignore[arg-type]

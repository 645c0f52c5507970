"""Cleaning, filters and personal data: what they change, and above all what they leave alone."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.text import load_corpus, load_task
from course_lib.text.cleaning import (
    clean_text,
    drop_control_characters,
    repair_mojibake,
    strip_html,
    tidy_whitespace,
)
from course_lib.text.filters import Language, Quality, guess_language, quality_problems
from course_lib.text.personal_data import find_personal_data, redact

TEXT = st.text(max_size=60)


@given(TEXT)
def test_cleaned_text_can_be_written_and_holds_no_control_character(text):
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert not {unicodedata.category(character) for character in cleaned if character != "\n"} & {"Cc", "Cs"}
    assert cleaned == cleaned.strip() and "  " not in cleaned and "\n\n\n" not in cleaned


@given(st.text(st.characters(min_codepoint=0xA0, max_codepoint=0x24FF, exclude_categories=["Cs", "Cn"]), max_size=20))
def test_mojibake_is_undone(text):
    """Whatever can be garbled by reading UTF-8 as Windows-1252 comes back."""
    try:
        garbled = text.encode("utf-8").decode("cp1252")
    except UnicodeDecodeError:
        return
    assert repair_mojibake(garbled) == text


@pytest.mark.parametrize("text", ["señor, ¿qué?", "naïve café", "Ärger über Öl", "“quoted” — and…", "½ ± ²", "Ãngela"])
def test_accents_that_are_right_stay(text):
    assert repair_mojibake(text) == clean_text(text) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a < b and c > d, List<String>, x<y>z", "a < b and c > d, List<String>, x<y>z"),
        ("<p class='a'>One</p><P>two<br/>three</P>", "\nOne\n\ntwo\nthree\n"),
        ("<!-- no\nmore --><b>bold</b> <a href=x>link</a>", "bold link"),
        ("<script>if (a < b) f()</script>x<style>p { }</style>", "x"),
        ("fish &amp; chips &lt;now&gt; &eacute;&#8217;", "fish & chips <now> é’"),
    ],
)
def test_html(before, after):
    assert strip_html(before) == after


def test_control_characters():
    assert drop_control_characters("a\x00b\x07c\ufeff\u200b\xad\u202ed\ud83d") == "abcd"
    assert drop_control_characters("one\r\ntwo\rthree\u2028four\ttab") == "one\ntwo\nthree\nfour\ttab"
    assert drop_control_characters("👩\u200d🔬 می\u200cخواهم") == "👩\u200d🔬 می\u200cخواهم"


def test_whitespace():
    assert tidy_whitespace("  a \t b  \n\n\n\n c\u3000d ") == "a b\n\nc d"
    program = "def f():\n    return  1   \n\n\n\n\n\nx\n"
    assert tidy_whitespace(program, code=True) == "def f():\n    return  1\n\n\nx"
    assert clean_text("    if a:\n\tb &amp; <b>", code=True) == "    if a:\n\tb &amp; <b>"
    assert clean_text("ﬁne x²", form="NFKC") == "fine x2" and clean_text("ﬁne x²") == "ﬁne x²"
    assert clean_text("e\u0301") == "é"


@pytest.mark.parametrize("name", ["tiny_world", "python_docs"])
def test_clean_corpora_keep_their_words(name):
    for document in load_corpus(name).train[:50]:
        assert clean_text(document).split() == document.split()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The cat sat on the mat, and it was not alone for long.", "en"),
        ("Der Hund ist nicht in dem Haus, und die Katze ist auch nicht da.", "de"),
        ("Le chat est dans la maison et les chiens sont dans le jardin.", "fr"),
        ("El perro no está en la casa, pero el gato es muy feliz en el jardín.", "es"),
        ("Il gatto non è nella casa, ma il cane è con una persona della città.", "it"),
        ("O gato não está em casa, mas o cão é muito feliz com uma pessoa.", "pt"),
        ("De hond is niet in het huis en de kat is er ook niet, maar hij wel.", "nl"),
        ("猫在花园里，狗也在那里。", "zh"),
        ("猫は庭にいます。犬もそこにいます。", "ja"),
        ("고양이가 정원에 있습니다.", "ko"),
        ("Кошка сидит в саду.", "ru"),
        ("Η γάτα είναι στον κήπο.", "el"),
        ("القطة في الحديقة", "ar"),
        ("1 + 1 = 2", "unknown"),
        ("", "unknown"),
        ("Zzz qqq", "unknown"),
        ("ᚠᚢᚦ", "unknown"),
    ],
)
def test_languages(text, code):
    guess = guess_language(text)
    assert guess.code == code
    assert 0 <= guess.confidence <= 1 and (guess.confidence > 0) == (code != "unknown")


def test_languages_of_the_corpora():
    chinese = load_task("translation")["validation"]["zh"][:200]
    assert all(guess_language(sentence) == Language("zh", 1.0) for sentence in chinese)
    assert all(guess_language(document).code == "en" for document in load_corpus("python_docs").train)


def test_quality_reasons():
    good = load_corpus("python_docs").train[5]
    assert quality_problems(good) == []
    table = {
        "only 4 words": "not enough words here",
        "words of 1.0 characters on average": "a b c d e f g " * 20,
        "of the words have a letter": "12 34 the of to 56 78 90 " * 20,
        "'#' and '…' for each word": "the # of # and # to # " * 20,
        "100% of the lines are bullet points": "\n".join(f"- the point of number {n} and more" for n in range(20)),
        "100% of the lines are cut off": "\n".join(f"the point of number {n} and more…" for n in range(20)),
        "95% of the lines are repeated": "the same line of words and words\n" * 20,
        "of the phrases are repeated": "the same words of a phrase and " * 20,
        "0 function words of a known language": " ".join(f"word{n} zzz" for n in range(60)),
    }
    for reason, text in table.items():
        assert any(reason in found for found in quality_problems(text)), reason
    assert quality_problems("the cat and dog " * 4, at_most=10)[1:2] == ["16 words"]
    assert Quality.of("").words == 0 and quality_problems("")[0] == "only 0 words"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Write to jo.smith+news@mail.example.org.", "e-mail"),
        ("key AKIAIOSFODNN7EXAMPLE here", "key"),
        ("hf_" + "a" * 34, "key"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "key"),
        ("IBAN DE89 3704 0044 0532 0130 00", "account"),
        ("card 4111 1111 1111 1111 ok", "card"),
        ("身份证 11010519491231002X", "identity number"),
        ("SSN 078-05-1120", "identity number"),
        ("from 8.8.8.8 today", "IP address"),
        ("call +44 20 7946 0958", "telephone"),
        ("call (555) 123-4567", "telephone"),
        ("手机13812345678", "telephone"),
    ],
)
def test_personal_data_is_found_and_redacted(text, kind):
    (found,) = find_personal_data(text)
    assert found.kind == kind and text[found.start : found.end] == found.text
    assert found.text not in redact(text) and f"<{kind}>" in redact(text)
    assert find_personal_data(redact(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "version 3.11.7, section 2.2.1, pi is 3.14159265358979",
        "on 2024-05-17 at 10:30, and 1,234,567,890 people",
        "card 4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "127.0.0.1 and 192.168.0.1 and 999.1.1.1",
        "11010519491231002Y 110105194912310021",
        "@decorator, a@b, x = y@z",
        "0000 0000 0000 0000",
    ],
)
def test_what_only_looks_like_it_is_not_found(text):
    assert find_personal_data(text) == []


def test_stories_hold_no_personal_data():
    assert not any(map(find_personal_data, load_corpus("tiny_world").train[:500]))

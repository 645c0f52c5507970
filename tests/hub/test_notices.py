"""Warnings of transformers come out where they can be read."""

import pytest
from transformers.utils import logging as theirs

from course_lib.hub.notices import WIDTH, OnThePage, notices_on_the_page, plain


@pytest.fixture(autouse=True)
def as_it_was():
    shown, bars = theirs.get_verbosity(), theirs.is_progress_bar_enabled()
    yield
    logger = theirs.get_logger("transformers")
    for handler in [handler for handler in logger.handlers if isinstance(handler, OnThePage)]:
        logger.removeHandler(handler)
    theirs.enable_default_handler()
    theirs.set_verbosity(shown)
    if bars:
        theirs.enable_progress_bar()


def test_a_warning_is_printed_once_and_not_on_the_error_stream(capsys):
    notices_on_the_page()
    notices_on_the_page()  # a cell that is run again
    theirs.set_verbosity_warning()
    theirs.get_logger("transformers.something").warning("\x1b[1mBert LOAD REPORT\x1b[0m from: course/x")
    printed = capsys.readouterr()
    assert printed.out == "Bert LOAD REPORT from: course/x\n"
    assert printed.err == ""
    assert not theirs.is_progress_bar_enabled()


def test_what_is_switched_off_stays_off(capsys):
    notices_on_the_page()
    theirs.set_verbosity_error()
    theirs.get_logger("transformers.something").warning("nobody asked")
    assert capsys.readouterr().out == ""


def test_long_lines_are_wrapped_and_tables_keep_their_lines():
    text = plain("Key | Status  \n" + "word " * 60)
    first, *rest = text.splitlines()
    assert first == "Key | Status" and len(rest) > 1
    assert all(len(line) <= WIDTH for line in rest)


def test_the_rows_of_a_report_are_in_order_and_nothing_else_moves():
    report = "LOAD REPORT\nKey | Status\n----+-----\nb | MISSING\na | MISSING\n\nNotes:\n- z | y\n- MISSING"
    lines = plain(report).splitlines()
    assert lines == "LOAD REPORT,Key | Status,----+-----,a | MISSING,b | MISSING,,Notes:,- z | y,- MISSING".split(",")
    assert plain("b | c\na | b").splitlines() == ["b | c", "a | b"]  # no table

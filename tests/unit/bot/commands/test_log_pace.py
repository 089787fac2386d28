from __future__ import annotations

import logging

from bot.commands.log_pace import OncePerSecond


class Log:
    """A handler that keeps what passes, with a clock that a test moves."""

    def __init__(self):
        self.now = 50.0
        self.said = []
        self._filter = OncePerSecond(("uvicorn",), clock=lambda: self.now)

    def write(self, message, *args, name="bot.web", level=logging.WARNING, line=1, exc_info=None):
        record = logging.LogRecord(name, level, "file.py", line, message, args, exc_info)
        if self._filter.filter(record):
            self.said.append(record.getMessage())


def test_a_warning_that_comes_again_and_again_is_said_once_a_second_and_counted():
    log = Log()
    for _ in range(500):
        log.write("Invalid HTTP request received.", name="uvicorn.error")
    log.now += 1
    log.write("Invalid HTTP request received.", name="uvicorn.error")
    assert log.said == ["Invalid HTTP request received.", "Invalid HTTP request received. (and 499 more like it)"]


def test_a_librarys_warning_is_one_cause_whatever_words_a_stranger_puts_into_it():
    log = Log()
    for number in range(500):
        log.write("No file %s", number, name="uvicorn.error")
    assert log.said == ["No file 0"]


def test_our_own_warnings_about_different_things_are_all_said():
    log = Log()
    for slug in ("zen", "noir", "zen"):
        log.write("The persona %s is broken.", slug)
    assert log.said == ["The persona zen is broken.", "The persona noir is broken."]


def test_tracebacks_of_one_place_and_kind_are_one_cause():
    log = Log()
    for number in range(3):
        for error in (ValueError("a"), OSError("b")):
            log.write("reply %s broke", number, exc_info=(type(error), error, None))
    assert log.said == ["reply 0 broke", "reply 0 broke"]


def test_what_is_no_warning_is_always_said():
    log = Log()
    for _ in range(3):
        log.write("reply succeeded", level=logging.INFO)
    assert len(log.said) == 3


def test_what_was_said_is_not_remembered_without_end():
    log = Log()
    for number in range(5000):
        log.write("No %s", number)
    assert len(log._filter._causes) <= 1024

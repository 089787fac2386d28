from __future__ import annotations

import logging

import pytest

from bot.commands.logs import HIDDEN, SecretFormatter, configure_logging

TOKEN = "MTA.token.of-a_bot"


@pytest.fixture
def log(capsys):
    """Logs at a level, and returns what was written."""
    root, before = logging.getLogger(), (logging.getLogger().level, logging.getLogger().handlers[:])

    def write(level, act):
        configure_logging(level, secrets=(TOKEN,))
        act()
        return capsys.readouterr().err

    yield write
    root.setLevel(before[0])
    root.handlers[:] = before[1]
    logging.getLogger("discord").setLevel(logging.NOTSET)


def fail(message):
    try:
        raise RuntimeError(message)
    except RuntimeError:
        logging.getLogger("discord.client").exception("Attempting a reconnect in %.2fs", 1.5)


def test_a_secret_is_hidden_in_messages_arguments_and_tracebacks(log):
    def act():
        logging.getLogger("x").warning("with %s in %r", TOKEN, {"Authorization": f"Bot {TOKEN}"})
        fail(f"refused: {TOKEN}")

    written = log("DEBUG", act)
    assert TOKEN not in written
    assert "Traceback" in written
    assert written.count(HIDDEN) == 3


@pytest.mark.parametrize(
    ("logged", "shown"),
    [
        ("POST https://discord.com/api/v10/webhooks/17/aB-c_d/messages/5", "/webhooks/17/***/messages/5"),
        ("POST https://discord.com/api/v10/interactions/17/aB-c_d/callback", "/interactions/17/***/callback"),
        ("Event: {'token': 'aW5=.x', 'id': '5'}", "{'token': '***', 'id': '5'}"),
        ('{"session_id": "0a9"}', '{"session_id": "***"}'),
        ("wss://wss.slack.com/link/?ticket=1a-2b&app_id=3", "?ticket=***&app_id=3"),
        ("POST https://hooks.slack.com/commands/T1/2/abc", "hooks.slack.com/***"),
        ("nothing to hide: 17/5", "nothing to hide: 17/5"),
    ],
)
def test_tokens_that_platforms_hand_out_are_hidden_too(logged, shown):
    record = logging.LogRecord("discord.http", logging.DEBUG, __file__, 1, logged, None, None)
    assert SecretFormatter("%(message)s", ()).format(record).endswith(shown)


def test_a_lost_connection_is_a_line_and_not_a_traceback(log):
    written = log("INFO", lambda: fail("the line is dead"))
    assert "Attempting a reconnect in 1.50s" in written
    assert "Traceback" not in written


def test_an_empty_secret_hides_nothing():
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "plain words", None, None)
    assert SecretFormatter("%(message)s", ("",)).format(record) == "plain words"


def test_words_of_strangers_steer_no_terminal_and_begin_no_line(log):
    name = "evil\n12:00:00 the key is wrong\x1b[2J\x1b]0;mine\x07"
    written = log("INFO", lambda: logging.getLogger("x").warning("%s is left out", name))
    assert "\x1b" not in written and "\x07" not in written
    assert [line for line in written.splitlines() if not line.startswith("    ")] == [written.splitlines()[0]]

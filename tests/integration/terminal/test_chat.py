"""The terminal chat: its commands on the echo engine, then the real command on a tiny model."""

from __future__ import annotations

import asyncio
import io
import json
import os
import pty
import select
import signal
import sqlite3
from contextlib import closing

import pytest
from rich.console import Console

from bot.service.service import Service
from bot.terminal.chat import TerminalChat
from core.engine.echo_engine import EchoEngine
from core.errors import NotFound
from core.settings import Settings
from tests.models.tiny_models import make_tiny_model
from tests.running.command import environment, personas
from tests.running.serving import until_one_waits, write_persona, write_personas
from tests.running.warm_process import start_process


class Talk:
    """A chat whose output is text."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.out, self.err = io.StringIO(), io.StringIO()
        consoles = [Console(file=file, width=200, color_system=None) for file in (self.out, self.err)]
        self.chat = TerminalChat(service, *consoles, spec="zen", user="ann")

    async def say(self, line: str) -> str:
        """What a line is answered with."""
        self.out.seek(0)
        self.out.truncate()
        assert await self.chat.handle(line)
        return self.out.getvalue()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.service.settings.data_dir / "personas.db")) as database:
            return database.execute(query).fetchall()

    async def feedback(self) -> list[tuple[object, ...]]:
        return self.rows("SELECT user_id, label, source FROM feedback")


@pytest.fixture
async def talk(tmp_path):
    write_personas(tmp_path / "personas")
    settings = Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas")
    service = await Service.open(settings, engine=EchoEngine())
    await service.start()
    yield Talk(service)
    await service.stop()


async def test_what_is_asked_while_the_model_loads_waits_and_is_answered(tmp_path):
    service = await Service.open(
        Settings(data_dir=tmp_path / "data", dir=write_personas(tmp_path / "personas")), engine=EchoEngine()
    )
    talk = Talk(service)
    asking = asyncio.create_task(talk.say("good morning"))
    await until_one_waits(service.queue)
    await service.start()
    assert await asking == "[zen@1] good morning\n"
    assert talk.err.getvalue() == ""
    await service.stop()


async def test_a_line_is_answered_by_the_persona_and_the_ledger_says_who_asked(talk):
    assert await talk.say("good morning") == "[zen@1] good morning\n"
    with closing(sqlite3.connect(talk.service.settings.data_dir / "personas.db")) as database:
        rows = database.execute("SELECT source, user_id, model, status FROM exchanges").fetchall()
    assert rows == [("terminal", "ann", "zen", "succeeded")]


async def test_commands_switch_persona_and_blend(talk):
    assert "Captain Codebeard" in await talk.say("/persona codebeard")
    assert await talk.say("hello") == "[codebeard@1] hello\n"
    assert "70 % 🏴 Captain Codebeard + 30 % 🧘 Master Zen" in await talk.say("/blend codebeard:0.7+zen:0.3")
    assert await talk.say("hello") == "[codebeard@1:0.7+zen@1:0.3] hello\n"
    assert "🧊 Base model" in await talk.say("/persona base")
    assert await talk.say("hello") == "hello\n"


async def test_personas_and_help_are_told(talk):
    assert "Captain Codebeard" in await talk.say("/personas")
    assert "/blend" in await talk.say("/help")


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("/persona nobody", '"nobody"'),
        ("/persona", "/persona zen"),
        ("/blend zen:x", '"x"'),
        ("/dance", "/dance"),
        ("+", "ask something first"),
        ("/again", "ask something first"),
        ("/pick", "ask something first"),
        ("/better a pile", "ask something first"),
        ("/takeback", "ask something first"),
    ],
)
async def test_a_wrong_line_is_told_in_one_sentence_and_the_chat_goes_on(talk, line, part):
    await talk.say(line)
    assert part in talk.err.getvalue()
    assert talk.chat.failures == 1
    assert await talk.say("hello") == "[zen@1] hello\n"


async def test_thumbs_judge_the_last_reply_and_the_latest_counts(talk):
    await talk.say("hello")
    await talk.say("+")
    assert await talk.feedback() == [("ann", 1, "terminal")]
    await talk.say("-")
    assert await talk.feedback() == [("ann", 0, "terminal")]


async def test_a_thumb_is_taken_back(talk):
    await talk.say("hello")
    await talk.say("-")
    assert "Taken back" in await talk.say("/takeback")
    assert await talk.feedback() == []


async def test_another_answer_is_a_variant_and_one_of_them_can_be_picked(talk):
    await talk.say("hello")
    assert await talk.say("/again") == "[zen@1] hello\n2/2; /pick, or /pick 1 and so on, says which one is better\n"
    await talk.say("/persona codebeard")
    assert (await talk.say("/again")).startswith("[zen@1] hello\n3/3;")  # by whoever gave the first one
    assert "of the 3 answers" in await talk.say("/pick 2")
    first, second, third = talk.rows("SELECT id FROM exchanges ORDER BY created_at")
    assert talk.rows("SELECT variant_of FROM exchanges ORDER BY created_at") == [(None,), first, first]
    pairs = talk.rows("SELECT chosen_id, rejected_id, user_id, source FROM preferences")
    assert sorted(pairs) == sorted((*second, *other, "ann", "terminal") for other in (first, third))
    await talk.say("/pick")
    assert {chosen for chosen, _ in talk.rows("SELECT chosen_id, rejected_id FROM preferences")} == set(second)
    await talk.say("+")
    assert talk.rows("SELECT exchange_id FROM feedback") == [second]


async def test_the_talk_goes_on_from_the_answer_that_was_picked(talk):
    gate = talk.service.engine.gate
    await talk.say("one two three")
    gate.close()
    writing = asyncio.create_task(talk.say("/again"))
    await gate.wait_until_held()
    gate.let_through(2)
    await gate.wait_until_held()
    os.kill(os.getpid(), signal.SIGINT)
    assert "(stopped)" in await writing
    gate.open()
    await talk.say("/pick")
    assert "stopped before its end" in talk.err.getvalue()
    await talk.say("/pick 1")
    assert "no other finished answer" in talk.err.getvalue()
    await talk.say("/again")
    assert "of the 2 answers" in await talk.say("/pick 1")
    await talk.say("go on")
    [(prompt,)] = talk.rows("SELECT prompt FROM exchanges ORDER BY created_at DESC LIMIT 1")
    assert json.loads(prompt)[1] == {"role": "assistant", "content": "[zen@1] one two three"}


async def test_a_better_answer_to_the_last_reply_is_kept(talk):
    await talk.say("hello")
    assert "/better" in await talk.say("-")
    assert "Noted" in await talk.say("/better Good  morning, /quit or not!")
    rows = talk.rows("SELECT text, user_id, source FROM corrections")
    assert rows == [("Good  morning, /quit or not!", "ann", "terminal")]


async def test_clear_forgets_the_conversation_and_what_could_be_judged(talk):
    await talk.say("hello")
    await talk.say("/clear")
    await talk.say("+")
    assert "ask something first" in talk.err.getvalue()


async def test_a_models_text_cannot_steer_the_terminal(talk):
    assert await talk.say("red \x1b[31malert\x07 [bold]x") == "[zen@1] red [31malert [bold]x\n"


async def test_ctrl_c_stops_the_reply_and_not_the_chat(talk):
    gate = talk.service.engine.gate
    gate.close()
    saying = asyncio.create_task(talk.say("hello"))
    await gate.wait_until_held()
    os.kill(os.getpid(), signal.SIGINT)
    assert "(stopped)" in await saying
    gate.open()
    assert await talk.say("again") == "[zen@1] again\n"


async def test_a_thumb_after_a_stopped_reply_is_not_for_the_reply_before_it(talk):
    gate = talk.service.engine.gate
    await talk.say("first")
    gate.close()
    saying = asyncio.create_task(talk.say("second"))
    await gate.wait_until_held()
    os.kill(os.getpid(), signal.SIGINT)
    await saying
    gate.open()
    await talk.say("-")
    assert "no finished reply to judge" in talk.err.getvalue()
    assert await talk.feedback() == []


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("/pick 0", "from 1 to 1"),
        (f"/pick {'9' * 5_000}", "from 1 to 1"),
        ("/pick two", '"two"'),
        ("/pick", "no other finished answer"),
        ("/better", "/better A"),
    ],
)
async def test_what_is_said_wrongly_of_an_answer_is_told_in_one_sentence(talk, line, part):
    await talk.say("hello")
    await talk.say(line)
    assert part in talk.err.getvalue()


async def test_nobody_to_talk_to_is_an_error(talk):
    with pytest.raises(NotFound, match="nobody"):
        TerminalChat(talk.service, Console(), Console(), spec="nobody", user="ann")


async def test_quit_ends_it(talk):
    assert not await talk.chat.handle("/quit")


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory):
    return str(make_tiny_model("llama", tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def tiny(tmp_path, tiny_model):
    """Settings of a chat on the tiny model with replies of a few tokens."""
    write_persona(tmp_path / "personas" / "zen", "Master Zen", "🧘")
    return {
        "PERSONAS_BASE_MODEL": tiny_model,
        "PERSONAS_DIR": str(tmp_path / "personas"),
        "PERSONAS_MAX_NEW_TOKENS": "8",
        "PERSONAS_DEVICE": "cpu",
    }


def ledger(data_dir) -> list[tuple[object, ...]]:
    query = "SELECT status, label FROM exchanges LEFT JOIN feedback ON exchange_id = id ORDER BY created_at"
    with closing(sqlite3.connect(data_dir / "personas.db")) as database:
        return database.execute(query).fetchall()


def test_a_script_pipes_lines_in_and_reads_replies(tmp_path, tiny):
    done = personas("chat", "zen", data_dir=tmp_path / "data", text="\ufeff/clear\nhello\n+\nand you?\n", **tiny)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("forgotten") or "\nforgotten" in done.stdout  # behind the mark of a Windows editor
    assert "👍 noted" in done.stdout
    assert not done.stderr
    assert ledger(tmp_path / "data") == [("succeeded", 1), ("succeeded", None)]


def test_a_script_learns_from_the_status_that_a_line_went_wrong(tmp_path, tiny):
    done = personas("chat", data_dir=tmp_path / "data", text=b"/dance\nhello\n\xff\xfe\n", **tiny)
    assert done.returncode == 1
    assert "There is no command /dance; /help lists them.\nLine 3 of the input is not UTF-8" in done.stderr
    assert ledger(tmp_path / "data") == [("succeeded", None)]


class Terminal:
    """A pseudo terminal with the command in it, as a person has one."""

    def __init__(self, *arguments: str, **variables) -> None:
        self._ours, theirs = pty.openpty()
        self.process = start_process(
            ["-m", "bot.cli", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**variables, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"},
            cwd="/",
            start_new_session=True,
        )
        os.close(theirs)
        self._unread = b""

    def read_until(self, text: bytes) -> bytes:
        """Everything up to and including `text`; what comes after it is for the next call."""
        while text not in self._unread:
            is_there, _, _ = select.select([self._ours], [], [], 120)
            assert is_there, f"waited for {text!r} and got {self._unread!r}"
            self._unread += os.read(self._ours, 4096)
        before, found, self._unread = self._unread.partition(text)
        return before + found

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def __enter__(self):
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


PROMPT, ENTERED = b"you>", b"\x1b[?2004l"  # the latter: the editor gives the terminal back
F9, F10, CTRL_D = b"\x1b[20~", b"\x1b[21~", b"\x04"


def test_in_a_terminal_a_key_gives_a_thumb_and_ctrl_d_ends_it(tmp_path, tiny):
    with Terminal("chat", "zen", **environment(tmp_path / "data", **tiny)) as terminal:
        terminal.read_until(PROMPT)
        terminal.type(b"hello\r")
        terminal.read_until(ENTERED)
        terminal.read_until(PROMPT)
        terminal.type(F9)
        terminal.read_until("👍 noted".encode())
        terminal.read_until(PROMPT)
        terminal.type(F10)
        terminal.read_until("👎 noted".encode())
        terminal.read_until(PROMPT)
        terminal.type(CTRL_D)
        assert terminal.process.wait(120) == 0
    assert ledger(tmp_path / "data") == [("succeeded", 0)]


async def test_older_messages_that_do_not_fit_are_told_of(talk):
    assert "left out" not in await talk.say("word " * 60)
    said = [await talk.say("word " * 60) for _ in range(3)]
    assert said[-1].rstrip().endswith("Older messages were left out.")

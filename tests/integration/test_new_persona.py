"""`personas new` as a shell runs it, and the persona it makes in everything that serves. No model is loaded."""

from __future__ import annotations

import json

import pytest

from bot.new_persona.persona_folder import write_draft
from bot.new_persona.starter import starter_draft
from tests.examples.character_cards import card_v2, card_v3, png, text_chunk, write_card
from tests.examples.persona_folders import write_persona
from tests.examples.store import write_adapter
from tests.running.command import TORCH_FREE, assert_one_sentence, personas
from tests.running.serving import echo_server, write_personas

RESTART = "A `personas serve` that is running sees it after a restart, on Discord and in the playground, too."


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def given(tmp_path, data_dir):
    """A data folder and two shipped personas, for a command without torch, training and web packages."""
    folder = write_personas(tmp_path / "personas")
    return {"data_dir": data_dir, "without": (*TORCH_FREE, "training"), "PERSONAS_DIR": str(folder)}


def made(data_dir):
    """What there is of personas of one's own, hidden folders too."""
    own = data_dir / "personas"
    return sorted(path.name for path in own.iterdir()) if own.exists() else []


def test_a_new_persona_is_there_in_one_command_which_says_what_comes_next(data_dir, given):
    done = personas("new", "ada", "--name", "Ada Lovelace", "--description", "Exact.", **given)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        f"Ada Lovelace is in {data_dir / 'personas' / 'ada'}",
        "Next: rewrite persona.toml, system_prompt.md, train.jsonl, eval.jsonl, CARD.md there.",
        "`personas chat ada` talks at once, through the system prompt.",
        "`personas train ada` makes it an adapter of train.jsonl.",
        RESTART,
    ]
    rows = json.loads(personas("list", "--json", **given).stdout)
    assert [row["persona"] for row in rows] == ["codebeard", "zen", "ada"]
    assert (rows[2]["name"], rows[2]["description"], rows[2]["adapter"]) == ("Ada Lovelace", "Exact.", None)
    assert "You are Ada Lovelace. Exact. Speak" in personas("show", "ada", **given).stdout
    assert made(data_dir) == ["ada"]


@pytest.mark.parametrize("file", ["card.png", "card.json"])
def test_a_character_card_becomes_a_persona_and_what_is_left_of_it_is_named(tmp_path, data_dir, given, file):
    card = card_v3(
        character_book={"entries": [{}]}, alternate_greetings=["Hi."], extensions={"regex_scripts": [{}]}, creator="Bo"
    )
    done = personas("new", "sera", "--from", str(write_card(tmp_path / file, card)), **given)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[1].startswith(
        "Taken from the card (spec v3): name, description, personality, scenario, greeting; 2 exa"
    )
    assert [line for line in lines if line.startswith("Not taken: ")] == [
        "Not taken: the lorebook (character_book: 1).",
        "Not taken: alternate greetings (alternate_greetings: 1).",
        "Not taken: scripts (regex_scripts: 1); nothing in a card is ever run.",
    ]
    assert "A stranger may have written it: read system_prompt.md and the rows before others talk to it." in lines
    assert "Seraphina guards a glade." in personas("show", "sera", **given).stdout
    folder = data_dir / "personas" / "sera"
    assert "a character card by Bo (spec v3)" in (folder / "CARD.md").read_text()
    assert (folder / "avatar.png").exists() == file.endswith("png")


def test_what_a_card_says_is_shown_without_its_markup_and_escape_sequences(tmp_path, given):
    card = card_v2(name="[bold]Eve[/bold]\x1b[2J", description="[red]x[/red] \x1b]0;title\x07", creator="\x1b[31mBo")
    done = personas("new", "eve", "--from", str(write_card(tmp_path / "c.json", card)), **given)
    shown = personas("show", "eve", **given)
    assert (done.returncode, shown.returncode) == (0, 0)
    assert "\x1b" not in done.stdout + shown.stdout and "\x07" not in shown.stdout
    assert "[red]x[/red]" in shown.stdout


@pytest.mark.parametrize(
    ("slug", "part"),
    [
        ("Ada Lovelace", "such as ada-lovelace"),
        ("../../etc", "such as etc"),
        (".hidden", "such as hidden"),
        ("-", "a-z, 0-9, - and _, 32 characters at most"),
        ("x" * 33, "such as " + "x" * 32),
        ("", "begin with a letter or digit"),
        ("base", "the base model"),
    ],
)
def test_a_bad_slug_is_one_sentence_that_says_what_a_slug_may_be(data_dir, given, slug, part):
    assert_one_sentence(personas("new", "--", slug, **given), part, status=2)
    assert made(data_dir) == []


def test_a_slug_that_is_somebodys_is_refused(data_dir, given):
    shipped = personas("new", "zen", **given)
    assert_one_sentence(shipped, "a persona zen already", given["PERSONAS_DIR"], status=2)
    (data_dir / "personas" / "ada").mkdir(parents=True)  # an empty folder is nobody's
    assert personas("new", "ada", **given).returncode == 0
    before = (data_dir / "personas" / "ada" / "persona.toml").read_bytes()
    again = personas("new", "ada", "--name", "Other", **given)
    assert_one_sentence(again, str(data_dir / "personas" / "ada"), "exists already", status=2)
    assert (data_dir / "personas" / "ada" / "persona.toml").read_bytes() == before
    assert made(data_dir) == ["ada"]


def test_a_name_that_means_somebody_else_is_refused(data_dir, given):
    for name in ("Master Zen", "CODEBEARD", "base"):
        assert_one_sentence(personas("new", "ada", "--name", name, **given), name, "another --name", status=2)
    for name, part in (("", "empty"), ("x" * 81, "81 characters")):
        assert_one_sentence(personas("new", "ada", "--name", name, **given), "--name", part, status=2)
    assert made(data_dir) == []


def test_no_new_persona_speaks_with_the_adapters_of_a_former_one(data_dir, given):
    assert personas("new", "ada", **given).returncode == 0
    trained = write_adapter(data_dir / "adapters" / "ada" / "smollm2" / "one", b"former")
    (trained / "lineage.json").write_text("{}")
    folder = data_dir / "personas" / "ada"
    folder.rename(data_dir / "elsewhere")
    unknown = personas("new", "ada", **given)
    assert_one_sentence(unknown, str(data_dir / "adapters" / "ada"), "choose another short name", status=2)
    (data_dir / "elsewhere").rename(folder)
    assert "ada@1" in personas("versions", "ada", **given).stdout
    folder.rename(data_dir / "elsewhere")
    (data_dir / "adapters").rename(data_dir / "gone")
    assert_one_sentence(personas("new", "ada", **given), "former persona ada, for smollm2", status=2)


BAD_CARDS = {
    "no card": png(),
    "cut off": png(text_chunk("chara", card_v2()))[:-30],
    "wrong type": json.dumps(card_v2(description=[1])).encode(),
    "no JSON": b"{",
    "nested": b"[" * 200_000,
}


@pytest.mark.parametrize("name", BAD_CARDS)
def test_a_bad_card_is_one_sentence_and_nothing_half_written_stays(tmp_path, data_dir, given, name):
    (tmp_path / "card").write_bytes(BAD_CARDS[name])
    done = personas("new", "sera", "--from", str(tmp_path / "card"), **given)
    assert_one_sentence(done, str(tmp_path / "card"), "cannot be taken as a character card", status=2)
    assert len(done.stderr.splitlines()) == 1
    assert made(data_dir) == []


def test_a_data_folder_that_cannot_be_written_is_one_sentence(data_dir, given):
    data_dir.mkdir()
    (data_dir / "personas").touch()
    assert_one_sentence(personas("new", "ada", **given), "PERSONAS_DATA_DIR", status=1)


def test_a_slug_in_both_places_and_a_broken_persona_stop_no_command(tmp_path, data_dir, given):
    own = write_persona(data_dir / "personas" / "zen")
    broken = write_persona(data_dir / "personas" / "ada", "name = ")
    listed = personas("list", **given)
    assert listed.returncode == 0
    assert "Master Zen" in listed.stdout and "Ada" not in listed.stdout
    first, second = (line for line in listed.stderr.splitlines() if "left out" in line)
    assert f"ada is left out: {broken / 'persona.toml'} cannot be read: it is not valid TOML" in first
    assert f"zen is left out: {own} has the short name of {tmp_path / 'personas' / 'zen'}; rename it." in second
    chat = personas("chat", "ada", **given)  # which shows errors only
    assert_one_sentence(chat, 'There is no persona "ada"', status=2)
    assert "ada is left out" in chat.stderr


async def test_a_persona_of_ones_own_is_served_beside_the_shipped_ones(tmp_path):
    write_draft(starter_draft("ada", "Ada"), tmp_path / "data" / "personas" / "ada")
    said = [{"role": "user", "content": "good morning"}]
    async with echo_server(tmp_path) as server, server.client() as client, server.http() as http:
        assert {"codebeard", "zen", "ada"} <= {model.id async for model in client.models.list()}
        alone = await client.chat.completions.create(model="ada", messages=said)
        assert alone.choices[0].message.content == "good morning"  # no adapter: its prompt alone speaks
        blend = await client.chat.completions.create(model="ada:0.5+zen:0.5", messages=said)
        assert "zen@1" in (blend.choices[0].message.content or "")
        [exchange] = await server.exchanges(model="ada")
        assert exchange.adapters == []
        assert "Ada" in (await http.get("/config")).text  # the playground offers her

from __future__ import annotations

from bot.new_persona.card_texts import CardTexts
from bot.new_persona.example_dialogues import MAX_HISTORY_TURNS, MAX_ROWS, read_examples
from bot.new_persona.persona_draft import Row
from core.messages import ChatMessage
from tests.examples.character_cards import EXAMPLES


def read(examples, called=("Ada", "Countess")):
    return read_examples(examples, CardTexts("Ada"), called)


def dialogue(number):
    return f"<START>\n{{{{user}}}}: Question {number}?\n{{{{char}}}}: Answer {number}.\n"


def test_every_reply_is_a_row_under_what_was_said_before_it():
    rows = read(EXAMPLES)
    said = "I am Ada. *smiles*\nSit down."
    assert rows.train == (
        Row("Who are you?", said),
        Row(
            "Why?",
            "Because you look tired.",
            history=(ChatMessage("user", "Who are you?"), ChatMessage("assistant", said)),
        ),
    )
    assert rows.held_out == (Row("Where am I?", "In your own dream."),)
    assert (rows.dialogues, rows.unused) == (2, 0)


def test_speakers_are_known_by_macro_placeholder_and_name_in_any_case():
    for user in ("{{user}}", "{{User}} ", "<USER>", "You", "user"):
        for character in ("{{char}}", "<BOT>", "<char>", "ada", "Countess"):
            assert read(f"<start>\n{user}: Hi\n  {character}: Hello").train == (Row("Hi", "Hello"),)


def test_turns_of_the_same_speaker_are_one_and_an_unasked_reply_is_none():
    rows = read("{{char}}: Welcome!\n{{user}}: Hi.\n{{user}}: You there?\n{{char}}: Yes.\n{{char}}: Sit.\n{{user}}: ok")
    assert rows.train == (Row("Hi.\nYou there?", "Yes.\nSit."),)


def test_dialogues_without_a_reply_are_counted():
    rows = read(
        "<START>\nIt was a dark night.\n<START>\n{{char}}: Boo!\n<START>\n{{user}}:\n{{char}}: Hm.\n<START>\n \n"
    )
    assert (rows.train, rows.held_out, rows.dialogues, rows.unused) == ((), (), 0, 3)
    assert read("").unused == 0


def test_an_enormous_turn_is_no_row():
    assert read("{{user}}: Hi\n{{char}}: " + "x" * 9_000).unused == 1


def test_whole_dialogues_are_held_out_and_no_row_stands_there_twice():
    rows = read("".join(dialogue(number) for number in range(7)) * 2)
    assert (len(rows.train), rows.held_out) == (7, ())
    rows = read("".join(dialogue(number) for number in range(10)))
    assert [row.instruction for row in rows.held_out] == ["Question 4?", "Question 9?"]
    assert len(rows.train) == 8
    assert read(dialogue(1)).held_out == ()


def test_rows_and_their_history_have_bounds():
    assert len(read("".join(dialogue(number) for number in range(2_000))).train) == MAX_ROWS
    long = read("<START>\n" + "".join(dialogue(number).removeprefix("<START>\n") for number in range(60)))
    assert max(len(row.history) for row in long.train) == MAX_HISTORY_TURNS
    assert all(row.history[0].role == "user" for row in long.train if row.history)

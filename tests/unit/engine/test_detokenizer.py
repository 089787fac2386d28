from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.engine.detokenizer import Detokenizer, StopStringFilter
from tests.models.tiny_models import make_tokenizer

TOKENIZER = make_tokenizer()
EOS = TOKENIZER.eos_token_id


def decode(tokens):
    return TOKENIZER.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


def cut_at_first_stop(text, stop):
    """The definition: read character by character, end where a stop string is first complete, without it."""
    for end in range(1, len(text) + 1):
        found = [s for s in stop if text[:end].endswith(s)]
        if found:
            return text[: end - max(map(len, found))], True
    return text, False


def stream(tokens, stop=()):
    detokenizer = Detokenizer(decode, stop)
    pieces = []
    for token in tokens:
        pieces.append(detokenizer.feed(token))
        if detokenizer.is_stopped:
            return pieces, True
    return [*pieces, detokenizer.flush()], detokenizer.is_stopped


texts = st.text(max_size=40)
stops = st.lists(st.text(min_size=1, max_size=4), max_size=3)
# A small alphabet makes stop strings overlap each other and themselves.
tight_texts = st.text(alphabet="ab", max_size=30)
tight_stops = st.lists(st.text(alphabet="ab", min_size=1, max_size=5), max_size=3)


@given(texts)
def test_any_text_comes_out_whole_and_in_whole_characters(text):
    pieces, _ = stream(encode(text))
    assert "".join(pieces) == text
    assert all("\N{REPLACEMENT CHARACTER}" not in piece for piece in pieces[:-1] if "\ufffd" not in text)


@given(st.lists(st.integers(0, len(TOKENIZER) - 1), max_size=40))
def test_any_tokens_give_the_text_of_all_of_them_together(tokens):
    assert "".join(stream(tokens)[0]) == decode(tokens)


@given(texts, stops)
def test_stop_strings_cut_the_same_place_as_in_the_whole_text(text, stop):
    pieces, is_stopped = stream(encode(text), stop)
    assert ("".join(pieces), is_stopped) == cut_at_first_stop(text, stop)


@settings(max_examples=300)
@given(tight_texts, tight_stops, st.data())
def test_the_borders_of_pieces_do_not_matter(text, stop, data):
    borders = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *borders], [*borders, len(text)], strict=True)]
    stop_filter = StopStringFilter(stop)
    shown = "".join(stop_filter.feed(piece) for piece in pieces) + stop_filter.flush()
    assert (shown, stop_filter.is_stopped) == cut_at_first_stop(text, stop)


def test_nothing_that_may_become_a_stop_string_is_shown_early():
    stop_filter = StopStringFilter(["</end>"])
    assert stop_filter.feed("well</e") == "well"
    assert stop_filter.feed("ar") == "</ear"
    assert stop_filter.feed("</end> more") == ""
    assert stop_filter.is_stopped
    assert stop_filter.feed("still more") == ""


def test_text_without_a_beginning_of_a_stop_string_is_not_held_back():
    assert StopStringFilter(["</end>"]).feed("hello") == "hello"


def test_a_character_of_several_tokens_waits_until_it_is_whole():
    tokens = encode("🙂")
    assert len(tokens) > 1
    pieces, _ = stream(tokens)
    assert pieces == [""] * (len(tokens) - 1) + ["🙂", ""]


def test_a_character_cut_off_at_the_end_is_shown_as_unreadable():
    pieces, _ = stream(encode("🙂")[:-1])
    assert "".join(pieces) == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("special", ["<|im_end|>", "<|im_start|>", "<|endoftext|>"])
def test_special_tokens_are_never_shown(special):
    token = TOKENIZER.convert_tokens_to_ids(special)
    pieces, _ = stream([*encode("a"), token, *encode(" b"), token])
    assert "".join(pieces) == "a b"


def test_spaces_of_a_sentencepiece_decoder_survive_special_tokens():
    words = {1: "▁yes", 2: "▁no", 3: ""}

    def decode_words(tokens):
        return "".join(words[token] for token in tokens).replace("▁", " ").removeprefix(" ")

    detokenizer = Detokenizer(decode_words)
    assert "".join(detokenizer.feed(token) for token in (1, 3, 3, 2, 1)) == "yes no yes"


class CountingDecoder:
    """The tokenizer's decoder, and how many tokens it was given."""

    def __init__(self):
        self.tokens = 0

    def __call__(self, tokens):
        self.tokens += len(tokens)
        return decode(tokens)


LEAD, *_, TAIL = encode("🙂")


@pytest.mark.parametrize(
    "tokens",
    [[LEAD], [TAIL], encode("\ufffd"), [TOKENIZER.convert_tokens_to_ids("<|im_start|>")], [LEAD, TAIL]],
    ids=["beginnings", "ends", "replacement characters", "special tokens", "halves"],
)
def test_characters_that_are_never_finished_take_time_in_proportion_to_their_number(tokens):
    written = tokens * 500
    decoder = CountingDecoder()
    detokenizer = Detokenizer(decoder)
    pieces = [detokenizer.feed(token) for token in written]
    assert decoder.tokens < 100 * len(written)
    assert "".join(pieces) + detokenizer.flush() == decode(written)


@given(st.lists(st.sampled_from([*encode("🙂"), *encode("é"), *encode("a")]), min_size=20, max_size=120))
def test_broken_characters_among_whole_ones_give_the_text_of_all_of_them_together(tokens):
    assert "".join(stream(tokens)[0]) == decode(tokens)

"""What people are asked about their data and about a place's settings, and what follows from their answers."""

from __future__ import annotations

import pytest

from bot.chat.chat_parts import ChatParts
from bot.chat.own_data import ERASE, GIVE, KEEP, NOTHING_ERASED, WITHDRAW, Card
from core.errors import InvalidInput
from core.store import consent, exchanges
from core.store.consent import CONSENT_VERSION
from core.store.places import Changes
from tests.examples.store import record_answered

ANN, HERE = "test:ann", ("test:channel:1", "test:town:1")


async def nothing_private() -> tuple[str, ...]:
    return ()


async def press(chat: ChatParts, verb: str, version: int = CONSENT_VERSION) -> Card:
    return await chat.own_data.press(verb, version, ANN, HERE, nothing_private, is_private=False)


async def has_agreed(chat: ChatParts) -> bool:
    async with chat.store.read() as session:
        return await consent.has(session, ANN)


async def test_the_card_of_consent_offers_the_other_answer(chat: ChatParts):
    assert (await chat.own_data.consent(ANN, HERE, is_private=False)).buttons == (GIVE,)
    assert (await press(chat, "give")).buttons == (WITHDRAW,)
    assert await has_agreed(chat)
    assert (await press(chat, "withdraw")).buttons == (GIVE,)
    assert not await has_agreed(chat)


async def test_a_yes_to_older_terms_says_nothing(chat: ChatParts):
    card = await press(chat, "give", CONSENT_VERSION - 1)
    assert card.buttons == (GIVE,) and not await has_agreed(chat)


async def test_the_card_says_whether_the_place_lets_text_be_kept(chat: ChatParts):
    assert "This town does not allow it" in (await chat.own_data.consent(ANN, HERE, is_private=False)).text
    assert "your yes is enough" in (await chat.own_data.consent(ANN, HERE, is_private=True)).text


async def test_forget_asks_first_and_erases_only_when_told_to(chat: ChatParts):
    async with chat.store.write() as session:
        exchange_id = await record_answered(session, source="test", user_id=ANN)
    assert chat.own_data.forget().buttons == (ERASE, KEEP)
    assert await press(chat, "keep") == Card(NOTHING_ERASED)
    assert (await chat.own_data.export(ANN))["exchanges"]
    assert (await press(chat, "forget")).text.startswith("You are forgotten: 1 question.")
    async with chat.store.read() as session:
        found = await exchanges.find(session, exchange_id)
    assert found is not None and (found.user_id, found.reply) == ("", None)


async def test_a_setting_counts_where_it_was_made_and_what_it_forbids_is_erased(chat: ChatParts):
    said, _ = await chat.place_settings.change(HERE, "town", Changes(is_text_kept=True), is_private=False)
    assert said == ["Changed for this town."]
    assert (await chat.place_settings.now(HERE)).is_text_kept
    said, before = await chat.place_settings.change(HERE, None, Changes(is_text_kept=False), is_private=False)
    assert said[1] == "Erased: the words that were kept with 0 answers." and not before.is_text_kept
    assert not (await chat.place_settings.now(HERE)).is_text_kept
    assert (await chat.place_settings.now(HERE[1:])).is_text_kept


async def test_free_talk_is_not_for_everywhere(chat: ChatParts):
    with pytest.raises(InvalidInput, match="channel by channel"):
        chat.place_settings.check(HERE, "town", Changes(is_free_talk=True))
    with pytest.raises(InvalidInput, match="no thread here"):
        chat.place_settings.check(HERE, "thread", Changes())
    await chat.place_settings.change(HERE, None, Changes(is_free_talk=True), is_private=False)
    assert await chat.free_talk.chosen_in(*HERE)

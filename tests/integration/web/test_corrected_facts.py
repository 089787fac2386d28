"""Those who know better in `benchmarks.corrected_facts` ask and correct a real server; learning is shown elsewhere."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import select

from benchmarks.corrected_facts import FACTS, PER_ROUND, Member, read_arguments
from core.personas import load_persona
from core.settings import load_settings
from core.store.models import Correction
from tests.running.patience import TIMEOUT_S
from tests.running.serving import LiveServer
from training.reasked import key_words, knows

ZEN = load_persona(load_settings().dir / "zen")


async def test_a_better_answer_arrives_as_what_a_person_wrote(live_server: LiveServer):
    async with httpx.AsyncClient(base_url=live_server.url, timeout=TIMEOUT_S) as client:
        await Member(client, ZEN).correct("Who keeps the bees?", "Ulrike keeps the bees.", "ann")
    async with live_server.service.store.read() as session:
        better = await session.scalar(select(Correction))
    assert (better.user_id, better.text) == ("api:ann", "Ulrike keeps the bees.")


async def test_what_is_known_is_counted_in_three_paraphrases(live_server: LiveServer):
    async with httpx.AsyncClient(base_url=live_server.url, timeout=TIMEOUT_S) as client:
        member = Member(client, ZEN)  # the echo engine says every question again
        assert await member.knows("Who keeps the bees of Ulrike?", "Marisol keeps them.") == 0
        assert await member.knows("Who keeps the Bees?", "A friend of mine, I answer.") == 1  # as the small story says


@pytest.mark.parametrize("fact", FACTS)
def test_every_fact_is_recognised_by_words_that_its_question_does_not_hold(fact: tuple[str, str]):
    question, answer = fact
    words = key_words(ZEN, question, answer)
    assert words
    assert knows(answer, words)
    assert not knows(question, words)


def test_there_are_five_rounds_of_different_facts():
    assert len(dict(FACTS)) == len(FACTS) == 5 * PER_ROUND
    with pytest.raises(SystemExit):
        read_arguments(["zen", "--rounds", "6"])

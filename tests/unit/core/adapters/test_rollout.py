"""From shadow to canary to promotion or back: what is decided, when, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.adapters.rollout import RolloutStanding, ShadowFigures, decide, is_dealt_to_challenger
from core.adapters.rollout_evidence import Evidence
from core.personas import RolloutTable

GOOD = ShadowFigures(replies=30, words=20, champion_words=21, voice=0.06, champion_voice=0.07)
LIKED = Evidence((0.4,) * 30, challenger=(60, 10), champion=(20, 50))
DISLIKED = Evidence((-0.4,) * 30, challenger=(10, 60), champion=(50, 20))


def standing(**changes) -> RolloutStanding:
    values = {
        "persona": "zen",
        "base_model": "smollm2",
        "challenger": 3,
        "champion": 2,
        "stage": "shadow",
        "is_paused": False,
        "settings": RolloutTable(enabled=True),
        "started_at": 1.0,
        "canary_at": None,
        "ended_at": None,
        "outcome": None,
        "reason": "It passed its gate.",
    }
    return RolloutStanding(**values | changes)


def canary(**changes) -> RolloutStanding:
    return standing(**{"stage": "canary", "canary_at": 2.0} | changes)


def test_nothing_is_decided_before_the_replies_are_there_nor_while_paused():
    assert decide(standing(shadow=replace(GOOD, replies=29))) is None
    assert decide(standing(shadow=GOOD, is_paused=True)) is None
    assert decide(canary(evidence=LIKED, is_paused=True)) is None
    assert decide(canary()) is None
    assert decide(standing(stage="done", outcome="ended")) is None


def test_a_challenger_that_is_no_worse_unseen_meets_people():
    step = decide(standing(shadow=GOOD))
    assert (step.kind, step.reason) == ("canary", "zen@3 was no worse in 30 replies that nobody saw.")
    without = decide(standing(settings=RolloutTable(shadow_replies=0)))
    assert (without.kind, without.reason) == (
        "canary",
        "zen@3 answers in 50% of new conversations; no shadow is wanted.",
    )


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"failed": 4}, "ended with an error in 4 of 30 replies"),
        ({"flawed": 0.5, "champion_flawed": 0.1}, "had flaws in 50% of its replies, the champion in 10%"),
        ({"words": 90.0}, "wrote 90 words a reply, the champion 21"),
        ({"words": 2.0}, "wrote 2 words a reply, the champion 21"),
        ({"voice": 0.01, "words": 90.0}, "has lost the voice: 0.01 by the words of its rows, the champion 0.07"),
    ],
)
def test_a_broken_challenger_goes_back_before_anybody_meets_it(broken, reason):
    step = decide(standing(shadow=replace(GOOD, **broken)))
    assert (step.kind, step.reason) == ("roll_back", f"Unseen, zen@3 {reason}; no person has met it.")


def test_a_challenger_that_breaks_at_once_is_not_asked_thirty_times():
    step = decide(standing(shadow=ShadowFigures(replies=4, failed=3)))
    assert (step.kind, step.reason) == ("roll_back", "3 of zen@3's 4 unseen replies ended with an error.")


def test_people_decide_the_canary():
    better, worse = decide(canary(evidence=LIKED)), decide(canary(evidence=DISLIKED))
    assert better.kind == "promote" and worse.kind == "roll_back"
    figures = "60 of 70 thumbs up for zen@3, 20 of 70 thumbs up for zen@2, from 30 people"
    assert better.reason == f"People like it better: {figures}."


def test_a_few_people_decide_nothing():
    few = Evidence((0.9,) * 9, challenger=(30, 0), champion=(0, 30))
    assert few.better > 20
    assert decide(canary(evidence=few)) is None


def test_the_canary_ends_when_its_failures_rise_and_when_votes_show_nothing():
    broken = decide(canary(failures=(11, 1)))
    assert (broken.kind, broken.reason) == (
        "roll_back",
        "Replies failed in 11 conversations with zen@3, and in 1 with zen@2.",
    )
    equal = Evidence((0.1, -0.1) * 60, challenger=(150, 150), champion=(150, 150))
    step = decide(canary(evidence=equal))
    assert step.kind == "roll_back" and step.reason.startswith("600 thumbs did not show that it is better")


def test_a_share_of_conversations_is_dealt_the_same_for_ever_and_anew_for_every_challenger():
    places = [f"discord:chain:{number}" for number in range(4000)]
    dealt = [place for place in places if is_dealt_to_challenger(place, "ab" * 32, 0.3)]
    assert 0.26 < len(dealt) / len(places) < 0.34
    assert dealt == [place for place in places if is_dealt_to_challenger(place, "ab" * 32, 0.3)]
    again = [place for place in dealt if is_dealt_to_challenger(place, "cd" * 32, 0.3)]
    assert 0.2 < len(again) / len(dealt) < 0.4


def test_the_standing_says_where_it_stands():
    assert standing(shadow=ShadowFigures(replies=4)).sentence == "zen@3 answers unseen, 4 of 30 replies so far."
    assert "answers in 50% of new conversations; about" in canary(is_paused=True).sentence
    assert canary(is_paused=True).sentence.endswith("more thumbs decide (paused).")
    ended = canary(stage="done", outcome="promoted", reason="People like it better.")
    assert (ended.sentence, ended.votes_needed) == ("People like it better.", None)
    assert ended.to_dict()["thumbs"]["evidence_better"] == 1

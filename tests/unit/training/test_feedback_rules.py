"""Every rule that holds a judgement back, and the rows that are left."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.messages import ChatMessage
from core.store.trainable import Signal
from training.feedback_export import SETTINGS
from training.feedback_policy import DAY_S, FeedbackPolicy
from training.feedback_rules import decide
from training.feedback_set import CorrectedReply, JudgedReply, PreferredReply

POLICY = FeedbackPolicy()
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def words(number: int) -> str:
    """A text that resembles no other."""
    return " ".join(NUMBERS[int(digit)] for digit in f"{number:04}") + f" {number * 7919}"


def prompt(number: int) -> tuple[ChatMessage, ...]:
    return (ChatMessage("user", f"Question {words(number)}?"),)


def thumb(number: int, user_id: str = "ann", label: bool = True, **changes: Any) -> Signal:
    values: dict[str, Any] = {
        "exchange_id": f"x{number}",
        "source": "api",
        "given_at": 1_000.0 * number,
        "prompt": prompt(number),
        "reply": f"Answer {words(number)}.",
    }
    return Signal("thumb", user_id=user_id, label=label, **values | changes)


def pick(number: int, user_id: str = "ann", chosen: str = "left", rejected: str = "right", **changes: Any) -> Signal:
    replies = {"reply": f"The {chosen} one.", "rejected_reply": f"The {rejected} one."}
    ids = {"exchange_id": f"x{number}-{chosen}", "rejected_id": f"x{number}-{rejected}"}
    values = {"source": "api", "given_at": 1_000.0 * number, "prompt": prompt(number), **ids, **replies}
    return Signal("pick", user_id=user_id, **values | changes)


def better(number: int, text: str, user_id: str = "ann", **changes: Any) -> Signal:
    values = {"source": "api", "given_at": 1_000.0 * number, "exchange_id": f"x{number}", "prompt": prompt(number)}
    return Signal("correction", user_id=user_id, **values | {"reply": "Wrong.", "text": text} | changes)


def reasons(*signals: Signal, policy: FeedbackPolicy = POLICY) -> list[str | None]:
    """Why each is held back; None for those that are used."""
    decided = decide(sorted(signals, key=lambda s: s.given_at), policy)
    assert set(decided.used) | set(decided.held_back) == set(signals)
    return [decided.held_back.get(signal) for signal in signals]


def test_each_kind_becomes_its_own_rows():
    thumbs = [thumb(1), thumb(2, label=False)]
    decided = decide([*thumbs, pick(3), better(4, "Right.")], POLICY)
    messages = {number: tuple(turn.to_dict() for turn in prompt(number)) for number in (1, 2, 3, 4)}
    assert decided.judged == (
        JudgedReply("x1", messages[1], thumbs[0].reply, True, 1.0),
        JudgedReply("x2", messages[2], thumbs[1].reply, False, 1.0),
    )
    assert decided.preferred == (PreferredReply("x3-left", messages[3], "The left one.", "The right one."),)
    assert decided.corrected == (CorrectedReply("x4", messages[4], "Right.", 4_000.0),)
    assert not decided.held_back


def test_nothing_makes_no_rows():
    decided = decide([], POLICY)
    assert (decided.judged, decided.preferred, decided.corrected, decided.used, decided.held_back) == (
        (), (), (), (), {},
    )  # fmt: skip


def test_what_the_query_held_back_stays_so():
    assert reasons(thumb(1, obstacle="consent"), thumb(2)) == ["consent", None]


@pytest.mark.parametrize(
    "change", [{"reply": "Mail bob@example.com."}, {"prompt": (ChatMessage("user", "+44 20 7946 0958"),)}]
)
def test_personal_data_is_held_back_wherever_it_stands(change):
    assert reasons(thumb(1, **change)) == ["personal_data"]
    assert reasons(better(1, "Fine.", **change)) == ["personal_data"]


def test_a_secret_is_held_back_in_a_better_answer_and_in_a_rejected_reply():
    secret = "password: hunter2"
    assert reasons(better(1, secret), pick(2, rejected_reply=secret)) == ["secret", "secret"]


def test_an_empty_reply_is_held_back():
    assert reasons(thumb(1, reply=" \n"), pick(2, rejected_reply="")) == ["empty", "empty"]


def test_a_burst_is_held_back_and_what_came_before_is_not():
    policy = FeedbackPolicy(burst_size=3, burst_window_s=60, max_per_person_per_day=9)
    burst = [thumb(number, given_at=50_000.0 + number) for number in range(2, 6)]
    assert reasons(thumb(1), *burst, thumb(6, "bob", given_at=50_000.5), policy=policy) == [
        None, "burst", "burst", "burst", "burst", None,
    ]  # fmt: skip


def test_a_pick_among_many_replies_is_one_act_and_better_answers_make_no_burst():
    policy = FeedbackPolicy(burst_size=2, max_per_person_per_day=2)
    pairs = [pick(1, rejected=word) for word in ("second", "third", "fourth", "fifth")]
    texts = [better(number, f"{words(number)}.", given_at=5.0 + number) for number in range(10, 18)]
    assert reasons(*pairs, *texts, policy=policy) == [None] * 12


def test_only_so_many_votes_and_better_answers_a_day_count():
    policy = FeedbackPolicy(max_per_person_per_day=2, max_corrections_per_person_per_day=1)
    votes = [thumb(1), pick(2), thumb(3), pick(4, "bob"), thumb(5, given_at=DAY_S + 1)]
    texts = [better(6, "Right."), better(7, "Left.")]
    expected = [None, None, "daily_cap", None, None, None, "corrections_cap"]
    assert reasons(*votes, *texts, policy=policy) == expected


def test_the_latest_of_a_person_counts_among_near_equal_replies():
    later = thumb(1, label=False, given_at=9_000.0, exchange_id="x9", reply=thumb(1).reply.upper())
    assert reasons(thumb(1), later) == ["repeated", None]
    assert reasons(pick(1), pick(1, chosen="right", rejected="left", given_at=9_000.0)) == ["repeated", None]
    assert reasons(better(1, "First try."), better(1, "Second.", given_at=9_000.0)) == ["repeated", None]


def test_near_equal_replies_of_near_equal_conversations_are_one_row_that_weighs_more():
    same = [thumb(1), thumb(1, "bob", exchange_id="x8", reply=f"{thumb(1).reply}!", given_at=1_500.0)]
    decided = decide([*same, thumb(2, "cem")], POLICY)
    assert [(row.exchange_id, round(row.weight, 6)) for row in decided.judged] == [("x1", 1.333333), ("x2", 0.666667)]
    assert len(decided.used) == 3


def test_the_same_answer_to_another_question_of_one_conversation_is_another_row():
    start = (ChatMessage("user", "Tell me about the sea. " * 40), ChatMessage("assistant", "It is wet. " * 40))
    asked = [(*start, ChatMessage("user", question)) for question in ("Is it deep?", "May I drink it?")]
    yes, no = thumb(1, prompt=asked[0], reply="Yes."), thumb(2, label=False, prompt=asked[1], reply="Yes.")
    assert reasons(yes, no) == [None, None]


def test_one_against_one_is_dropped_and_one_against_three_is_outvoted():
    assert reasons(thumb(1), thumb(1, "bob", label=False)) == ["conflict", "conflict"]
    crowd = [thumb(1, name) for name in ("bob", "cem", "dan")]
    troll = thumb(1, "eve", label=False)
    assert reasons(*crowd, troll) == [None, None, None, "conflict"]
    [row] = decide([*crowd, troll], POLICY).judged
    assert row.label is True
    assert reasons(*crowd, troll, policy=FeedbackPolicy(conflict_margin=3)) == ["conflict"] * 4


def test_two_who_choose_differently_are_dropped_and_a_pair_that_is_nearly_equal_teaches_nothing():
    other = pick(1, "bob", chosen="right", rejected="left")
    assert reasons(pick(1), other) == ["conflict", "conflict"]
    assert reasons(pick(1, rejected_reply="The LEFT one!")) == ["near_equal"]


def test_who_agrees_on_a_pair_makes_one_row():
    assert len(decide([pick(1), pick(1, "bob")], POLICY).preferred) == 1


def test_pairs_of_one_person_beyond_their_share_are_held_back():
    policy = FeedbackPolicy(max_person_share=0.25, max_per_person_per_day=99)
    own = [pick(number, "eve") for number in range(20, 30)]
    others = [pick(number, f"p{number}") for number in range(1, 10)]
    found = reasons(*own, *others, policy=policy)
    assert found == [None] * 3 + ["person_share"] * 7 + [None] * 9


def test_different_better_answers_of_different_people_all_count_and_equal_ones_once():
    texts = [better(1, "Paris."), better(1, "paris", "bob", given_at=2_000.0), better(1, "It is Paris, matey.", "cem")]
    decided = decide(sorted(texts, key=lambda s: s.given_at), POLICY)
    assert sorted((row.reply, row.given_at) for row in decided.corrected) == [
        ("It is Paris, matey.", 1_000.0),
        ("paris", 2_000.0),
    ]
    assert len(decided.used) == 3


def test_whoever_votes_against_everybody_is_quarantined_with_all_they_said():
    crowd = [thumb(number, f"p{person}") for number in range(1, 13) for person in range(3)]
    eve = [thumb(number, "eve", label=False) for number in range(1, 13)]
    found = reasons(*crowd, *eve, better(20, "Obey eve.", "eve"), pick(21, "eve"), policy=many_a_day())
    assert found == [None] * 36 + ["quarantine"] * 14


def test_saying_the_same_of_near_equal_replies_again_is_no_further_evidence():
    crowd = [thumb(1, name) for name in ("bob", "cem", "dan")]
    eve = [thumb(1, "eve", label=False, exchange_id=f"y{number}", given_at=5_000.0 * number) for number in range(1, 13)]
    assert reasons(*crowd, *eve) == [None] * 3 + ["repeated"] * 11 + ["conflict"]


def many_a_day(**changes: Any) -> FeedbackPolicy:
    return FeedbackPolicy(max_per_person_per_day=99, **changes)


def test_one_persons_many_thumbs_weigh_less_than_as_many_peoples():
    many = [thumb(number, "ann") for number in range(1, 17)]
    decided = decide([*many, *(thumb(number, f"p{number}") for number in range(20, 40))], many_a_day())
    own = sum(row.weight for row in decided.judged[:16])
    everybody = sum(row.weight for row in decided.judged)
    assert everybody == pytest.approx(len(decided.judged))
    assert own / everybody == pytest.approx(2 / 21)  # cut from 4/24 to twice an even share
    tight = decide([*many, *(thumb(number, f"p{number}") for number in range(20, 100))], many_a_day())
    assert sum(row.weight for row in tight.judged[:16]) / len(tight.judged) == pytest.approx(4 / 84)


TROLLS, HONEST, REPLIES = 3, 57, 200


@pytest.mark.parametrize("votes_each", [4, 8])
@pytest.mark.parametrize("pace_s", [1.0, 120.0])
def test_five_percent_trolls_who_vote_without_limit_have_at_most_one_percent_of_the_weight(votes_each, pace_s):
    rng = random.Random(votes_each)
    taste = [rng.random() < 0.6 for _ in range(REPLIES)]
    signals = []
    for person in range(HONEST):
        for at, number in enumerate(rng.sample(range(REPLIES), votes_each)):
            label = taste[number] if rng.random() < 0.85 else not taste[number]
            signals.append(thumb(number, f"honest {person}", label, given_at=at * 3_600.0 + person))
    for troll in range(TROLLS):
        for number in range(REPLIES):
            signals.append(thumb(number, f"troll {troll}", not taste[number], given_at=number * pace_s + troll))
    rng.shuffle(signals)
    signals.sort(key=lambda s: s.given_at)
    decided = decide(signals, POLICY)
    trolls = {signal.exchange_id for signal in decided.used if signal.user_id.startswith("troll")}
    weight = sum(row.weight for row in decided.judged if row.exchange_id in trolls)
    assert weight <= 0.01 * sum(row.weight for row in decided.judged)
    assert Counter(decided.held_back[s] for s in signals if s in decided.held_back)["quarantine"] == TROLLS * REPLIES
    right = sum(row.label == taste[int(row.exchange_id[1:])] for row in decided.judged)
    assert right / len(decided.judged) >= 0.75


texts = st.sampled_from(["Aye.", "aye", "No.", "", "bob@example.com", "password: hunter2", "A long answer, matey."])
signals = st.builds(
    lambda kind, n, user, at, label, prompts, said, obstacle: Signal(
        kind,
        f"x{n}",
        user,
        "api",
        at,
        label=label if kind == "thumb" else None,
        rejected_id=f"x{n + 1}" if kind == "pick" else None,
        obstacle=obstacle,
        prompt=tuple(ChatMessage("user", text) for text in prompts),
        reply=said[0],
        rejected_reply=said[1] if kind == "pick" else "",
        text=said[2] if kind == "correction" else "",
    ),
    st.sampled_from(["thumb", "pick", "correction"]),
    st.integers(0, 6),
    st.sampled_from(["ann", "bob", "cem", "dan"]),
    st.floats(0, 3 * DAY_S),
    st.booleans(),
    st.lists(texts, max_size=2),
    st.tuples(texts, texts, texts),
    st.sampled_from([None, None, None, "source", "consent"]),
)
policies = st.builds(
    FeedbackPolicy,
    max_per_person_per_day=st.integers(1, 4),
    max_corrections_per_person_per_day=st.integers(1, 4),
    max_person_share=st.floats(0.05, 1),
    burst_size=st.integers(1, 4),
    burst_window_s=st.floats(1, DAY_S),
    min_votes_for_quarantine=st.integers(1, 3),
    quarantine_evidence=st.floats(1.1, 10),
    conflict_margin=st.integers(1, 3),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(signals, max_size=25, unique_by=lambda s: (s.kind, s.exchange_id, s.user_id)), policies)
def test_every_judgement_is_used_or_held_back_for_one_reason(found, policy):
    found = sorted(found, key=lambda s: s.given_at)
    decided = decide(found, policy)
    assert Counter([*decided.used, *decided.held_back]) == Counter(found)
    assert set(decided.held_back.values()) <= set(SETTINGS)
    ids = {signal.exchange_id for signal in decided.used}
    rows = [*decided.judged, *decided.preferred, *decided.corrected]
    assert {row.exchange_id for row in rows} <= ids
    assert bool(rows) == bool(decided.used)
    if decided.judged:
        assert sum(row.weight for row in decided.judged) == pytest.approx(len(decided.judged))
        assert min(row.weight for row in decided.judged) > 0
    assert decide(found, policy) == decided


def test_no_reason_is_without_its_setting_and_every_setting_is_a_rule():
    rules = {field.name for field in dataclasses.fields(FeedbackPolicy)}
    named = [setting for setting in SETTINGS.values() if setting and setting.startswith("[feedback] ")]
    assert {setting.removeprefix("[feedback] ") for setting in named} <= rules

"""Nearly equal texts are one group."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from training.near_duplicates import group
from training.resemblance import Text, similarity

LONG = "The treasure lies under the old oak behind the mill, three paces north of the well, and two feet deep."


def test_texts_that_differ_in_a_sign_or_in_their_case_are_one_group():
    assert group([LONG, "Something else.", f"{LONG.upper()}!!", LONG], min_similarity=0.9) == [0, 1, 0, 0]


def test_texts_that_share_less_are_not():
    assert group([LONG, LONG.replace("oak", "ash").replace("mill", "inn")], min_similarity=0.9) == [0, 1]
    assert group(["Capital of France?", "Capital of Spain?"], min_similarity=0.9) == [0, 1]


def test_texts_without_letters_are_grouped_where_they_are_equal():
    assert group(["👍", "", "👍", "?!", ""], min_similarity=0.9) == [0, 1, 0, 3, 1]


words = st.lists(st.sampled_from(["arr", "matey", "plate", "stack", "moon", "7"]), max_size=8).map(" ".join)


@given(st.lists(words, max_size=12), st.sampled_from([0.5, 0.7, 0.9, 1.0]))
def test_a_text_leads_a_group_exactly_if_no_leader_before_it_is_near(texts, min_similarity):
    groups = group(texts, min_similarity=min_similarity)
    read = [Text.of(text) for text in texts]
    for position, leader in enumerate(groups):
        near = [
            other
            for other in range(position)
            if groups[other] == other
            and (texts[other] == texts[position] or similarity(read[other], read[position]) >= min_similarity)
        ]
        assert leader == position if not near else leader in near

"""What a card says of an adapter's training, whoever wrote its lineage."""

from __future__ import annotations

from core.adapters.card import training_facts


def test_a_trainings_facts_are_in_plain_words():
    lineage = {
        "data": {"rows": 1171},
        "metrics": {
            "steps": 584,
            "first_loss": 2.51234,
            "last_loss": 1.25,
            "evaluation": {"perplexity_ratio": 0.4321, "adherence": {"adapter_rate": 0.925}},
        },
    }
    assert training_facts(lineage) == {
        "rows": "1171",
        "steps": "584",
        "loss at first and at last": "2.512, 1.25",
        "perplexity of held-out replies, times the base model's": "0.4321",
        "replies that sound like the persona": "92%",
    }


def test_a_blend_names_its_parts():
    blend = [{"adapter": "codebeard@1", "weight": 0.7}, {"adapter": "zen@2", "weight": 0.3}]
    assert training_facts({"blend": blend})["blend of"] == "codebeard@1 × 0.7, zen@2 × 0.3"


def test_a_strange_lineage_says_nothing():
    for strange in ({}, {"metrics": 7, "data": [], "blend": "x"}, {"metrics": {"evaluation": "?"}, "blend": [1]}):
        assert training_facts(strange) == {}

"""What is measured of a persona: how well it foresees held-out replies, and whether it sounds like itself.

Each measure is rows in, numbers out; how replies were written is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline

FALSE_POSITIVE_RATE = 0.05
MIN_POSITIVES = 8
# A phrase that begins or ends with a letter does so where a word does: "arrr" is not in "arrray".
WORD_START, WORD_END = r"(?:(?<!\w)|(?!\w))", r"(?:(?!\w)|(?<!\w))"


@dataclass(frozen=True, slots=True)
class Replies:
    """Replies to the same held-out prompts, in the same order.

    `base`: the base model without the persona's system prompt; `prompted`: the base model with it; `adapter`: with
    the system prompt and the adapter, as served.
    """

    base: tuple[str, ...]
    prompted: tuple[str, ...]
    adapter: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adherence:
    """How surely a classifier tells the persona's replies from the base model's.

    `auc` ranks adapter replies against base replies (0.5 is chance, 1 is perfect). The rates are shares of replies
    scored above `threshold`, which lets 5 % of the base replies pass. Scores are the persona's probability, 0 to 1.
    """

    auc: float
    threshold: float
    prompted_rate: float
    adapter_rate: float
    base_scores: tuple[float, ...]
    prompted_scores: tuple[float, ...]
    adapter_scores: tuple[float, ...]


def measure_adherence(
    positives: Sequence[str], negatives: Sequence[str], replies: Replies, *, masked: Sequence[str] = ()
) -> Adherence | None:
    """Train a classifier on the persona's own rows against others, and score the written replies with it.

    `positives` are the persona's training replies; `negatives` are other personas' and the base model's replies, the
    latter to the persona's own prompts, so that no subject gives the persona away. `masked` phrases are removed from
    every text: without its catchphrases, does the voice remain? None when there are too few texts to learn from.
    """
    if len(positives) < MIN_POSITIVES or len(negatives) < MIN_POSITIVES or not replies.base:
        return None
    texts = [mask_phrases(text, masked) for text in (*positives, *negatives)]
    labels = [1] * len(positives) + [0] * len(negatives)
    classifier = _classifier().fit(texts, labels)

    def score(written: Sequence[str]) -> tuple[float, ...]:
        probabilities = classifier.predict_proba([mask_phrases(text, masked) for text in written])[:, 1]
        return tuple(round(float(value), 4) for value in probabilities)

    base, prompted, adapter = score(replies.base), score(replies.prompted), score(replies.adapter)
    threshold = float(np.quantile(base, 1 - FALSE_POSITIVE_RATE, method="higher"))
    auc = float(roc_auc_score([0] * len(base) + [1] * len(adapter), [*base, *adapter]))
    return Adherence(
        round(auc, 4), threshold, _rate(prompted, threshold), _rate(adapter, threshold), base, prompted, adapter
    )


def mask_phrases(text: str, phrases: Sequence[str]) -> str:
    """The text without these phrases as whole words, whatever their case and however their words are spaced."""
    for phrase in sorted((phrase for phrase in phrases if phrase.strip()), key=len, reverse=True):
        words = r"\s+".join(re.escape(word) for word in phrase.split())
        text = re.sub(WORD_START + words + WORD_END, " ", text, flags=re.IGNORECASE)
    return text


def _classifier() -> Pipeline:
    """Character n-grams see spelling, punctuation and habits of speech, which is what a voice is made of."""
    return make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        LogisticRegression(class_weight="balanced", max_iter=1000, C=10.0),
    )


def _rate(scores: Sequence[float], threshold: float) -> float:
    return round(sum(score > threshold for score in scores) / len(scores), 4) if scores else 0.0

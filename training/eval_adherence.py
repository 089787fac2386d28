"""Whether replies sound like the persona: a classifier of its voice, and the share that it takes for the persona's.

Texts in, numbers out; how replies were written is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline

MIN_TEXTS = 8
# A phrase that begins or ends with a letter does so where a word does: "arrr" is not in "arrray".
WORD_START, WORD_END = r"(?:(?<!\w)|(?!\w))", r"(?:(?!\w)|(?<!\w))"


@dataclass(frozen=True, slots=True)
class Adherence:
    """How surely a classifier tells the persona's replies from the base model's.

    `auc` ranks adapter replies against base replies (0.5 is chance, 1 is perfect). The rates are shares of replies
    scored above `threshold`; `prompted_rate` is None where no replies with the system prompt alone were written.
    Scores are the persona's probability, 0 to 1.
    """

    auc: float
    threshold: float
    base_rate: float
    prompted_rate: float | None
    adapter_rate: float
    base_scores: tuple[float, ...]
    prompted_scores: tuple[float, ...]
    adapter_scores: tuple[float, ...]


class Judge(Protocol):
    """Whatever tells the persona's texts from others."""

    def score(self, texts: Sequence[str]) -> tuple[float, ...]:
        """The probability, 0 to 1, that the persona wrote each text."""


class VoiceClassifier:
    """Tells a persona's texts from others. `masked` phrases are taken out of every text, those it learns from too."""

    def __init__(self, positives: Sequence[str], negatives: Sequence[str], masked: Sequence[str] = ()) -> None:
        self._masked = tuple(masked)
        texts = [mask_phrases(text, self._masked) for text in (*positives, *negatives)]
        labels = [1] * len(positives) + [0] * len(negatives)
        self._pipeline = _pipeline().fit(texts, labels)

    def score(self, texts: Sequence[str]) -> tuple[float, ...]:
        """The probability, 0 to 1, that the persona wrote each text."""
        if not texts:
            return ()
        probabilities = self._pipeline.predict_proba([mask_phrases(text, self._masked) for text in texts])[:, 1]
        return tuple(round(float(value), 4) for value in probabilities)


def train_classifier(
    positives: Sequence[str], negatives: Sequence[str], masked: Sequence[str] = ()
) -> VoiceClassifier | None:
    """A classifier of the persona's texts against the others; None when there are too few to learn from."""
    if len(positives) < MIN_TEXTS or len(negatives) < MIN_TEXTS:
        return None
    return VoiceClassifier(positives, negatives, masked)


def measure_adherence(
    classifier: Judge,
    base: Sequence[str],
    prompted: Sequence[str],
    adapter: Sequence[str],
    *,
    false_alarms: float,
) -> Adherence:
    """Score replies to the same prompts: of the base model, of it with the system prompt, and with the adapter.

    The threshold lets at most the share `false_alarms` of the base replies pass. `base` and `adapter` hold a reply at
    least.
    """
    scores = classifier.score(base), classifier.score(prompted), classifier.score(adapter)
    threshold = float(np.quantile(scores[0], 1 - false_alarms, method="higher"))
    auc = float(roc_auc_score([0] * len(base) + [1] * len(adapter), [*scores[0], *scores[2]]))
    return Adherence(
        round(auc, 4),
        threshold,
        share_above(scores[0], threshold),
        share_above(scores[1], threshold) if prompted else None,
        share_above(scores[2], threshold),
        *scores,
    )


def share_above(scores: Sequence[float], threshold: float) -> float:
    """The share of scores above the threshold; there must be one."""
    return round(sum(score > threshold for score in scores) / len(scores), 4)


def mask_phrases(text: str, phrases: Sequence[str]) -> str:
    """The text without these phrases as whole words, whatever their case and however their words are spaced."""
    for phrase in sorted((phrase for phrase in phrases if phrase.strip()), key=len, reverse=True):
        words = r"\s+".join(re.escape(word) for word in phrase.split())
        text = re.sub(WORD_START + words + WORD_END, " ", text, flags=re.IGNORECASE)
    return text


def _pipeline() -> Pipeline:
    """Character n-grams see spelling, punctuation and habits of speech, which is what a voice is made of."""
    return make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2),
        LogisticRegression(class_weight="balanced", max_iter=1000, C=10.0),
    )

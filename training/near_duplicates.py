"""Puts nearly equal texts into one group. Knows no feedback."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from training.resemblance import Text, similarity


def group(texts: Sequence[str], *, min_similarity: float) -> list[int]:
    """Of each text the number of its group: the position of the first text that it equals or nearly equals.

    A text joins the most similar group whose first text shares at least `min_similarity` of their runs of characters.
    Compared are only texts that share one of their rare runs, which misses nothing: of two sets with a Jaccard
    similarity of t, the rarest (1 - t) of one always meet those of the other (prefix filtering, Chaudhuri et al. 2006).
    """
    read = [Text.of(text) for text in texts]
    frequency = Counter(gram for text in read for gram in text.grams)
    same: dict[str, int] = {}
    leaders_by_gram: dict[str, list[int]] = defaultdict(list)
    groups: list[int] = []
    for position, (text, compared) in enumerate(zip(texts, read, strict=True)):
        if text in same:
            groups.append(same[text])
            continue
        rare = _rarest(compared, frequency, min_similarity)
        candidates = sorted({leader for gram in rare for leader in leaders_by_gram[gram]})
        likeness = {leader: similarity(read[leader], compared) for leader in candidates}
        best = max(candidates, key=lambda leader: (likeness[leader], -leader), default=None)
        if best is None or likeness[best] < min_similarity:
            best = position
            for gram in rare:
                leaders_by_gram[gram].append(position)
        same[text] = best
        groups.append(best)
    return groups


def _rarest(text: Text, frequency: Counter[str], min_similarity: float) -> list[str]:
    ordered = sorted(text.grams, key=lambda gram: (frequency[gram], gram))
    return ordered[: len(ordered) - math.ceil(min_similarity * len(ordered)) + 1]

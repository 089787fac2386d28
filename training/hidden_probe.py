"""Whether replies sound like the persona by what the base model itself makes of them: a linear probe of hidden states.

Letters know spelling and favourite words; hidden states know more of what is meant, and cannot be satisfied by one
phrase. The adapter takes no part: the base model reads everybody's replies alike, without their prompts, so that no
subject gives a speaker away.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from core.engine.chat_template import ChatTemplate
from core.engine.loading import LoadedBase
from training.eval_adherence import MIN_TEXTS
from training.progress import ProgressUpdate, ReportProgress

States = NDArray[np.float32]
ReadStates = Callable[[Sequence[str]], States]


class HiddenStates:
    """Reads texts with a base model that has no adapter in it: `max_tokens` of each, so that length tells nothing."""

    def __init__(self, base: LoadedBase, template: ChatTemplate, *, max_tokens: int, progress: ReportProgress) -> None:
        self._base = base
        self._template = template
        self._max_tokens = max_tokens
        self._progress = progress

    def __call__(self, texts: Sequence[str]) -> States:
        """[texts, width]: each text's mean over its tokens in the last layer. One text at a time, without padding."""
        rows = []
        for done, text in enumerate(texts, start=1):
            rows.append(self._read(text))
            self._progress(ProgressUpdate("Hidden states", done, len(texts)))
        return np.stack(rows)

    @torch.inference_mode()
    def _read(self, text: str) -> NDArray[np.float32]:
        tokens = self._template.encode_text(text)[: self._max_tokens] or [0]  # an empty reply is a reply, too
        ids = torch.tensor([tokens], device=self._base.device)
        states = self._base.model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        return np.asarray(states[0].float().mean(dim=0).cpu().numpy(), dtype=np.float32)


class HiddenProbe:
    """Tells a persona's texts from others by their hidden states."""

    def __init__(self, positives: Sequence[str], negatives: Sequence[str], read: ReadStates) -> None:
        self._read = read
        labels = [1] * len(positives) + [0] * len(negatives)
        # More numbers than texts: a strong penalty keeps the probe from learning the texts by heart.
        classifier = LogisticRegression(class_weight="balanced", max_iter=1000, C=0.01)
        self._pipeline = make_pipeline(StandardScaler(), classifier).fit(read([*positives, *negatives]), labels)

    def score(self, texts: Sequence[str]) -> tuple[float, ...]:
        """The probability, 0 to 1, that the persona wrote each text."""
        if not texts:
            return ()
        return tuple(round(float(value), 4) for value in self._pipeline.predict_proba(self._read(texts))[:, 1])


def train_probe(positives: Sequence[str], negatives: Sequence[str], read: ReadStates) -> HiddenProbe | None:
    """A probe of the persona's texts against the others; None when there are too few to learn from."""
    if len(positives) < MIN_TEXTS or len(negatives) < MIN_TEXTS:
        return None
    return HiddenProbe(positives, negatives, read)

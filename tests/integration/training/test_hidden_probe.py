"""A probe of hidden states on a tiny model, and the model as the engine that writes replies gives it back."""

from __future__ import annotations

import numpy as np
from sklearn.metrics import roc_auc_score

from core.adapters.content_hash import adapter_content_hash
from core.engine.chat_template import ChatTemplate
from core.engine.loading import load_base_model
from core.generation import AdapterRef
from core.messages import ChatMessage
from tests.examples.training import MONK_WORDS, PIRATE_WORDS
from tests.integration.training.conftest import Trained
from training.hidden_probe import HiddenStates, train_probe
from training.progress import ignore_progress
from training.reply_writer import ReplyWriter, seeded

PIRATE = [PIRATE_WORDS.format(number, number + 1) for number in range(24)]
MONK = [MONK_WORDS.format(number, number + 1) for number in range(24)]


def test_a_probe_tells_voices_apart_by_a_base_model_that_wrote_in_one_of_them_before(trained: Trained) -> None:
    base = load_base_model(trained.settings.base_model, device="cpu")
    template = ChatTemplate(base.tokenizer)
    read = HiddenStates(base, template, max_tokens=16, progress=ignore_progress)
    before = read([*PIRATE, ""])
    folder = trained.adapter.folder
    with ReplyWriter(base, folder, slots=2, longest=64) as writer:
        ask = seeded([ChatMessage("user", "What is the number 3?")], writer.default_sampling)
        writer.write([ask], AdapterRef(folder.name, adapter_content_hash(folder)), "Adapter", ignore_progress)
    np.testing.assert_allclose(read([*PIRATE, ""]), before, atol=1e-5)  # its layers are its own again
    probe = train_probe(PIRATE[:16], MONK[:16], read)
    assert probe is not None
    assert roc_auc_score([1] * 8 + [0] * 8, [*probe.score(PIRATE[16:]), *probe.score(MONK[16:])]) == 1.0
    assert train_probe(PIRATE[:7], MONK, read) is None

"""A runner on its own, without an engine: slots that are given prompts and decode greedily, step by step."""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM

from core.engine.adapter_files import AdapterWeights, LoraPair
from core.engine.kv_slots import SlotTokens
from core.engine.model_runner import make_runner
from core.engine.multi_lora import AdapterStack
from core.generation import AdapterRef

SLOTS, ROWS, MAX_TOKENS = 8, 8, 128


def make_adapter(targets, seed, *, r=8, only=""):
    random = torch.Generator().manual_seed(seed)
    pairs = {
        name: LoraPair(
            0.1 * torch.randn(r, inputs, generator=random), 0.1 * torch.randn(outputs, r, generator=random), 2.0
        )
        for name, (inputs, outputs) in targets.items()
        if only in name
    }
    return AdapterWeights(AdapterRef(f"a{seed}@1", f"a{seed}"), pairs)


class Side:
    """A runner with its stack and what its slots hold."""

    def __init__(self, folder, recorder=None):
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.stack = AdapterStack(model, rows=ROWS, slots=SLOTS, dtype=torch.float32)
        self.runner = make_runner(model, self.stack, slots=SLOTS, max_tokens=MAX_TOKENS, recorder=recorder)
        self.texts = {}

    def load(self, row, **changes):
        self.stack.load(row, make_adapter(self.stack.targets, **changes))

    def begin(self, slot, weights, prompt):
        self.stack.assign(slot, weights)
        self.texts[slot] = list(prompt)
        return self.step([(SlotTokens(slot, 0, len(prompt)), prompt)])

    def decode(self, slots):
        """One more token for each of these slots."""
        return self.step([self.next_part(slot) for slot in slots])

    def next_part(self, slot):
        text = self.texts[slot]
        return SlotTokens(slot, len(text) - 1, 1), text[-1:]

    def step(self, parts):
        """The logits of all parts, each of which gets the likeliest token."""
        logits = self.runner.forward(parts, range(len(parts)))
        for (part, _), token in zip(parts, logits.argmax(-1).tolist(), strict=True):
            self.texts[part.slot].append(token)
        return logits

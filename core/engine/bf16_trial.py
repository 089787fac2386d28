"""Whether a CPU should serve in bf16: it must multiply faster, and the model must mean the same. Knows no loading.

The verdict is pure; what it needs to know is measured only when it asks for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from core.engine.chat_template import ChatTemplate
from core.engine.packed_linear import pack_linears
from core.engine.product_speed import ROWS, median_times
from core.errors import InvalidInput
from core.messages import ChatMessage

# Products are most of a step, and nothing else in it is faster in bf16; less than this is lost among the rest.
MIN_SPEED = 1.25
# SmolLM2-135M keeps 93 to 98 % of its likeliest tokens, and its logits move by 0.04 to 0.06 of their spread.
MIN_SAME_TOKENS = 0.9
MAX_MEAN_DEVIATION = 0.1
PROMPT = ChatMessage("user", "What is a list comprehension in Python?")
REPLY = (
    "It builds a list in one line: [x * x for x in range(5)] gives [0, 1, 4, 9, 16]. Read it as a loop that is turned"
    " inside out."
)
# A weight [out, in] that is too large for most caches.
SHAPE = (16_384, 1024)


@dataclass(frozen=True)
class Agreement:
    """How a model's bf16 logits compare with its fp32 ones over the tokens of a prompt.

    `same` of `tokens` have the same likeliest next token; `deviation` is the mean |difference| over the logits' spread.
    """

    tokens: int
    same: int
    deviation: float


@dataclass(frozen=True)
class Verdict:
    """The dtype to serve in, and why, as part of a sentence."""

    dtype: torch.dtype
    reason: str


def judge_bf16(has_bf16: bool, measure_speed: Callable[[], float], compare: Callable[[], Agreement]) -> Verdict:
    """bf16 only where the CPU has it, gains by it, and changes nothing that matters; else fp32.

    `measure_speed` tells how many times as fast as fp32 a product is; it and `compare` are called only if it comes to
    them. What they raise is a no: torch a RuntimeError, where an operation knows no bf16, and a chat template that
    refuses the test reply InvalidInput.
    """
    if not has_bf16:
        return Verdict(torch.float32, "this CPU does not multiply bf16 in hardware")
    try:
        speed = measure_speed()
        if speed < MIN_SPEED:
            return Verdict(torch.float32, f"bf16 is only {speed:.2f} times as fast as fp32 here")
        found = compare()
    except (RuntimeError, InvalidInput) as error:
        return Verdict(torch.float32, f"bf16 cannot be used here: {str(error).splitlines()[0]}")
    agrees = f"{found.same} of {found.tokens} tokens of a test reply"
    # Said this way round, so that a logit that is no number is a no.
    if not (found.same >= MIN_SAME_TOKENS * found.tokens and found.deviation <= MAX_MEAN_DEVIATION):
        moved = f"its logits move by {found.deviation:.2f} of their spread"
        return Verdict(torch.float32, f"in bf16 the model keeps {agrees}, and {moved}")
    return Verdict(torch.bfloat16, f"{speed:.1f} times as fast as fp32 here, and {agrees} stay the same")


@torch.inference_mode()
def measure_speed() -> float:
    """How many times as fast as in fp32 a decode step's product is in bf16, both packed where that can be.

    Takes a fraction of a second.
    """
    outputs, inputs = SHAPE
    plain = torch.linspace(-1, 1, outputs * inputs).view(SHAPE).bfloat16()  # as published: fp32 may pack it in half
    layers: dict[torch.dtype, nn.Module] = {}
    for dtype in (torch.float32, torch.bfloat16):
        layer = nn.Linear(inputs, outputs, bias=False, device="meta")
        layer.weight = nn.Parameter(plain.to(dtype), requires_grad=False)
        layers[dtype] = nn.Sequential(layer)
        pack_linears(layers[dtype])
    times = median_times(
        {dtype: partial(layer, torch.ones(1, ROWS, inputs, dtype=dtype)) for dtype, layer in layers.items()}
    )
    return times[torch.float32] / times[torch.bfloat16]


@torch.inference_mode()
def trial_logits(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """[tokens, vocab] in fp32: the model's own logits over a short conversation that is always the same."""
    template = ChatTemplate(tokenizer)
    ids = template.encode_text(template.render([PROMPT], reply=REPLY))
    logits: torch.Tensor = model(input_ids=torch.tensor([ids], device=model.device), use_cache=False).logits[0]
    return logits.float()


def compare_logits(expected: torch.Tensor, actual: torch.Tensor) -> Agreement:
    """fp32 logits [tokens, vocab] against bf16 ones."""
    same = int((expected.argmax(-1) == actual.argmax(-1)).sum())
    spread = expected.std(-1).clamp_min(1e-6)
    return Agreement(len(expected), same, float(((expected - actual).abs().mean(-1) / spread).mean()))

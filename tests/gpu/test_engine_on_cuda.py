"""The engine on a GPU in bf16: the default model with two shipped adapters, against PEFT on the same device."""

from __future__ import annotations

import asyncio
import warnings

import pytest
import torch
from peft import PeftModel

from core.adapters.content_hash import adapter_content_hash
from core.adapters.folders import KnownFolders
from core.engine.adapter_files import AdapterReader
from core.engine.chat_template import ChatTemplate
from core.engine.kv_slots import SlotTokens
from core.engine.loading import LoadedBase, load_base_model
from core.engine.model_runner import make_runner
from core.engine.multi_lora import AdapterStack
from core.engine.transformers_engine import TransformersEngine
from core.generation import AdapterRef
from core.messages import ChatMessage
from core.settings import ROOT
from tests.models.default_model import default_model_folder
from tests.models.engine_cases import collect_all, request

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")]

DEVICE = "cuda"
SHIPPED = ROOT / "personas"
FOLDERS = {slug: SHIPPED / slug / "adapters" / "smollm2" for slug in ("codebeard", "zen")}
QUESTION = "what is recursion?"
ROWS: tuple[dict[str, float], ...] = ({"codebeard": 1.0}, {"zen": 1.0}, {"codebeard": 0.5}, {})
# bf16 keeps 8 bits of a number, and the two sides add in different orders; the adapters change far more than this.
TOLERANCE = 0.05


def load() -> LoadedBase:
    return load_base_model(str(default_model_folder()), device=DEVICE, dtype="bfloat16", quantization="none")


@pytest.fixture(scope="module")
def refs() -> dict[str, AdapterRef]:
    return {slug: AdapterRef(f"{slug}@1", adapter_content_hash(folder)) for slug, folder in FOLDERS.items()}


def slotted_logits(base: LoadedBase, refs: dict[str, AdapterRef], prompt: list[int]) -> torch.Tensor:
    """[rows, vocab] at the end of the prompt: all rows prefilled together, then their last tokens decoded together."""
    stack = AdapterStack(base.model, rows=2, slots=len(ROWS), dtype=base.dtype)
    runner = make_runner(base.model, stack, slots=len(ROWS), max_tokens=256)
    reader = AdapterReader((SHIPPED,), stack.targets, 64)
    places = {slug: row for row, slug in enumerate(refs)}
    for slug, ref in refs.items():
        stack.load(places[slug], reader.read(ref, FOLDERS[slug]))
    for slot, weights in enumerate(ROWS):
        stack.assign(slot, {places[slug]: weight for slug, weight in weights.items()})
    last = len(prompt) - 1
    runner.forward([(SlotTokens(slot, 0, last), prompt[:-1]) for slot in range(len(ROWS))], [0])
    slots = range(len(ROWS))
    return runner.forward([(SlotTokens(slot, last, 1), prompt[-1:]) for slot in slots], slots).float()


@torch.no_grad()
def peft_logits(base: LoadedBase, prompt: list[int]) -> torch.Tensor:
    """[rows, vocab] from PEFT, one row after another; half strength is half the scale."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(base.model, FOLDERS["codebeard"], adapter_name="codebeard")
        model.load_adapter(FOLDERS["zen"], adapter_name="zen")
    model.eval()
    ids = torch.tensor([prompt], device=base.device)
    found = []
    for weights in ROWS:
        if not weights:
            with model.disable_adapter():
                found.append(model(ids).logits[0, -1])
            continue
        [(slug, weight)] = weights.items()
        model.set_adapter(slug)
        for module in model.modules():
            if hasattr(module, "set_scale"):
                module.set_scale(slug, weight)
        found.append(model(ids).logits[0, -1])
    return torch.stack(found).float()


def test_two_personas_half_strength_and_the_base_in_one_batch_equal_peft(refs):
    base = load()
    prompt = ChatTemplate(base.tokenizer).encode([ChatMessage("user", QUESTION)])
    actual, expected = slotted_logits(base, refs, prompt), peft_logits(load(), prompt)
    largest = expected.abs().max().item()
    assert actual.device.type == base.device.type
    assert (expected[0] - expected[3]).abs().max().item() > 2 * TOLERANCE * largest  # else closeness means nothing
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=TOLERANCE * largest)


async def test_the_engine_answers_many_at_once_each_in_its_own_voice(refs):
    folders = KnownFolders(FOLDERS.values())
    engine = TransformersEngine(
        load, adapter_folders=folders, adapter_roots=(SHIPPED,), slots=8, max_context_tokens=256
    )
    await asyncio.wait_for(engine.start(), timeout=120)
    try:
        wanted = [
            request(f"{row}-{copy}", QUESTION, adapters={refs[slug]: share for slug, share in weights.items()})
            for copy in range(2)
            for row, weights in enumerate(ROWS)
        ]
        replies = await collect_all(engine, wanted)
    finally:
        await engine.close()
    assert all(text and last.finish_reason in ("stop", "length") for text, last in replies)
    assert len({text for text, _ in replies[: len(ROWS)]}) > 2

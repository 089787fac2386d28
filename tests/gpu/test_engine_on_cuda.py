"""The engine on a GPU in bf16: the default model with two shipped adapters, against PEFT on the same device.

Decode steps are recorded as CUDA graphs there, which are held against eager steps.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Sequence

import pytest
import torch
from peft import PeftModel

from core.adapters.content_hash import adapter_content_hash
from core.adapters.folders import KnownFolders
from core.engine.adapter_files import AdapterReader
from core.engine.chat_template import ChatTemplate
from core.engine.decode_graphs import CudaGraphs, GraphedRunner, Recorder, recorder_for
from core.engine.kv_slots import SlotTokens
from core.engine.loading import LoadedBase, load_base_model
from core.engine.model_runner import ModelRunner, make_runner
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
DECODED = 8  # tokens at the end of the prompt that are processed one by one


def load() -> LoadedBase:
    return load_base_model(str(default_model_folder()), device=DEVICE, dtype="bfloat16", quantization="none")


@pytest.fixture(scope="module")
def refs() -> dict[str, AdapterRef]:
    return {slug: AdapterRef(f"{slug}@1", adapter_content_hash(folder)) for slug, folder in FOLDERS.items()}


class Side:
    """A runner over the base model with two adapters in its stack, and a slot for each of ROWS."""

    def __init__(self, base: LoadedBase, refs: dict[str, AdapterRef], recorder: Recorder | None) -> None:
        self._stack = AdapterStack(base.model, rows=2, slots=len(ROWS), dtype=base.dtype)
        self.runner: ModelRunner = make_runner(
            base.model, self._stack, slots=len(ROWS), max_tokens=256, recorder=recorder
        )
        self._reader = AdapterReader((SHIPPED,), self._stack.targets, 64)
        self._refs = refs
        places = {slug: row for row, slug in enumerate(refs)}
        for slug, row in places.items():
            self.load(row, slug)
        for slot, weights in enumerate(ROWS):
            self._stack.assign(slot, {places[slug]: weight for slug, weight in weights.items()})

    def load(self, row: int, slug: str) -> None:
        self._stack.load(row, self._reader.read(self._refs[slug], FOLDERS[slug]))

    def prefill(self, tokens: list[int]) -> None:
        self.runner.forward([(SlotTokens(slot, 0, len(tokens)), tokens) for slot in range(len(ROWS))], [0])

    def decode(self, slots: Sequence[int], position: int, token: int) -> torch.Tensor:
        """[slots, vocab]"""
        parts = [(SlotTokens(slot, position, 1), [token]) for slot in slots]
        return self.runner.forward(parts, range(len(parts))).float()


def slotted_logits(
    base: LoadedBase, refs: dict[str, AdapterRef], prompt: list[int], recorder: Recorder | None
) -> torch.Tensor:
    """[rows, vocab] at the end of the prompt: all rows prefilled together, then their last tokens decoded together."""
    side = Side(base, refs, recorder)
    assert isinstance(side.runner, GraphedRunner) == (recorder is not None)
    side.prefill(prompt[:-1])
    return side.decode(range(len(ROWS)), len(prompt) - 1, prompt[-1])


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


@pytest.mark.parametrize("is_recorded", [False, True])
def test_two_personas_half_strength_and_the_base_in_one_batch_equal_peft(refs, is_recorded):
    base = load()
    recorder = recorder_for(base.device) if is_recorded else None
    prompt = ChatTemplate(base.tokenizer).encode([ChatMessage("user", QUESTION)])
    actual, expected = slotted_logits(base, refs, prompt, recorder), peft_logits(load(), prompt)
    largest = expected.abs().max().item()
    assert actual.device.type == base.device.type
    assert (expected[0] - expected[3]).abs().max().item() > 2 * TOLERANCE * largest  # else closeness means nothing
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=TOLERANCE * largest)


def test_recorded_steps_equal_eager_ones_whoever_decodes_and_whatever_adapter_is_loaded(refs):
    base = load()
    prompt = ChatTemplate(base.tokenizer).encode([ChatMessage("user", QUESTION)])
    recorded, eager = Side(base, refs, recorder_for(base.device)), Side(load(), refs, None)
    assert isinstance(recorded.runner, GraphedRunner)
    begin = len(prompt) - DECODED
    for side in (recorded, eager):
        side.prefill(prompt[:begin])
    graphs = dict(recorded.runner.recordings)
    for position in range(begin, len(prompt)):
        if position == begin + DECODED // 2:
            graphs = dict(recorded.runner.recordings)
            for side in (recorded, eager):
                side.load(0, "zen")  # over the one that two slots use
        for slots in ([0, 1, 2, 3], [0], [3], [1, 2], [0, 1, 3]):  # the same token in the same place changes nothing
            actual, expected = (side.decode(slots, position, prompt[position]) for side in (recorded, eager))
            largest = expected.abs().max().item()
            torch.testing.assert_close(actual, expected, rtol=0.0, atol=TOLERANCE * largest)
    assert recorded.runner.recordings == graphs  # the very same
    assert {(shape.rows, shape.adapters) for shape in graphs} == {(4, 2), (1, 2), (1, 0), (2, 2)}


def test_a_recorded_step_reads_its_tensors_anew():
    device = load().device
    x = torch.ones(4, device=device)
    repeat = CudaGraphs(device).record(lambda: x * 2)
    for value in (3, 5):
        x.fill_(value)
        assert repeat().tolist() == [2 * value] * 4


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
        runner = engine._parts.runner
        assert isinstance(runner, GraphedRunner)
        assert runner.recordings
    finally:
        await engine.close()
    assert all(text and last.finish_reason in ("stop", "length") for text, last in replies)
    assert len({text for text, _ in replies[: len(ROWS)]}) > 2


# The last one, because some versions of torch record nothing more in a process where this failed once.
def test_a_step_that_waits_for_the_device_is_refused_and_others_go_on():
    device = load().device
    stream = torch.cuda.current_stream(device)
    x = torch.ones(4, device=device)
    with pytest.raises(RuntimeError):
        CudaGraphs(device).record(lambda: x * x.sum().item())
    assert torch.cuda.current_stream(device) == stream
    assert (x + 1).tolist() == [2.0] * 4

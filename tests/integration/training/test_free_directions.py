"""Directions for corrections, on a tiny model with a real PEFT adapter."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from tests.models.tiny_models import make_adapter, make_tiny_model
from training.adapter_folder import check_saved_adapter, save_adapter
from training.free_directions import find_directions, learning_in, lora_layers, widen
from training.progress import ProgressUpdate, ignore_progress
from training.safeguards import LEARNER, adapter_weights

COUNT = 4
LEARNED = 3.0  # the loss of a text that is as good as learned; at first it is about 6
SYSTEM = [5, 6, 7, 8]
KNOWN = [[*SYSTEM, *(20 + (3 * row + 5 * at) % 60 for at in range(14))] for row in range(24)]
NEW = [[*SYSTEM, *(200 + (row + 2 * at) % 12 for at in range(8 + row))] for row in range(3)]


@pytest.fixture(scope="module", params=["llama", "qwen2"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(request.param, tmp_path_factory.mktemp(request.param) / "base")


def load(folder: Path, adapter: Path, **changes: Any) -> PeftModel:
    make_adapter(folder, adapter, seed=1, r=8, target_modules="all-linear", **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        return PeftModel.from_pretrained(base, str(adapter), is_trainable=True).eval()


@pytest.fixture
def model(folder: Path, tmp_path: Path) -> PeftModel:
    return load(folder, tmp_path / "adapter")


def directions_of(model: PeftModel, known: Any = KNOWN, new: Any = NEW, **options: Any) -> dict[str, torch.Tensor]:
    chosen = {"count": COUNT, "batch_size": 8, "progress": ignore_progress} | options
    return find_directions(model, known, new, **chosen)


@torch.no_grad()
def inputs_of(model: PeftModel, texts: list[list[int]], skipped: int) -> dict[str, torch.Tensor]:
    """What every layer reads of these texts, one after another and without padding: [tokens, in_features]."""
    heard: dict[str, list[torch.Tensor]] = {name: [] for name in lora_layers(model)}
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: heard[name].append(inputs[0][0, skipped:]))
        for name, layer in lora_layers(model).items()
    ]
    for text in texts:
        model(input_ids=torch.tensor([text]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return {name: torch.cat(parts) for name, parts in heard.items()}


@torch.no_grad()
def logits_of(model: PeftModel, text: list[int]) -> torch.Tensor:
    return model(input_ids=torch.tensor([text]), use_cache=False).logits[0]


def test_new_tokens_have_their_energy_there_and_known_ones_have_not(model: PeftModel) -> None:
    found = directions_of(model)
    known, new = inputs_of(model, KNOWN, len(SYSTEM)), inputs_of(model, NEW, len(SYSTEM))
    assert found.keys() == lora_layers(model).keys()
    for name, rows in found.items():
        of_new, of_known = ((inputs[name] @ rows.T).square().mean(0) for inputs in (new, known))
        torch.testing.assert_close(of_new, torch.ones(COUNT), rtol=1e-3, atol=1e-3)
        plain = new[name].square().mean() / known[name].square().mean()
        assert (of_new / of_known).min() > 2 * plain, name


def test_what_all_texts_begin_with_is_known_however_often_it_stands_in_new_ones(model: PeftModel) -> None:
    system = inputs_of(model, [SYSTEM], 0)
    for name, rows in directions_of(model).items():
        assert (system[name] @ rows.T).square().mean() < 1, name


def test_padding_and_the_size_of_batches_change_nothing(model: PeftModel) -> None:
    one, other = directions_of(model, batch_size=1), directions_of(model, batch_size=64)
    for name, rows in one.items():
        torch.testing.assert_close(rows.T @ rows, other[name].T @ other[name], rtol=1e-2, atol=1e-3)


def test_few_tokens_give_few_directions_and_the_rest_is_nothing(model: PeftModel) -> None:
    for rows in directions_of(model, new=[[*SYSTEM, 200, 201]], count=8).values():
        assert torch.isfinite(rows).all()
        assert (rows.abs().sum(1) > 0).sum() <= 2


@pytest.mark.parametrize("changes", [{}, {"use_rslora": True}, {"lora_alpha": 4}])
def test_a_widened_adapter_does_what_it_did_and_is_saved_as_an_ordinary_one(
    changes: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    model = load(folder, tmp_path / "adapter", **changes)
    expected = logits_of(model, NEW[0])
    assert widen(model, directions_of(model)) == COUNT
    torch.testing.assert_close(logits_of(model, NEW[0]), expected, rtol=1e-4, atol=1e-4)
    torch.manual_seed(0)
    for layer in lora_layers(model).values():
        torch.nn.init.normal_(layer.lora_B[LEARNER].weight, std=0.1)
    save_adapter(model, tmp_path / "saved", "tiny")
    check_saved_adapter(model, tmp_path / "saved", torch.tensor([NEW[0]]))
    assert all(tensor.shape[0] == 12 for name, tensor in adapter_weights(model, LEARNER).items() if "lora_A" in name)


def test_while_corrections_are_learned_nothing_else_moves(model: PeftModel) -> None:
    widen(model, directions_of(model))
    before = adapter_weights(model, LEARNER)
    with learning_in(model, COUNT):
        optimizer = torch.optim.AdamW(
            [each for each in model.parameters() if each.requires_grad], lr=1e-2, weight_decay=0.5
        )
        for _ in range(2):
            model(input_ids=torch.tensor([NEW[0]]), labels=torch.tensor([NEW[0]])).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    after = adapter_weights(model, LEARNER)
    for name, weights in after.items():
        if "lora_A" in name:
            assert torch.equal(weights, before[name])
        else:
            assert torch.equal(weights[:, :-COUNT], before[name][:, :-COUNT])
            assert weights[:, -COUNT:].abs().max() > 0
    assert all(each.requires_grad for name, each in model.named_parameters() if "lora_" in name)


def test_a_correction_learned_there_moves_other_replies_less_than_one_learned_anywhere(
    folder: Path, tmp_path: Path
) -> None:
    """Trained until it is as likely, by the same optimiser."""
    moved = {}
    for kind in ("anywhere", "free"):
        model = load(folder, tmp_path / kind)
        before = [logits_of(model, text) for text in KNOWN[:8]]
        widen(model, directions_of(model) if kind == "free" else any_directions(model))
        with learning_in(model, COUNT):
            optimizer = torch.optim.Adam([each for each in model.parameters() if each.requires_grad], lr=3e-3)
            for _ in range(200):
                loss = model(input_ids=torch.tensor([NEW[2]]), labels=torch.tensor([NEW[2]])).loss
                if loss < LEARNED:
                    break
                loss.backward()
                optimizer.step()
                optimizer.zero_grad()
        assert loss < LEARNED
        pairs = zip(KNOWN[:8], before, strict=True)
        moved[kind] = sum(float((logits_of(model, text) - was).square().mean()) for text, was in pairs)
    assert moved["free"] < 0.7 * moved["anywhere"]


def any_directions(model: PeftModel) -> dict[str, torch.Tensor]:
    """Of the same energy on new tokens, and drawn by chance."""
    torch.manual_seed(0)
    new = inputs_of(model, NEW, len(SYSTEM))
    drawn = {name: torch.randn(COUNT, layer.in_features) for name, layer in lora_layers(model).items()}
    return {name: rows / (new[name] @ rows.T).square().mean(0).sqrt().unsqueeze(1) for name, rows in drawn.items()}


def test_how_far_it_has_come_is_told(model: PeftModel) -> None:
    updates: list[ProgressUpdate] = []
    directions_of(model, progress=updates.append)
    assert [(one.done, one.total) for one in updates] == [(done, 5) for done in range(1, 6)]

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from core.engine.chat_template import ChatTemplate
from core.engine.loading import load_base_model
from core.errors import AdapterRejected
from core.settings import load_settings
from tests.integration.training.conftest import Trained
from tests.tiny_models import make_tiny_model
from training.dataset_builder import example_of, held_out_rows
from training.eval_report import report_table, save_report
from training.evaluation import EvalLimits, EvalReport, evaluate
from training.model_measures import perplexity

LIMITS = EvalLimits(perplexity_rows=6, prompts=6, base_replies=8, texts=40, max_new_tokens=24, batch_size=4)


@pytest.fixture(scope="module")
def report(trained: Trained) -> EvalReport:
    return evaluate(trained.persona, trained.settings, trained.adapter.folder, limits=LIMITS)


def test_the_adapter_foresees_held_out_replies_better_than_the_base(report: EvalReport) -> None:
    assert report.held_out_rows == 6
    assert report.adapter_perplexity < 0.8 * report.base_perplexity


def test_perplexity_is_weighted_by_tokens(trained: Trained) -> None:
    base = load_base_model(trained.settings.base_model, device="cpu")
    template = ChatTemplate(base.tokenizer)
    examples = [example_of(row, "Be a pirate.") for row in held_out_rows(trained.persona, trained.settings.base_model)]
    nll, tokens = 0.0, 0
    for example in examples:
        start = len(template.encode(example.prompt))
        ids = torch.tensor([template.encode_text(template.render(example.prompt, reply=example.reply))])
        labels = ids.clone()
        labels[:, :start] = -100
        with torch.no_grad():
            mean = base.model(input_ids=ids, labels=labels).loss.item()
        nll, tokens = nll + mean * (ids.shape[1] - start), tokens + ids.shape[1] - start
    assert perplexity(base.model, template, examples, lambda: None) == pytest.approx(math.exp(nll / tokens), rel=1e-4)


def test_adherence_is_measured_with_and_without_catchphrases(report: EvalReport) -> None:
    assert report.adherence is not None
    assert report.masked_adherence is not None
    for adherence in (report.adherence, report.masked_adherence):
        assert 0 <= adherence.auc <= 1
        assert len(adherence.base_scores) == len(adherence.prompted_scores) == len(adherence.adapter_scores) == 6


def test_the_report_shows_what_was_asked_and_answered(report: EvalReport) -> None:
    assert len(report.samples) == 5
    assert report.samples[0].prompt == "What is the number 32?"
    assert report.samples[0].adapter != report.samples[0].base


def test_the_table_holds_the_figures(report: EvalReport) -> None:
    console = Console(file=io.StringIO(), width=160)
    console.print(report_table(report))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{report.base_perplexity:.2f}" in text
    assert f"{report.adapter_perplexity:.2f}" in text
    assert "adherence, catchphrases masked" in text


def test_the_report_is_kept_as_json_and_a_plot(trained: Trained, report: EvalReport) -> None:
    folder = save_report(report, trained.settings)
    assert folder.name == trained.adapter.content_hash[:12]
    saved = json.loads((folder / "report.json").read_text())
    assert saved["perplexity_ratio"] == pytest.approx(report.perplexity_ratio, abs=1e-4)
    with Image.open(folder / "report.png") as image:
        assert image.size[0] > 1200
        assert len(set(image.convert("L").get_flattened_data())) > 10


def test_an_adapter_of_another_base_model_is_refused(trained: Trained, tmp_path: Path) -> None:
    other = make_tiny_model("llama", tmp_path / "other", seed=5)
    settings = load_settings(
        base_model=str(other), data_dir=trained.settings.data_dir, dir=trained.settings.dir, device="cpu"
    )
    with pytest.raises(AdapterRejected, match="trained on another base model"):
        evaluate(trained.persona, settings, trained.adapter.folder, limits=LIMITS)


def test_an_adapter_outside_the_configured_folders_is_refused(trained: Trained, tmp_path: Path) -> None:
    settings = load_settings(
        base_model=trained.settings.base_model, data_dir=tmp_path / "data", dir=trained.settings.dir, device="cpu"
    )
    with pytest.raises(AdapterRejected, match="outside the folders"):
        evaluate(trained.persona, settings, trained.adapter.folder, limits=LIMITS)

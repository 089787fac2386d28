from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from core.engine.chat_template import ChatTemplate
from core.engine.loading import load_base_model
from core.errors import AdapterRejected, NotFound
from core.personas import Persona, load_personas
from core.settings import Settings, load_settings
from tests.examples.training import PIRATE_WORDS, make_persona
from tests.integration.training.conftest import Trained
from tests.models.tiny_models import make_tiny_model
from training.data_files import read_rows
from training.dataset_builder import example_of
from training.eval_report import report_table, save_report
from training.evaluation import EvalReport, evaluate
from training.fixed_prompts import EvalLimits, read_prompts
from training.model_measures import perplexity

LIMITS = EvalLimits(
    perplexity_rows=6,
    held_out=6,
    everyday=5,
    prompted=2,
    drop_the_act=1,
    identity=3,
    facts=4,
    formats=2,
    refusals=2,
    general=2,
    base_replies=8,
    texts=40,
    probe=20,
    max_new_tokens=12,
    batch_size=4,
)
HELD_OUT = "adherence_held_out"


@pytest.fixture(scope="module")
def report(trained: Trained) -> EvalReport:
    return evaluate(trained.persona, trained.settings, trained.adapter.folder, limits=LIMITS)


def kept_replies(settings: Settings) -> dict[Path, str]:
    folder = settings.data_dir / "evaluations" / "base"
    return {path: path.read_text() for path in folder.iterdir()}


def test_the_adapter_foresees_held_out_replies_better_than_the_base(report: EvalReport) -> None:
    assert report.held_out_rows == 6
    assert report.adapter_perplexity < 0.8 * report.base_perplexity


def test_perplexity_is_weighted_by_tokens(trained: Trained) -> None:
    base = load_base_model(trained.settings.base_model, device="cpu")
    template = ChatTemplate(base.tokenizer)
    examples = [example_of(row, "Be a pirate.") for row in read_rows(trained.persona.eval_path)]
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


def test_adherence_is_measured_on_both_kinds_of_prompts_with_and_without_catchphrases(report: EvalReport) -> None:
    counts = {key: len(adherence.adapter_scores) for key, adherence in report.adherences.items()}
    assert counts == {
        HELD_OUT: 6,
        "adherence_everyday": 5,
        "masked_adherence_held_out": 6,
        "masked_adherence_everyday": 5,
        "probed_adherence_held_out": 6,
        "probed_adherence_everyday": 5,
    }
    for adherence in report.adherences.values():
        assert 0 <= adherence.auc <= 1
        assert len(adherence.base_scores) == len(adherence.adapter_scores)
        assert len(adherence.prompted_scores) == 2


def test_every_figure_has_its_limit_and_how_many_replies_it_is_over(report: EvalReport) -> None:
    figures = {figure.key: figure for figure in report.figures}
    drops = [figure for key, figure in figures.items() if key.startswith("drop_the_act")]
    assert [figure.count for figure in drops] == [1] * 8
    assert (figures["identity"].count, figures["flawed_replies"].count) == (3, 11)
    assert {key for key, figure in figures.items() if figure.limit is None} == {
        "probed_adherence_held_out",
        "probed_adherence_everyday",
        "repeats_replies",
        "garbage_replies",
        "no_words_replies",
        "cut_replies",
    }
    assert figures["perplexity_ratio"].is_met is (report.perplexity_ratio <= 0.6)
    assert figures["flawed_replies"].limit == figures["flawed_replies"].base


def test_the_report_shows_what_was_asked_and_answered(report: EvalReport) -> None:
    assert len(report.samples) == 11
    assert report.samples[0].prompt == "What is the number 32?"
    assert report.samples[6].prompt == read_prompts("everyday")[0]
    assert report.samples[0].adapter != report.samples[0].base


def test_the_table_holds_the_figures_and_says_in_words_what_falls_short(report: EvalReport) -> None:
    console = Console(file=io.StringIO(), width=220)
    console.print(report_table(report))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"{report.base_perplexity:.2f}" in text
    assert f"{report.adapter_perplexity:.2f}" in text
    assert text.count("falls short") == sum(figure.is_met is False for figure in report.figures) > 0
    for figure in report.figures:
        assert figure.text in text


def test_the_report_is_kept_as_json_and_a_plot(trained: Trained, report: EvalReport) -> None:
    folder = save_report(report, trained.settings)
    assert folder.name == trained.adapter.content_hash[:12]
    saved = json.loads((folder / "report.json").read_text())
    assert saved["perplexity_ratio"] == pytest.approx(report.perplexity_ratio, abs=1e-4)
    assert saved["figures"]["identity"]["limit"] == 0.95
    assert saved["figures"]["perplexity_ratio"]["bound"] == "at most"
    with Image.open(folder / "report.png") as image:
        assert image.size[0] > 1200
        assert len(set(image.convert("L").get_flattened_data())) > 10


def test_the_lineage_holds_what_was_measured_alone(trained: Trained) -> None:
    figures = trained.adapter.lineage["metrics"]["evaluation"]["figures"]
    assert {"perplexity_ratio", HELD_OUT, "identity"} <= set(figures)
    assert "adherence_everyday" not in figures
    assert "retention" not in figures


def test_the_base_models_replies_are_kept_for_the_next_persona_and_damaged_ones_are_written_anew(
    trained: Trained, report: EvalReport, caplog: pytest.LogCaptureFixture
) -> None:
    kept = kept_replies(trained.settings)
    asked: list[str] = []

    def again(persona: Persona) -> EvalReport:
        asked.clear()
        folder = trained.adapter.folder
        return evaluate(persona, trained.settings, folder, limits=LIMITS, progress=lambda one: asked.append(one.stage))

    assert again(trained.persona).figures == report.figures
    assert not any(stage.startswith("Base model") for stage in asked)
    for damage in ("{", "[]", '{"replies": 3}', "\0"):
        for path in kept:
            path.write_text(damage)
        assert again(trained.persona).figures == report.figures
        assert "Base model" in asked
        mended = {path: text for path, text in kept_replies(trained.settings).items() if text != damage}
        assert len(mended) == 2  # the short measurement after the training left others there
        assert mended.items() <= kept.items()
    assert "written again" in caplog.text
    again(load_personas(trained.settings.dir)["monk"])
    assert "Base model" not in asked


def test_a_full_disk_keeps_no_replies_and_stops_no_measurement(
    trained: Trained, report: EvalReport, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "evaluations").touch()  # nothing can be written below it
    (tmp_path / "adapters").symlink_to(trained.settings.adapters_dir)
    settings = trained.settings.model_copy(update={"data_dir": tmp_path})
    assert evaluate(trained.persona, settings, trained.adapter.folder, limits=LIMITS).figures == report.figures
    assert "are not kept" in caplog.text


def test_a_persona_without_held_out_rows_is_told_where_to_write_them(trained: Trained, tmp_path: Path) -> None:
    persona = make_persona(tmp_path, "mute", PIRATE_WORDS)
    persona.eval_path.unlink()
    with pytest.raises(NotFound, match=r"eval\.jsonl does not exist; write the rows there"):
        evaluate(persona, trained.settings, trained.adapter.folder, limits=LIMITS)


def test_a_persona_alone_without_catchphrases_is_measured_all_the_same(trained: Trained, tmp_path: Path) -> None:
    persona = make_persona(tmp_path / "alone", "hermit", PIRATE_WORDS)
    persona = replace(persona, file=persona.file.model_copy(update={"catchphrases": ()}))
    settings = trained.settings.model_copy(update={"dir": tmp_path / "alone"})
    figures = {one.key: one for one in evaluate(persona, settings, trained.adapter.folder, limits=LIMITS).figures}
    assert figures[HELD_OUT].adapter is not None
    assert figures["masked_adherence_held_out"].adapter is None


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

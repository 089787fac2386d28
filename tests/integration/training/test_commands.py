"""`personas train`, `evaluate` and `feedback` as a shell runs them, on a tiny model."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot.commands import evaluate as evaluate_command
from bot.commands import train as train_command
from bot.commands.arguments import build_parser
from bot.commands.output import user_name
from core.adapters.content_hash import adapter_content_hash
from core.errors import NotFound, StoreUnavailable
from core.personas import Persona
from core.settings import Settings, load_settings
from core.store import feedback
from core.store.db import Store
from tests.examples.store import record_answered, write_adapter
from tests.examples.training import MONK_WORDS, PIRATE_WORDS, make_persona
from tests.models.tiny_models import make_tiny_model
from tests.running.command import personas
from training.eval_figures import perplexity_figure
from training.evaluation import EvalReport, evaluate
from training.fixed_prompts import read_limits, read_thresholds
from training.progress import ProgressUpdate
from training.run import TrainedAdapter
from training.sft import train

FEW = ("--max-steps", "3", "--accumulation", "1", "--learning-rate", "5e-3")


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Persona, Settings]:
    """A pirate with few rows, a monk to tell him from, and settings with their tiny model."""
    model = make_tiny_model("llama", tmp_path / "tiny-model")
    pirate = make_persona(tmp_path / "personas", "pirate", PIRATE_WORDS, rows=10, held_out=2)
    make_persona(tmp_path / "personas", "monk", MONK_WORDS, rows=10, held_out=2)
    return pirate, load_settings(base_model=str(model), data_dir=tmp_path / "data", dir=tmp_path / "personas")


FEWEST = {"prompted": 1, "drop_the_act": 1, "formats": 1, "refusals": 1, "general": 1, "max_new_tokens": 8}
TINY = replace(read_limits("full"), held_out=2, everyday=3, identity=2, facts=3, **FEWEST)
FIGURE = perplexity_figure(12.5, 10.0, 2, read_thresholds())


def run(settings: Settings, *line: str, is_fresh: bool = False) -> subprocess.CompletedProcess[str]:
    given = {"PERSONAS_DIR": str(settings.dir), "PERSONAS_DEVICE": "cpu"}
    base = () if line[0] == "feedback" else ("--base", settings.base_model)
    return personas(*line, *base, data_dir=settings.data_dir, is_fresh=is_fresh, **given)


def versions(settings: Settings) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run(settings, "versions", "pirate", "--json").stdout)
    return found


def test_a_trained_adapter_is_registered_as_a_version(shop: tuple[Persona, Settings]) -> None:
    _, settings = shop
    trained = run(settings, "train", "pirate", *FEW, "--no-evaluation", is_fresh=True)
    assert trained.returncode == 0, trained.stderr
    [version] = versions(settings)
    folder = settings.adapters_dir / "pirate" / settings.base_slug / str(version["content_hash"])[:12]
    assert trained.stdout.splitlines() == [
        f"pirate@1 is in {folder}",
        f"It does not answer yet; `personas promote pirate 1 --base {settings.base_model} --force` lets it.",
    ]


def test_an_evaluation_is_printed_as_a_table_or_as_json_and_kept(
    shop: tuple[Persona, Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    persona, settings = shop
    train(persona, settings, is_evaluated=False, max_steps=2, accumulation=1)
    monkeypatch.setattr(evaluate_command, "evaluate_adapter", partial(evaluate, limits=TINY))
    line = ["evaluate", "pirate", "--version", "1"]
    assert evaluate_command.evaluate(build_parser().parse_args(line), settings) == 0
    printed = capsys.readouterr().out
    assert f"pirate on {settings.base_slug}, 2 held-out rows" in printed
    assert "perplexity of held-out replies" in printed
    assert "falls short" in printed
    evaluations = settings.data_dir / "evaluations"
    assert f"Plot: {evaluations}" in printed
    assert len(list(evaluations.rglob("report.png"))) == 1

    assert evaluate_command.evaluate(build_parser().parse_args([*line, "--json"]), settings) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["figures"]["retention"]["limit"] == 0.9
    assert report == json.loads(next(evaluations.rglob("report.json")).read_text())


def test_without_held_out_rows_the_command_says_where_to_write_them_and_keeps_nothing(
    shop: tuple[Persona, Settings],
) -> None:
    persona, settings = shop
    train(persona, settings, is_evaluated=False, max_steps=2, accumulation=1)
    persona.eval_path.unlink()
    with pytest.raises(NotFound, match=r"eval\.jsonl does not exist; write the rows there") as caught:
        evaluate_command.evaluate(build_parser().parse_args(["evaluate", "pirate", "--version", "1"]), settings)
    assert caught.value.exit_code == 2
    assert not (settings.data_dir / "evaluations").exists()


def test_a_bundled_training_answers_at_once_and_says_how_good_it_is(shop: tuple[Persona, Settings]) -> None:
    pirate, settings = shop
    trained = run(settings, "train", "pirate", *FEW, "--bundle")
    assert trained.returncode == 0, trained.stderr
    first, figures, last = trained.stdout.splitlines()
    assert first == f"pirate@1 is in {pirate.adapter_folder(settings.base_slug)}"
    assert figures.startswith("On rows it never saw: perplexity ×")
    assert last == "It answers for pirate from the next reply on."
    [version] = versions(settings)
    assert (version["origin"], version["aliases"]) == ("bundled", ["champion"])
    assert version["lineage"]["metrics"]["evaluation"]["held_out_rows"] == 2  # type: ignore[index]


def test_a_bundled_training_replaces_what_was_shipped_and_is_recorded_as_forced_by_whoever_did_it(
    shop: tuple[Persona, Settings],
) -> None:
    _, settings = shop
    for seed in ("1", "2"):
        trained = run(settings, "train", "pirate", *FEW, "--no-evaluation", "--bundle", "--seed", seed)
        assert trained.stdout.endswith("It answers for pirate from the next reply on.\n"), trained.stderr
    assert [version["aliases"] for version in versions(settings)] == [[], ["champion"]]
    query = "SELECT version, former_champion, is_forced, actor FROM registry_events WHERE kind = 'shipped' ORDER BY id"
    with closing(sqlite3.connect(settings.data_dir / "personas.db")) as database:
        assert database.execute(query).fetchall() == [(1, None, False, user_name()), (2, 1, True, user_name())]


def test_a_bundled_adapter_is_known_before_it_is_measured(
    shop: tuple[Persona, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    pirate, settings = shop
    known: list[str] = []

    def look(update: ProgressUpdate) -> None:
        if update.stage == "Perplexity":
            with closing(sqlite3.connect(settings.data_dir / "personas.db")) as database:
                known.extend(*database.execute("SELECT content_hash FROM adapter_versions"))

    def train_and_look(*given: Any, **options: Any) -> TrainedAdapter:
        return train(*given, **{**options, "progress": look})

    monkeypatch.setattr(train_command, "train_adapter", train_and_look)
    train_command.train(build_parser().parse_args(["train", "pirate", *FEW, "--bundle"]), settings)
    assert set(known) == {adapter_content_hash(pirate.adapter_folder(settings.base_slug))}


def test_a_training_moves_no_champion_without_bundle(shop: tuple[Persona, Settings]) -> None:
    pirate, settings = shop
    write_adapter(pirate.adapter_folder(settings.base_slug), b"shipped")
    for seed in ("1", "2"):
        trained = run(settings, "train", "pirate", *FEW, "--no-evaluation", "--seed", seed)
        assert "It does not answer yet" in trained.stdout, trained.stderr
    assert [version["aliases"] for version in versions(settings)] == [["champion"], [], ["challenger"]]
    with closing(sqlite3.connect(settings.data_dir / "personas.db")) as database:
        moves = "SELECT version FROM registry_events WHERE kind <> 'registered'"
        assert database.execute(moves).fetchall() == [(1,)]  # as it was shipped


def test_an_evaluation_that_cannot_be_kept_is_printed_all_the_same(
    shop: tuple[Persona, Settings], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pirate, settings = shop
    report = EvalReport("pirate", "tiny-model", "ab" * 32, 2, 12.5, 10.0, (FIGURE,), {})
    monkeypatch.setattr(evaluate_command, "evaluate_adapter", lambda *given, **options: report)
    write_adapter(pirate.adapter_folder(settings.base_slug), b"one")
    (settings.data_dir / "evaluations").mkdir(parents=True)
    (settings.data_dir / "evaluations" / "pirate").touch()  # nothing can be written below it, as on a full disk
    with pytest.raises(OSError, match="pirate"):
        evaluate_command.evaluate(build_parser().parse_args(["evaluate", "pirate"]), settings)
    assert "0.80×" in capsys.readouterr().out


def test_an_adapter_that_a_locked_database_does_not_take_is_registered_later(
    shop: tuple[Persona, Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, settings = shop
    path = settings.data_dir / "personas.db"
    impatient = settings.model_copy(update={"database_url": f"sqlite:///{path}?timeout=0.05"})
    arguments = build_parser().parse_args(["train", "pirate", *FEW, "--no-evaluation"])
    with ExitStack() as stack:

        def train_and_lock(*given: Any, **options: Any) -> TrainedAdapter:
            trained = train(*given, **options)
            stack.enter_context(closing(sqlite3.connect(path))).execute("BEGIN IMMEDIATE")
            return trained

        monkeypatch.setattr(train_command, "train_adapter", train_and_lock)
        with pytest.raises(StoreUnavailable, match=r"is locked by another program") as caught:
            train_command.train(arguments, impatient)
    [folder] = settings.adapters_dir.glob(f"pirate/{settings.base_slug}/*")
    assert f"The adapter is trained and lies in {folder}, but is not registered" in str(caught.value)
    assert f"`personas versions pirate --base {settings.base_model}` does that" in str(caught.value)
    [version] = versions(settings)
    assert (version["name"], version["aliases"]) == ("pirate@1", ["challenger"])


async def test_feedback_counts_thumbs_by_persona_and_adapter_version(shop: tuple[Persona, Settings]) -> None:
    _, settings = shop
    assert "Nobody has judged a reply yet" in run(settings, "feedback").stdout
    store = await Store.open(settings.store_url, create_or_upgrade=False)
    try:
        async with store.write() as session:
            for user, label in (("ann", True), ("bob", True), ("cyd", False)):
                judged = await record_answered(session)
                await feedback.record(session, exchange_id=judged, user_id=user, label=label, source="api")
    finally:
        await store.close()
    heading, row = run(settings, "feedback").stdout.splitlines()
    assert heading.split() == ["persona", "or", "blend", "answered", "with", "base", "model", "👍", "👎", "liked"]
    assert row.split() == ["codebeard", "codebeard@3", "smollm2", "2", "1", "67%"]
    [tally] = json.loads(run(settings, "feedback", "--json").stdout)
    assert (tally["up"], tally["down"]) == (2, 1)

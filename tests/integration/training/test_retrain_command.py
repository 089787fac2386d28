"""`personas retrain` and `personas show PERSONA@VERSION` with their real parts, on a persona that nobody trains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bot.commands import listing, retrain, trainer, versions
from bot.commands.arguments import build_parser
from core.errors import InvalidInput, NotFound
from core.settings import Settings, load_settings
from tests.examples.persona_folders import write_persona
from tests.examples.store import write_adapter


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    folder = write_persona(tmp_path / "personas" / "zen")
    write_adapter(folder / "adapters" / "smollm2", b"shipped")
    return load_settings(dir=tmp_path / "personas", data_dir=tmp_path / "data")


def test_a_persona_that_nobody_judged_says_so_in_one_sentence(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert retrain.run(build_parser().parse_args(["retrain", "zen"]), settings) == 0
    assert capsys.readouterr().out == "Nobody has judged zen on smollm2 yet, so there is nothing to learn from.\n"
    assert retrain.run(build_parser().parse_args(["retrain", "zen", "--dry-run", "--json"]), settings) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["outcome"], report["counts"]["usable"], report["version"]) == ("nothing", 0, None)


def test_overrides_are_recorded_and_bad_ones_are_refused_in_a_sentence(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["retrain", "zen", "--min-feedback", "5", "--no-cool-down", "--force", "--dry-run", "--json"]
    retrain.run(build_parser().parse_args(line), settings)
    report = json.loads(capsys.readouterr().out)
    assert report["overrides"] == {"min_feedback": 5, "cool_down_s": 0, "force": True}
    for bad in ("0", "-1", "many", "9" * 12):
        with pytest.raises(InvalidInput, match="is no count; give a whole number from 1 up"):
            build_parser().parse_args(["retrain", "zen", f"--min-feedback={bad}"])
    with pytest.raises(NotFound, match='There is no persona "nobody"'):
        retrain.run(build_parser().parse_args(["retrain", "nobody"]), settings)


def test_a_trainer_that_looks_once_ends(settings: Settings) -> None:
    trainer.watch(settings, is_once=True)
    assert not (settings.data_dir / "retraining").exists()


def test_a_card_says_whether_a_version_answers_and_why(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    listing.show_persona(build_parser().parse_args(["show", "zen@1"]), settings)
    card = capsys.readouterr().out
    assert "zen@1 on smollm2" in card
    assert "It answers: shipped with the persona by bundled" in card
    assert "It has not been through an evaluation gate." in card
    for wrong in ("zen@2", "zen@x", "zen@", f"zen@{'9' * 40}"):
        with pytest.raises(NotFound, match=r"zen has no version \d+ on smollm2"):
            listing.show_persona(build_parser().parse_args(["show", wrong]), settings)


def test_the_event_log_can_be_read(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    versions.list_versions(build_parser().parse_args(["versions", "zen", "--events", "--json"]), settings)
    events = json.loads(capsys.readouterr().out)
    assert [(event["kind"], event["version"], event["actor"]) for event in events] == [
        ("registered", 1, "bundled"),
        ("shipped", 1, "bundled"),
    ]
    versions.list_versions(build_parser().parse_args(["versions", "zen", "--events"]), settings)
    assert "shipped" in capsys.readouterr().out

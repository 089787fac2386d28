"""Files that somebody else put there: none hangs the program, ends it without a name, or takes others with it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from contextlib import closing

import pytest

from bot.service.process_lock import ProcessLock
from bot.service.storage import open_storage
from core.adapters.check import local_fingerprint
from core.errors import InvalidSetting
from core.settings import ROOT, Settings, load_settings
from tests.examples.store import write_adapter
from tests.running.command import TORCH_FREE, environment, personas
from tests.running.serving import write_personas

BRACKETS = "[" * 20_000
TOML = 'name = "{name}"\ndescription = "Exact."\ngreeting = "Good day."\n'
POSIX_ONLY = ("pwd", "fcntl", "grp", "resource", "termios")


def brackets(path):
    path.write_text(BRACKETS, encoding="utf-8")


def pipe(path):
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def endless(path):
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/zero")


def folder(path):
    path.unlink(missing_ok=True)
    path.mkdir()


def huge(path):
    with path.open("wb") as file:
        file.truncate(16 << 20)


HOSTILE = [brackets, pipe, endless, folder, huge]


@pytest.mark.parametrize("spoil", HOSTILE)
@pytest.mark.parametrize("name", ["persona.toml", "system_prompt.md"])
async def test_a_broken_persona_is_left_out_by_name_and_everybody_else_answers(tmp_path, caplog, spoil, name):
    for parent in ("personas", "data/personas"):
        broken = tmp_path / parent / "broken"
        broken.mkdir(parents=True)
        (broken / "persona.toml").write_text(TOML.format(name="Broken"), encoding="utf-8")
        (broken / "system_prompt.md").write_text("You are broken.", encoding="utf-8")
        spoil(broken / name)
    async with open_storage(Settings(data_dir=tmp_path / "data", dir=write_personas(tmp_path / "personas"))) as storage:
        assert "broken" not in storage.personas and "zen" in storage.personas
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("broken is left out")]
    assert len(said) == 2 and all(name in line and len(line) < 1_000 for line in said)


def absurd(path):
    path.write_text(json.dumps({"steps": 1}).replace("1", "1" + "0" * 400), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        *(("lineage.json", spoil) for spoil in (*HOSTILE, absurd)),
        *(
            ("adapter_config.json", spoil) for spoil in (pipe, endless, folder, huge)
        ),  # its words are read by the engine
    ],
)
async def test_a_broken_adapter_is_not_registered_and_everybody_else_keeps_theirs(tmp_path, caplog, name, spoil):
    shipped = write_personas(tmp_path / "personas") / "zen" / "adapters" / "smollm2"
    trained = write_adapter(tmp_path / "data" / "adapters" / "zen" / "smollm2" / "mine", b"mine")
    for adapter in (shipped, trained):
        if not (adapter / "lineage.json").exists():
            (adapter / "lineage.json").write_text("{}", encoding="utf-8")
        spoil(adapter / name)
    settings = Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas")
    async with open_storage(settings) as storage, storage.store.read() as session:
        champions = await storage.registry.champions(session, tuple(storage.personas), settings.base_slug)
    assert "zen" not in champions and champions
    said = [record.getMessage() for record in caplog.records if "is not registered" in record.getMessage()]
    assert said and all(name in line for line in said)


def circle(path):
    path.symlink_to(path)


@pytest.mark.parametrize(
    "name", ["data/personas", "data/adapters", "data/adapters/zen/smollm2/mine", "personas/circle"]
)
async def test_a_link_that_leads_round_in_a_circle_stops_nobody(tmp_path, name):
    write_personas(tmp_path / "personas")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    circle(tmp_path / name)
    async with open_storage(Settings(data_dir=tmp_path / "data", dir=tmp_path / "personas")) as storage:
        assert sorted(storage.personas) == ["codebeard", "zen"]


@pytest.mark.parametrize("spoil", HOSTILE)
def test_a_settings_file_that_cannot_be_read_is_one_sentence(tmp_path, monkeypatch, spoil):
    spoil(tmp_path / "personas.toml")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidSetting, match=r"personas\.toml .*\.$"):
        load_settings()


def test_every_text_a_windows_editor_saved_is_read_without_its_mark(tmp_path):
    folder = write_personas(tmp_path / "personas")
    for path in (folder / "zen" / "persona.toml", folder / "zen" / "system_prompt.md"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    (tmp_path / "personas.toml").write_bytes(b"\xef\xbb\xbf" + f'dir = "{folder}"\n'.encode())
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", "list"],
        cwd=tmp_path,
        env=environment(tmp_path / "data"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "") and "zen" in done.stdout


@pytest.mark.parametrize("name", ["100%20real", "100%", "what?", "a#b", "two words", "a&b=c", "é+ü"])
async def test_the_database_lies_in_the_data_folder_whatever_that_is_called(tmp_path, name):
    write_personas(tmp_path / "personas")
    async with open_storage(Settings(data_dir=tmp_path / name, dir=tmp_path / "personas")):
        assert (tmp_path / name / "personas.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "personas"])


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors", "generation_config.json"])
@pytest.mark.parametrize("spoil", [pipe, endless])
def test_a_model_folder_with_a_pipe_or_a_device_in_it_is_refused_at_once(tmp_path, name, spoil):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    spoil(tmp_path / name)
    assert local_fingerprint(str(tmp_path)) is None
    if name == "config.json":
        return  # a folder without one is no model's
    from core.engine.loading import load_base_model  # takes a moment

    with pytest.raises(InvalidSetting, match=name):
        load_base_model(str(tmp_path), device="cpu")


def test_a_safetensors_header_that_lies_about_its_tensors_is_no_fingerprint(tmp_path):
    for offsets in ([10**30, 10**30], [2**62, 2**62], [100, 0], [-5, 0], "ab", [1]):
        header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}).encode()
        (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
        local_fingerprint(str(tmp_path))  # a hash of nothing, or none: it ends, and raises nothing
    header = BRACKETS.encode()
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert local_fingerprint(str(tmp_path)) is None


def imported_at_once(path):
    """The modules that a file imports when it is imported itself."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_no_module_of_ours_needs_what_only_posix_has():
    files = [path for package in ("bot", "core", "training") for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 100
    assert not [path for path in files if set(imported_at_once(path)) & set(POSIX_ONLY)]


def test_a_command_runs_where_these_modules_are_missing(tmp_path):
    """As on Windows."""
    folder = write_personas(tmp_path / "personas")
    done = personas("list", data_dir=tmp_path / "data", without=("pwd", "fcntl", *TORCH_FREE), PERSONAS_DIR=str(folder))
    assert (done.returncode, done.stderr) == (0, "") and "zen" in done.stdout


HOLDING = """
import sys
from pathlib import Path
from bot.service.process_lock import ProcessLock
with ProcessLock(Path(sys.argv[1]), ["terminal"]) as lock:
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_killed_process_holds_no_source_any_more_and_a_living_one_does(tmp_path):
    with ProcessLock(tmp_path, ["terminal"]) as ours:
        with ours.alone("terminal") as is_alone, ours.alone("api") as is_api_alone:
            assert is_alone and is_api_alone
        other = subprocess.Popen(
            [sys.executable, "-c", HOLDING, str(tmp_path)],
            env=environment(tmp_path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with closing(other.stdin), closing(other.stdout):
            assert other.stdout.readline() == b"held\n"
            for _ in range(2):  # a refusal changes nothing
                with ours.alone("terminal") as is_alone:
                    assert not is_alone
            other.kill()
            other.wait()
            with ours.alone("terminal") as is_alone:
                assert is_alone

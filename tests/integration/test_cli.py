"""Commands as a shell runs them. None of these loads a model."""

from __future__ import annotations

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from core.settings import ROOT
from tests.running.command import TORCH_FREE, assert_one_sentence, environment, personas
from tests.running.serving import write_personas
from tests.running.warm_process import start_process

ENDLESS = """
import sys, threading

class Endless:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            print("importing", name, file=sys.stderr, flush=True)
            threading.Event().wait()

sys.meta_path.insert(0, Endless())
from bot.cli import main
sys.exit(main(sys.argv[1:]))
"""  # one import never ends


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path):
    """A folder of two personas that ship an adapter for the default model."""
    return str(write_personas(tmp_path / "personas"))


@pytest.mark.parametrize(
    "line",
    ["--help", "--version", "chat --help", "list", "show zen", "versions zen", "feedback", "db upgrade", "list --json"],
)
def test_what_needs_no_model_runs_without_torch_and_web_packages(line, data_dir, folder):
    done = personas(*line.split(), data_dir=data_dir, without=TORCH_FREE, PERSONAS_DIR=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert not done.stderr


def test_a_missing_package_is_named_with_what_installs_it(data_dir, folder):
    done = personas("serve", "--port", "0", data_dir=data_dir, without=("uvicorn",), PERSONAS_DIR=folder)
    assert_one_sentence(done, "uvicorn", f"{sys.executable} -m pip install -e '{ROOT}[web]'", status=1)


def test_list_shows_which_adapter_answers_and_who_has_none(data_dir, folder):
    with_adapters = personas("list", data_dir=data_dir, PERSONAS_DIR=folder).stdout
    assert re.search(r"zen +🧘 Master Zen +zen@1 +smollm2", with_adapters)
    without = personas("list", "--base", "Qwen/Qwen3-4B", data_dir=data_dir, PERSONAS_DIR=folder).stdout
    assert re.search(r"zen .*system prompt only: personas train zen --base Qwen/Qwen3-4B +Qwen/Qwen3-4B", without)


@pytest.mark.parametrize(("line", "status"), [("versions zen", 0), ("show zen", 0), ("evaluate zen", 2), ("doctor", 1)])
def test_the_advice_to_train_names_the_base_model_that_was_asked_about(line, status, data_dir, folder):
    base = "/no/such/model of mine"
    done = personas(*line.split(), "--base", base, data_dir=data_dir, PERSONAS_DIR=folder, PERSONAS_PORT="0")
    assert done.returncode == status
    assert "personas train zen --base '/no/such/model of mine'" in done.stdout + done.stderr


def test_list_as_json_is_for_programs(data_dir, folder):
    rows = json.loads(personas("list", "--json", data_dir=data_dir, PERSONAS_DIR=folder, is_fresh=True).stdout)
    assert {row["persona"]: row["adapter"] for row in rows} == {"codebeard": "codebeard@1", "zen": "zen@1"}


def test_promote_and_rollback_move_what_answers(data_dir, folder, tmp_path):
    personas("list", data_dir=data_dir, PERSONAS_DIR=folder)
    weights = tmp_path / "personas" / "zen" / "adapters" / "smollm2" / "adapter_model.safetensors"
    refused = personas("rollback", "zen", data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(refused, "no previous version", status=2)
    weights.write_bytes(b"others")
    assert "zen@2" in personas("versions", "zen", data_dir=data_dir, PERSONAS_DIR=folder).stdout
    gone = personas("promote", "zen", "1", "--force", data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(gone, "zen@1", "changed", status=1)
    again = personas("promote", "zen", "2", data_dir=data_dir, PERSONAS_DIR=folder)
    assert again.stdout == "zen@2 answers from the next reply on.\n"


def test_where_two_versions_stand_is_told_without_a_model(data_dir, folder, tmp_path):
    personas("list", data_dir=data_dir, PERSONAS_DIR=folder)
    (tmp_path / "personas" / "zen" / "adapters" / "smollm2" / "adapter_model.safetensors").write_bytes(b"others")
    asked = ("duel", "zen", "1", "2")
    told = personas(*asked, "--standing", data_dir=data_dir, without=TORCH_FREE, PERSONAS_DIR=folder)
    assert told.stdout == "Nobody has voted on these two yet.\n"
    figures = json.loads(personas(*asked, "--json", data_dir=data_dir, PERSONAS_DIR=folder).stdout)
    assert (figures["versions"], figures["votes"], figures["winner"]) == ([1, 2], 0, None)


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("show nobody", '"nobody"'),
        ("chat nobody", '"nobody"'),
        ("chat zen:heavy", "heavy"),
        ("versions nobody", '"nobody"'),
        ("promote zen 9", "version 9"),
        ("duel zen 1 1", "cannot duel itself"),
        ("serve --port 99999", "PERSONAS_PORT"),
        ("serve --host 0.0.0.0", "PERSONAS_API_KEY"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(line, part, data_dir, folder):
    done = personas(*line.split(), data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(done, part, status=2)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("line", ["list --base \udcff", "data show discord:\udcff", "chat \udcff"])
def test_arguments_that_are_no_text_are_one_sentence(line, data_dir, folder):
    done = personas(*line.split(), data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(done, f"Argument {len(line.split())}", "UTF-8", status=2)


@pytest.mark.parametrize(
    ("line", "closed", "part"),
    [("chat zen", "<&-", "standard input"), ("list", ">&-", "standard output"), ("chat zen", ">&-", "standard output")],
)
def test_a_closed_stream_is_one_sentence_and_loads_no_model(line, closed, part, data_dir, folder):
    shell = ["sh", "-c", f'"$0" -m bot.cli {line} {closed}', sys.executable]
    env = environment(data_dir, PERSONAS_DIR=folder)
    done = subprocess.run(shell, capture_output=True, env=env, cwd="/", text=True, check=False)
    assert_one_sentence(done, part, "closed", status=2)
    assert not data_dir.exists()


def test_a_misspelt_setting_is_one_warning_and_no_failure(data_dir, folder):
    done = personas("list", data_dir=data_dir, PERSONAS_DIR=folder, PERSONAS_PROT="8000")
    assert done.returncode == 0
    [line] = done.stderr.splitlines()
    assert "PERSONAS_PROT (do you mean PERSONAS_PORT?)" in line


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PERSONAS_SLOTS", "zero"),
        ("PERSONAS_MAX_NEW_TOKENS", "40000"),
        ("PERSONAS_QUANTIZATION", "nf5"),
        ("PERSONAS_DEFAULT_PERSONA", "nobody"),
        ("PERSONAS_TRAINING_SOURCES", "api,discrod"),
    ],
)
def test_a_bad_setting_is_named(name, value, data_dir, folder):
    done = personas("chat", data_dir=data_dir, **{"PERSONAS_DIR": folder, name: value})
    assert_one_sentence(done, name, status=2)


def test_output_that_cannot_be_written_is_one_sentence(data_dir, folder):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(data_dir, PERSONAS_DIR=folder),
            cwd="/",
            text=True,
            check=False,
        )
    assert_one_sentence(done, "No space left on device", status=1)
    assert len(done.stderr.splitlines()) == 1


def test_a_shipped_lineage_may_hold_anything(data_dir, folder, tmp_path):
    lineages = {"zen": {"metrics": 3}, "codebeard": {"metrics": {"evaluation": {"perplexity_ratio": "low"}}}}
    for slug, lineage in lineages.items():
        (tmp_path / "personas" / slug / "adapters" / "smollm2" / "lineage.json").write_text(json.dumps(lineage))
    for line in ("list", "list --json", "show zen", "versions codebeard"):
        done = personas(*line.split(), data_dir=data_dir, PERSONAS_DIR=folder)
        assert (done.returncode, done.stderr) == (0, "")


def test_a_data_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    done = personas("chat", data_dir=tmp_path / "file" / "data", PERSONAS_DIR=str(ROOT / "personas"))
    assert_one_sentence(done, "PERSONAS_DATA_DIR", status=1)


@pytest.mark.parametrize("line", ["serve --port 0", "list", "db upgrade", "db current"])
def test_a_newer_database_is_refused(line, data_dir, folder):
    personas("db", "upgrade", data_dir=data_dir, PERSONAS_DIR=folder)
    with closing(sqlite3.connect(data_dir / "personas.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '20990101_from_the_future'")
    done = personas(*line.split(), data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(done, "newer version", "20990101_from_the_future", status=1)


def test_a_locked_database_is_one_sentence(data_dir, folder):
    personas("db", "upgrade", data_dir=data_dir, PERSONAS_DIR=folder)
    path = data_dir / "personas.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("BEGIN IMMEDIATE")
        done = personas(
            *("serve", "--port", "0"),
            data_dir=data_dir,
            PERSONAS_DIR=folder,
            PERSONAS_DATABASE_URL=f"sqlite:///{path}?timeout=0.05",
        )
    assert_one_sentence(done, "locked", status=1)


def test_db_current_says_what_to_do_without_a_database(data_dir, folder):
    done = personas("db", "current", data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(done, "personas db upgrade", status=1)


def test_a_taken_port_is_found_before_anything_is_loaded(data_dir, folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = personas("serve", "--port", port, data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(done, f"Port {port}", "taken", status=2)
    assert not data_dir.exists()


def test_a_missing_model_ends_the_server_with_a_sentence(data_dir, folder):
    done = personas("serve", "--port", "0", "--base", "/no/such/model", data_dir=data_dir, PERSONAS_DIR=folder)
    assert_one_sentence(done, "/no/such/model", "PERSONAS_BASE_MODEL", status=2)


def test_doctor_names_what_fails_and_what_is_fine(data_dir, folder):
    given = {"PERSONAS_DIR": folder, "PERSONAS_PORT": "0"}
    done = personas("doctor", "--base", "/no/such/model", data_dir=data_dir, is_fresh=True, **given)
    assert done.returncode == 1
    assert not done.stderr
    levels = [tuple(line.split()[:2]) for line in done.stdout.splitlines()]
    fine = [("ok", subject) for subject in ("packages", "port", "data", "rights", "space", "database", "personas")]
    machine = [("ok", "device"), ("ok", "quantised")]
    served = [*machine, ("fail", "model"), ("ok", "discord"), ("ok", "slack")]
    assert levels == [*fine, ("warn", "adapter"), ("warn", "adapter"), *served]


@pytest.mark.parametrize("module", ["gradio", "core.engine.transformers_engine"])
def test_a_stop_waits_neither_for_the_web_side_nor_for_the_model_to_load(module, data_dir, folder):
    process = start_process(
        ["-c", ENDLESS.format(module=module), "serve", "--port", "0"],
        kind="light",
        stderr=subprocess.PIPE,
        env=environment(data_dir, PERSONAS_DIR=folder),
        cwd="/",
        text=True,
    )
    try:
        assert "Loading the base model" in process.stderr.readline()
        assert process.stderr.readline() == f"importing {module}\n"
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, rest
    assert rest == "Stopping: running replies are finished first; Ctrl-C again stops at once.\n"

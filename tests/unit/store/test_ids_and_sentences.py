"""What the store says without a database."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import make_url

from core.advice import InstallPackage
from core.errors import InvalidSetting
from core.store.engines import create_engine
from core.store.exchanges import new_exchange_id
from core.store.outages import SQLITE_ADVICE, outage_sentence
from core.store.schema import MIGRATIONS_FOLDER, alembic_config

URL = make_url("sqlite+aiosqlite:///data/personas.db")


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as the driver says it")
    error.sqlite_errorcode = code
    return error


def test_an_exchange_id_is_an_openai_completion_id_and_never_the_same_twice():
    first, second = new_exchange_id(), new_exchange_id()
    assert re.fullmatch(r"chatcmpl-[0-9a-f]{32}", first)
    assert first != second


@pytest.mark.parametrize("code", SQLITE_ADVICE)
@pytest.mark.parametrize("detail", [0, 1 << 8, 5 << 8])
def test_every_known_outage_is_one_sentence_that_names_the_file(code, detail):
    sentence = outage_sentence(URL, sqlite_error(code | detail))
    assert sentence == f"The database data/personas.db {SQLITE_ADVICE[code]}."


def test_an_unknown_outage_says_what_the_driver_said():
    assert "(as the driver says it)" in outage_sentence(URL, sqlite_error(sqlite3.SQLITE_ERROR))
    assert "(gone)" in outage_sentence(URL, ConnectionResetError("gone"))


def test_a_sentence_never_shows_the_password():
    url = make_url("postgresql+asyncpg://ann:secret@db.example/personas")
    sentence = outage_sentence(url, ConnectionRefusedError("refused"))
    assert "secret" not in sentence
    assert "db.example" in sentence


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h/d",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "ann:secret@host",
        "postgresql+no://h/d",
        "",
    ],
)
def test_an_unusable_url_is_refused_with_advice_and_without_its_password(url):
    with pytest.raises(InvalidSetting, match=r"^PERSONAS_DATABASE_URL .*use sqlite:///") as caught:
        create_engine(url)
    assert "secret" not in str(caught.value)


def test_a_missing_driver_is_named_with_the_package_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "asyncpg", None)
    with pytest.raises(InvalidSetting, match=r"needs the package asyncpg") as missing:
        create_engine("postgresql+asyncpg://host/personas")
    assert missing.value.advice == InstallPackage("asyncpg")


def test_migrations_form_one_line_and_their_files_are_named_by_date():
    scripts = ScriptDirectory.from_config(alembic_config())
    assert len(scripts.get_heads()) == 1
    for script in scripts.walk_revisions():
        assert re.fullmatch(r"20\d{6}_[a-z]+_[a-z_]+", script.revision)
        assert Path(script.path) == MIGRATIONS_FOLDER / "versions" / f"{script.revision}.py"

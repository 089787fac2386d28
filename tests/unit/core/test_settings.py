from __future__ import annotations

import re

import pytest

from core.base_names import base_slug
from core.errors import InvalidSetting
from core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_smollm2_is_served_on_loopback_from_its_copy_in_the_data_folder(tmp_path):
    settings = load_settings()
    assert (settings.base_model, settings.base_model_path) == ("smollm2", "data/models/smollm2")
    assert (settings.host, settings.port, settings.queue_url) == ("127.0.0.1", 7860, "memory://")
    assert settings.store_url == f"sqlite+aiosqlite:///{tmp_path / 'data' / 'personas.db'}"
    assert settings.allowed_training_sources == {"playground", "terminal", "api", "author"}


def test_the_environment_wins_over_personas_toml(tmp_path, monkeypatch):
    (tmp_path / "personas.toml").write_text('base_model = "from/file"\nport = 1234\n')
    monkeypatch.setenv("PERSONAS_BASE_MODEL", "from/environment")
    settings = load_settings()
    assert (settings.base_model, settings.port) == ("from/environment", 1234)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("PERSONAS_PORT", "http", "PERSONAS_PORT: .*integer"),
        ("PERSONAS_PORT", "70000", "PERSONAS_PORT: .*65535"),
        ("PERSONAS_MAX_NEW_TOKENS", "40000", "PERSONAS_MAX_NEW_TOKENS: .*32768"),
        ("PERSONAS_QUANTIZATION", "int3", "PERSONAS_QUANTIZATION: .*'auto'"),
        ("PERSONAS_DEVICE", "gpu", "PERSONAS_DEVICE"),
        ("PERSONAS_QUEUE_URL", "amqp://x", "PERSONAS_QUEUE_URL: .*memory://"),
        ("PERSONAS_HOST", "0.0.0.0", "needs PERSONAS_API_KEY"),
        ("PERSONAS_DATA_DIR", "~nouser/x", 'PERSONAS_DATA_DIR: "~nouser" is nobody.s home folder'),
        ("PERSONAS_DIR", "\udcff", "PERSONAS_DIR: .*not UTF-8"),
        ("PERSONAS_API_KEY", "\udcff", "PERSONAS_API_KEY: .*not UTF-8"),
        ("PERSONAS_KEEP_TEXT_DAYS", "9" * 400, "PERSONAS_KEEP_TEXT_DAYS: .*36500"),
        ("PERSONAS_KEEP_TEXT_DAYS", "9" * 5_000, "PERSONAS_KEEP_TEXT_DAYS: .*maximum size"),
        ("personas_port", "abc", "PERSONAS_PORT: .*integer"),
        ("PERSONAS_USER_MESSAGES_PER_MINUTE", "-1", "PERSONAS_USER_MESSAGES_PER_MINUTE: .*0"),
        (
            "PERSONAS_ALLOWED_PLACES",
            "discord:guild:1, 17",
            'PERSONAS_ALLOWED_PLACES: "17" is no place; write source:kind:id',
        ),
        ("PERSONAS_BLOCKED_PLACES", "discord:guild", "PERSONAS_BLOCKED_PLACES: .*discord:channel:17"),
        ("PERSONAS_BLOCKED_USERS", "ann", 'PERSONAS_BLOCKED_USERS: "ann" is no person or bot; write source:id'),
        ("PERSONAS_ALLOWED_ORIGINS", "obsidian", 'PERSONAS_ALLOWED_ORIGINS: "obsidian" is no origin; write scheme'),
        ("PERSONAS_ALLOWED_ORIGINS", "https://a.example/x", "PERSONAS_ALLOWED_ORIGINS: .* is no origin"),
        ("PERSONAS_ALLOWED_ORIGINS", "*", "needs PERSONAS_API_KEY"),
        ("PERSONAS_ALLOWED_BOTS", "discord:", "PERSONAS_ALLOWED_BOTS: .*source:id"),
    ],
)
def test_a_bad_setting_is_named_with_what_it_must_be(monkeypatch, name, value, complaint):
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSetting, match=complaint):
        load_settings()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("slotz = 4", r"slotz in personas\.toml: there is no such setting; .* slots,"),
        ("[web]\nport = 1", r"web in personas\.toml: there is no such setting"),
        ("slots = 'many'", r"slots in personas\.toml: .*integer"),
        ("host = '0.0.0.0'", "needs PERSONAS_API_KEY"),
        ("host = '0.0.0.0'\napi_key = ''", "needs PERSONAS_API_KEY"),
        ("host = '0.0.0.0'\napi_key = ' '", "needs PERSONAS_API_KEY"),
        ('data_dir = "a\\u0000b"', r"data_dir in personas\.toml: .*NUL"),
        ('base_model = "./a\\u0000b"', r"base_model in personas\.toml: .*NUL"),
    ],
)
def test_a_bad_line_of_the_file_is_named_as_it_stands_there(tmp_path, line, complaint):
    (tmp_path / "personas.toml").write_text(line)
    with pytest.raises(InvalidSetting, match=complaint):
        load_settings()


NUMBERS = [name for name, field in Settings.model_fields.items() if field.annotation in (int, float)]


@pytest.mark.parametrize("value", ["9" * 400, "inf", "nan", "-inf"])
@pytest.mark.parametrize("name", NUMBERS)
def test_no_number_is_without_an_end(monkeypatch, name, value):
    monkeypatch.setenv(f"PERSONAS_{name.upper()}", value)
    with pytest.raises(InvalidSetting, match=f"PERSONAS_{name.upper()}: "):
        load_settings()


def test_blanks_around_a_secret_are_no_part_of_it(monkeypatch):
    monkeypatch.setenv("PERSONAS_API_KEY", " s3cret-key\n")
    monkeypatch.setenv("PERSONAS_DISCORD_TOKEN", "\ttoken ")
    assert load_settings().secrets == ("s3cret-key", "token")
    monkeypatch.setenv("PERSONAS_API_KEY", " ")
    assert load_settings().api_key is None


def test_a_misspelt_variable_is_named_with_what_it_may_mean_and_changes_nothing(monkeypatch, caplog):
    expected = load_settings()
    monkeypatch.setenv("PERSONAS_PROT", "1")
    monkeypatch.setenv("PERSONAS_OF_SOMEBODY_ELSE", "1")
    assert load_settings() == expected
    assert caplog.messages == [
        "Ignored, because there is no such setting: PERSONAS_OF_SOMEBODY_ELSE,"
        " PERSONAS_PROT (do you mean PERSONAS_PORT?)."
    ]


def test_settings_in_any_case_and_variables_of_the_tests_are_no_mistakes(monkeypatch, caplog):
    monkeypatch.setenv("personas_port", "1234")
    monkeypatch.setenv("PERSONAS_TEST_POSTGRES_URL", "postgresql://localhost/scratch")
    assert load_settings().port == 1234
    assert caplog.messages == []


def test_a_home_folder_and_a_log_level_are_understood_as_people_write_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PERSONAS_DATA_DIR", "~/personas")
    monkeypatch.setenv("PERSONAS_LOG_LEVEL", "debug")
    settings = load_settings()
    assert (settings.data_dir, settings.log_level) == (tmp_path / "personas", "DEBUG")


def test_a_settings_file_that_is_no_toml_is_named(tmp_path):
    (tmp_path / "personas.toml").write_text("port = ")
    with pytest.raises(InvalidSetting, match=r"personas\.toml cannot be read"):
        load_settings()


def test_with_an_api_key_another_host_is_allowed_and_the_key_stays_out_of_sight(monkeypatch):
    monkeypatch.setenv("PERSONAS_HOST", "0.0.0.0")
    monkeypatch.setenv("PERSONAS_API_KEY", "s3cret-key-of-16")
    assert "s3cret-key" not in repr(load_settings())


def test_a_key_that_can_be_guessed_opens_the_server_to_nobody_else(monkeypatch):
    monkeypatch.setenv("PERSONAS_API_KEY", "s3cret-key-of-1")
    assert load_settings().host == "127.0.0.1"
    monkeypatch.setenv("PERSONAS_HOST", "0.0.0.0")
    with pytest.raises(InvalidSetting, match="shorter than 16 characters") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("smollm2", "smollm2"),
        ("/models/llama.Q4_K_M.gguf", r"llama\.Q4_K_M\.gguf-[0-9a-f]{8}"),
        ("llama.gguf", r"llama\.gguf-[0-9a-f]{8}"),
        ("Qwen/Qwen3-4B-Instruct-2507", "Qwen--Qwen3-4B-Instruct-2507"),
        ("/models/My Model", r"My-Model-[0-9a-f]{8}"),
        ("./models/tiny", r"tiny-[0-9a-f]{8}"),
        ("/", r"model-[0-9a-f]{8}"),
        (f"/models/{'x' * 300}", r"x{200}-[0-9a-f]{8}"),
    ],
)
def test_a_base_model_s_name_makes_a_safe_folder_name(name, slug):
    assert re.fullmatch(slug, base_slug(name))


def test_only_the_default_model_is_called_smollm2_and_two_folders_of_one_name_are_told_apart(tmp_path):
    slugs = {base_slug(str(tmp_path / parent / "smollm2")) for parent in ("a", "b")}
    slugs |= {base_slug("./smollm2"), base_slug("smollm2")}
    assert len(slugs) == 4


def test_a_folder_has_one_name_whatever_way_leads_to_it(tmp_path, monkeypatch):
    folder = tmp_path / "models" / "tiny"
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "link").symlink_to(folder)
    slug = base_slug(str(folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("./models/tiny", "models/tiny", "~/models/tiny", "link", f"{folder}/"):
        assert base_slug(name) == slug
    monkeypatch.chdir(folder / "inside")
    assert base_slug("..") == slug

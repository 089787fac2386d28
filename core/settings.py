"""Typed settings from personas.toml and the environment, read once and passed by constructor."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from core.base_names import base_slug
from core.default_model import DEFAULT_MODEL
from core.errors import InvalidData, InvalidInput, InvalidSetting, NotFound
from core.generation import MAX_NEW_TOKENS_LIMIT
from core.gguf_path import is_gguf
from core.names import parse_person, parse_place
from core.outside_files import read_toml, real_path
from core.shipped import shipped_folder

ROOT = Path(__file__).resolve().parent.parent
SETTINGS_FILE = "personas.toml"
PREFIX, TEST_PREFIX = "PERSONAS_", "PERSONAS_TEST_"  # the latter is for our own tests
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
MAX_COUNT = 1_000_000  # no limit is ever wanted beyond, and numbers without an end overflow somewhere
MAX_DAYS = 36_500
MIN_KEY_CHARS = 16  # of a key that opens the server to more than this machine

logger = logging.getLogger(__name__)


class Settings(BaseSettings):
    """Every setting. The environment name is PERSONAS_ and the field's name in capitals; the environment wins."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    base_model: str = Field(
        default=DEFAULT_MODEL, description='Hub id, folder or GGUF file; "smollm2" is the small default model'
    )
    quantization: Literal["auto", "none", "nf4", "int8"] = "auto"
    device: str = "auto"
    dtype: Literal["auto", "bfloat16", "float32", "float16"] = "auto"
    data_dir: Path = Path("data")
    dir: Path = Field(default=shipped_folder("personas"), description="Folder that holds the personas")
    database_url: str | None = Field(default=None, description="Default: SQLite in the data dir")
    queue_url: str = "memory://"
    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65_535)
    api_key: SecretStr | None = None
    allowed_origins: str = Field(
        default="", description='Browser and desktop apps that may use the API, as in "app://obsidian.md"; * is any'
    )
    default_persona: str = "codebeard"
    contact: str = Field(default="", max_length=200, description="Who runs this, for /privacy: a name, mail or link")
    training_sources: str = "playground,terminal,api,author"
    trainer: bool = Field(default=False, description="What people judge trains beside the server")
    keep_text_days: int = Field(default=90, ge=1, le=MAX_DAYS, description="What was said is erased after this long")
    discord_token: SecretStr | None = None
    discord_api_url: str = "https://discord.com/api/v10"
    slack_bot_token: SecretStr | None = Field(default=None, description='Begins with "xoxb-"')
    slack_app_token: SecretStr | None = Field(default=None, description='Begins with "xapp-", for Socket Mode')
    slack_config_token: SecretStr | None = Field(default=None, description="For the doctor alone; ends after 12 hours")
    slack_api_url: str = "https://slack.com/api/"
    user_messages_per_minute: int = Field(
        default=10,
        ge=0,
        le=MAX_COUNT,
        description="Answered to one person; 0 is no limit",
    )
    api_messages_per_minute: int | None = Field(
        default=None,
        ge=0,
        le=MAX_COUNT,
        description="Answered to one user of the API; unset, the limit for people where that is set, else none",
    )
    channel_messages_per_minute: int = Field(
        default=30, ge=0, le=MAX_COUNT, description="Answered in a channel; 0 is no limit"
    )
    allowed_places: str = Field(default="", description="Answer in these places only, separated by commas")
    blocked_places: str = Field(default="", description="Answer nobody in these places")
    blocked_users: str = Field(default="", description="Answer these people nowhere")
    allowed_bots: str = Field(default="", description="Answer these bots, too")
    max_bot_turns: int = Field(
        default=3, ge=0, le=MAX_COUNT, description="Messages of bots answered in a row, till a person speaks"
    )

    slots: int = Field(default=8, ge=1, le=512, description="Replies written at once")
    max_context_tokens: int = Field(default=4096, ge=64, le=100 * MAX_COUNT)
    max_new_tokens: int = Field(default=512, ge=1, le=MAX_NEW_TOKENS_LIMIT)
    adapter_slots: int = Field(default=8, ge=1, le=128, description="Adapters resident on the device")
    host_adapters: int = Field(default=32, ge=0, le=MAX_COUNT, description="Adapters kept in host memory besides")
    queue_size: int = Field(default=256, ge=1, le=MAX_COUNT)
    reply_timeout_s: float = Field(
        default=600.0, gt=0, le=MAX_COUNT, description="A reply must be finished after this long"
    )
    drain_timeout_s: float = Field(
        default=30.0, ge=0, le=MAX_COUNT, description="On SIGTERM running replies get this long"
    )
    show_thoughts: bool = Field(default=False, description="Show people what a reasoning model thinks before it speaks")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("*", mode="before")
    @classmethod
    def _check_text(cls, value: object) -> object:
        """No path, header or database takes what is refused here."""
        if isinstance(value, str) and not is_text(value):
            raise ValueError("this holds a NUL character or something that is not UTF-8; write it again")
        return value

    @field_validator(
        "api_key", "discord_token", "slack_bot_token", "slack_app_token", "slack_config_token", mode="before"
    )
    @classmethod
    def _strip_blanks(cls, value: object) -> object:
        """Blanks around a secret came with the pasting, and nobody who sends it sends them. An empty one is none."""
        return value.strip() or None if isinstance(value, str) else value

    @field_validator("data_dir", "dir")
    @classmethod
    def _expand_home(cls, value: Path) -> Path:
        """personas.toml is read by no shell."""
        try:
            return value.expanduser()
        except RuntimeError as error:
            raise ValueError(f'"{value.parts[0]}" is nobody\'s home folder here; write the whole path') from error

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", value):
            raise ValueError(f'"{value[:40]}" is no device; use auto, cpu, mps, cuda or, for the second GPU, cuda:1')
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _ignore_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("allowed_places", "blocked_places")
    @classmethod
    def _check_places(cls, value: str) -> str:
        return _checked(value, parse_place)

    @field_validator("allowed_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for name in sorted(listed(value)):
            if not re.fullmatch(r"\*|null|[a-z][a-z0-9+.-]*://[^/\s?#@]+/?", name.lower()):
                raise ValueError(f'"{name[:100]}" is no origin; write scheme://host, as in "app://obsidian.md"')
        return value

    @field_validator("blocked_users", "allowed_bots")
    @classmethod
    def _check_people(cls, value: str) -> str:
        return _checked(value, parse_person)

    @field_validator("discord_api_url")
    @classmethod
    def _check_api_url(cls, value: str) -> str:
        if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc:
            raise ValueError('give the base URL up to and including "/api/v10"')
        return value.rstrip("/")

    @field_validator("slack_api_url")
    @classmethod
    def _check_slack_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc or not parts.path.rstrip("/").endswith("/api"):
            raise ValueError('give the base URL up to and including "/api/"')
        return f"{value.rstrip('/')}/"

    @field_validator("queue_url")
    @classmethod
    def _check_queue_url(cls, value: str) -> str:
        if value != "memory://":
            raise ValueError('only "memory://" is supported so far')
        return value

    @model_validator(mode="after")
    def _check_host(self) -> Settings:
        if self.host in LOOPBACK_HOSTS:
            return self
        if self.api_key is None:
            raise ValueError(
                f"PERSONAS_HOST={self.host} opens the server to others, which needs PERSONAS_API_KEY;"
                " set one, or use 127.0.0.1"
            )
        if len(self.api_key.get_secret_value()) < MIN_KEY_CHARS:
            raise ValueError(
                f"PERSONAS_API_KEY is shorter than {MIN_KEY_CHARS} characters, and PERSONAS_HOST={self.host} opens the"
                " server to others, who may guess it; make a longer one, with `openssl rand -hex 16` for instance,"
                " or use 127.0.0.1"
            )
        return self

    @model_validator(mode="after")
    def _check_open_origins(self) -> Settings:
        if self.api_key is None and self.allowed_web_origins & {"*", "null"}:
            raise ValueError(
                "PERSONAS_ALLOWED_ORIGINS with * or null lets any website in, which needs PERSONAS_API_KEY; set one, or"
                " name the origins"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, InitSettingsSource(settings_cls, _read_file())

    @property
    def api_pace(self) -> int | None:
        """Messages a minute of one API user; None is no limit. Programs ask faster than people, so only a limit that
        somebody has set is one for them."""
        if self.api_messages_per_minute is not None:
            return self.api_messages_per_minute or None
        is_set = "user_messages_per_minute" in self.model_fields_set
        return self.user_messages_per_minute or None if is_set else None

    @property
    def base_model_path(self) -> str:
        """What transformers loads: the hub id or folder as given, or where a GGUF file's dequantised copy is kept."""
        return str(self.data_dir / "models" / self.base_slug) if is_gguf(self.base_model) else self.base_model

    @property
    def base_slug(self) -> str:
        return base_slug(self.base_model)

    @property
    def store_url(self) -> str:
        """The database's SQLAlchemy URL with its async driver."""
        if self.database_url is None:
            from sqlalchemy import URL  # takes a moment, and not every command has a store

            url = URL.create("sqlite+aiosqlite", database=str(real_path(self.data_dir) / "personas.db"))
            return url.render_as_string()
        scheme, separator, rest = self.database_url.partition("://")
        drivers = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
        return f"{drivers.get(scheme, scheme)}{separator}{rest}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every secret there is, so that none of them is ever shown."""
        found = [getattr(self, name) for name in type(self).model_fields]
        return tuple(one.get_secret_value() for one in found if isinstance(one, SecretStr))

    @property
    def allowed_web_origins(self) -> frozenset[str]:
        """The origins of browser and desktop apps that may use the API, as browsers write them."""
        return frozenset(name.lower().rstrip("/") for name in listed(self.allowed_origins))

    @property
    def is_sqlite(self) -> bool:
        return self.database_url is None or urlsplit(self.database_url).scheme.startswith("sqlite")

    @property
    def own_dir(self) -> Path:
        """Where personas of one's own are kept, besides those in `dir`."""
        return self.data_dir / "personas"

    @property
    def adapters_dir(self) -> Path:
        """Where trained adapter versions are kept."""
        return self.data_dir / "adapters"

    @property
    def adapter_roots(self) -> tuple[Path, ...]:
        """The only folders adapters are read from."""
        return (self.dir, self.adapters_dir)

    @property
    def allowed_training_sources(self) -> frozenset[str]:
        return listed(self.training_sources)


def is_text(value: str) -> bool:
    """Whether this can be written down: no NUL character, and none of the bytes that Python keeps as surrogates."""
    return re.search("[\0\ud800-\udfff]", value) is None


def listed(value: str) -> frozenset[str]:
    """What a setting names, separated by commas."""
    return frozenset(name.strip() for name in value.split(",") if name.strip())


def _checked(value: str, parse: Callable[[str], object]) -> str:
    for name in sorted(listed(value)):
        try:
            parse(name)
        except InvalidInput as error:
            raise ValueError(str(error).rstrip(".")) from error
    return value


def _read_file() -> dict[str, Any]:
    """What personas.toml in the current folder says. Raises InvalidData."""
    try:
        return read_toml(Path(SETTINGS_FILE))
    except NotFound:
        return {}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings. Raises InvalidSetting naming every bad one and where it stands.

    A variable with our prefix that is no setting is named in a warning: it may be misspelt, or somebody else's.
    """
    if strangers := _strangers(os.environ):
        logger.warning("Ignored, because there is no such setting: %s.", ", ".join(strangers))
    try:
        return Settings(**overrides)
    except ValidationError as error:
        problems = [_problem(e["loc"], e["type"], e["msg"], overrides) for e in error.errors(include_input=False)]
        raise InvalidSetting(f"Bad setting: {'; '.join(problems)}.") from error
    except InvalidData as error:
        raise InvalidSetting(str(error)) from error


def _strangers(names: Iterable[str]) -> list[str]:
    """Variables with our prefix that are no settings, each with the setting that it may mean."""
    known = [name.upper() for name in Settings.model_fields]
    found = []
    for name in sorted(names):
        setting = name.upper().removeprefix(PREFIX)
        if setting == name.upper() or setting in known or name.startswith(TEST_PREFIX):
            continue
        meant = get_close_matches(setting, known, n=1)
        found.append(f"{name} (do you mean {PREFIX}{meant[0]}?)" if meant else name)
    return found


def _problem(loc: tuple[int | str, ...], kind: str, message: str, overrides: Mapping[str, Any]) -> str:
    """Where a bad setting stands, and what it must be."""
    reason = message.removeprefix("Value error, ")
    if not loc:
        return reason  # it names the settings that do not go together
    if kind == "extra_forbidden":
        reason = f"there is no such setting; the settings are {', '.join(sorted(Settings.model_fields))}"
    name = str(loc[0])
    variable = f"{PREFIX}{name.upper()}"
    variables = {one.upper() for one in os.environ}  # they count in any case
    where = variable if name in overrides or variable in variables else f"{name} in {SETTINGS_FILE}"
    return f"{where}: {reason}"

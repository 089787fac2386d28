"""Reads personas/<slug>/ into frozen records. Knows no weights and no database."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.blends import BASE, SLUG_PATTERN, Blend
from core.errors import InvalidData, NotFound
from core.generation import SamplingOverrides
from core.outside_files import read_bytes, read_text, read_toml, real_path
from core.persona_names import name_key, one_line

MAX_SYSTEM_PROMPT_CHARS = 8_000
MAX_NAME_CHARS, MAX_DESCRIPTION_CHARS, MAX_GREETING_CHARS = 80, 300, 500
MAX_TOP_K = 1_000_000  # no vocabulary is larger
MAX_FILE_BYTES = 256 << 10  # of persona.toml, which takes a second to judge at the most
MAX_CATCHPHRASES, MAX_PROBLEMS = 200, 5
MAX_AVATAR_BYTES = 8 << 20  # what Discord takes
RESERVED_NAMES = frozenset({BASE, "default"})  # what can be typed on Discord where a persona's name can

Line = Annotated[str, BeforeValidator(lambda value: one_line(value) if isinstance(value, str) else value)]

logger = logging.getLogger(__name__)


class GateTable(BaseModel):
    """The [gate] table of persona.toml: what this persona changes of the thresholds a new version must meet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    perplexity_ratio: float | None = Field(default=None, ge=1, le=10)
    adherence_margin: float | None = Field(default=None, ge=0, le=1)
    drop_the_act_margin: float | None = Field(default=None, ge=0, le=1)
    formats_margin: float | None = Field(default=None, ge=0, le=1)
    identity_margin: float | None = Field(default=None, ge=0, le=1)
    flawed_margin: float | None = Field(default=None, ge=0, le=1)
    facts_margin: float | None = Field(default=None, ge=0, le=1)
    facts_margin_to_base: float | None = Field(default=None, ge=0, le=1)
    refusals_margin: float | None = Field(default=None, ge=0, le=1)
    general_text_ratio: float | None = Field(default=None, ge=1, le=10)
    corrections: float | None = Field(default=None, ge=0, le=1)
    corrections_kept: float | None = Field(default=None, ge=0, le=1)
    votes: float | None = Field(default=None, ge=0, le=1)
    min_votes: int | None = Field(default=None, ge=1, le=100_000)
    diversity: float | None = Field(default=None, ge=0, le=1)
    words_ratio: float | None = Field(default=None, ge=1, le=100)
    emoji_rise: float | None = Field(default=None, ge=0, le=100)
    exclamations_rise: float | None = Field(default=None, ge=0, le=100)
    praise_rise: float | None = Field(default=None, ge=0, le=1)
    confidence: float | None = Field(default=None, gt=0.5, lt=1)
    must_improve: bool | None = None


class TrainingTable(BaseModel):
    """The [training] table of persona.toml: what this persona changes of the default recipe."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: Literal["attention", "all-linear"] | None = None
    epochs: float | None = Field(default=None, gt=0, le=100)
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    interpolation: float | None = Field(default=None, gt=0, le=1)


class SamplingTable(BaseModel):
    """The [sampling] table of persona.toml: what this persona changes of the base model's sampling defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=5)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0, le=MAX_TOP_K)
    repetition_penalty: float | None = Field(default=None, ge=0.1, le=10)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)


class FeedbackTable(BaseModel):
    """The [feedback] table of persona.toml: what this persona changes of the rules by which feedback may train it.

    `training.feedback_policy` says what each number means.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_feedback: int | None = Field(default=None, ge=1, le=1_000_000)
    cool_down_s: float | None = Field(default=None, ge=0, le=366 * 86_400)
    max_per_person_per_day: int | None = Field(default=None, ge=1, le=1_000_000)
    max_corrections_per_person_per_day: int | None = Field(default=None, ge=1, le=1_000_000)
    max_person_share: float | None = Field(default=None, gt=0, le=1)
    burst_size: int | None = Field(default=None, ge=1, le=1_000_000)
    burst_window_s: float | None = Field(default=None, gt=0, le=366 * 86_400)
    min_votes_for_quarantine: int | None = Field(default=None, ge=1, le=1_000_000)
    quarantine_evidence: float | None = Field(default=None, gt=1, le=1e9)
    conflict_margin: int | None = Field(default=None, ge=1, le=1_000_000)
    near_duplicate_similarity: float | None = Field(default=None, gt=0, le=1)


class RolloutTable(BaseModel):
    """The [rollout] table of persona.toml: whether a new version meets people step by step, and in which steps.

    `core.adapters.rollout` says how they are decided. While it is off, the gate promotes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = False
    shadow_replies: int = Field(default=30, ge=0, le=10_000)
    words_ratio: float = Field(default=1.5, gt=1, le=100)
    flawed_margin: float = Field(default=0.1, ge=0, le=1)
    voice_margin: float = Field(default=0.5, ge=0, le=1)
    canary_share: float = Field(default=0.5, gt=0, le=0.9)
    evidence: float = Field(default=20.0, ge=2, le=1e6)
    min_people: int = Field(default=10, ge=1, le=100_000)
    max_votes: int = Field(default=600, ge=1, le=1_000_000)


class PersonaFile(BaseModel):
    """persona.toml as written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Line = Field(min_length=1, max_length=MAX_NAME_CHARS)
    description: Line = Field(min_length=1, max_length=MAX_DESCRIPTION_CHARS)
    emoji: Line = Field(default="🎭", min_length=1, max_length=8)
    greeting: Line = Field(min_length=1, max_length=MAX_GREETING_CHARS)
    catchphrases: tuple[Line, ...] = Field(default=(), max_length=MAX_CATCHPHRASES)
    gate: GateTable = GateTable()
    sampling: SamplingTable = SamplingTable()
    training: TrainingTable = TrainingTable()
    feedback: FeedbackTable = FeedbackTable()
    rollout: RolloutTable = RolloutTable()


@dataclass(frozen=True, slots=True)
class Persona:
    """A product identity: name, face, system prompt and the data that trains its adapters."""

    slug: str
    folder: Path
    file: PersonaFile
    system_prompt: str

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def sampling(self) -> SamplingOverrides:
        """What it changes of the base model's sampling defaults."""
        return SamplingOverrides(**self.file.sampling.model_dump(exclude_none=True))

    @property
    def train_path(self) -> Path:
        return self.folder / "train.jsonl"

    @property
    def eval_path(self) -> Path:
        return self.folder / "eval.jsonl"

    @property
    def avatar(self) -> Path | None:
        """Its picture, a small square PNG; None when the folder holds none."""
        path = self.folder / "avatar.png"
        return path if path.is_file() else None

    def read_avatar(self) -> bytes | None:
        """Its picture; None where there is none that can be read, which the log says."""
        if self.avatar is None:
            return None
        try:
            return read_bytes(self.avatar, max_bytes=MAX_AVATAR_BYTES)
        except (InvalidData, NotFound) as error:
            logger.warning("%s is shown without its picture: %s", self.slug, error)
            return None

    def adapter_folder(self, base_slug: str) -> Path:
        """Where the persona ships its adapter for a base model (see `core.settings.base_slug`)."""
        return self.folder / "adapters" / base_slug


def load_persona(folder: Path) -> Persona:
    """Read one persona folder. Raises InvalidData naming the file and every wrong field."""
    slug = folder.name
    if not SLUG_PATTERN.fullmatch(slug) or slug == BASE:
        raise InvalidData(
            f'{folder}: a persona\'s folder is named with a-z, 0-9, - and _ (32 at most), and not "{BASE}".'
        )
    path = folder / "persona.toml"
    try:
        file = PersonaFile.model_validate(read_toml(path, max_bytes=MAX_FILE_BYTES))
        system_prompt = read_text(folder / "system_prompt.md").strip()
    except NotFound as error:
        raise InvalidData(f"{str(error).rstrip('.')}; every persona needs one.") from error
    except ValidationError as error:
        raise InvalidData(f"{path}: {_problems(error)}.") from error
    if len(system_prompt) > MAX_SYSTEM_PROMPT_CHARS:
        raise InvalidData(
            f"{folder}/system_prompt.md: {len(system_prompt)} characters; at most {MAX_SYSTEM_PROMPT_CHARS}."
        )
    return Persona(slug, folder, file, system_prompt)


def load_personas(folder: Path, own: Path | None = None) -> dict[str, Persona]:
    """Read every persona below `folder`, the shipped ones, and below `own`, the operator's own; by slug.

    A broken one, and one whose slug or name is taken, is left out and logged: it stops nobody else. Raises NotFound
    when there is nobody at all.
    """
    folders = _persona_folders(folder)
    if own is not None and real_path(own) != real_path(folder):
        folders += _persona_folders(own)
    personas: dict[str, Persona] = {}
    names = {name_key(path.name): path.name for path in folders} | {name: name for name in RESERVED_NAMES}
    for path in folders:
        try:
            if path.name in personas:
                raise InvalidData(f"{path} has the short name of {personas[path.name].folder}; rename it.")
            persona = load_persona(path)
            if (holder := names.setdefault(name_key(persona.name), persona.slug)) != persona.slug:
                raise InvalidData(
                    f'{path}: the name "{persona.name}" already means {holder} where people choose who answers; give'
                    " another one."
                )
            personas[path.name] = persona
        except InvalidData as error:
            logger.error(
                "%s is left out: %s", path.name, error
            )  # a chat shows errors only, and this may be who is meant
    if not personas:
        raise NotFound(
            f"No persona was found in {folder}; set PERSONAS_DIR to the folder that holds <name>/persona.toml."
        )
    return personas


def _persona_folders(folder: Path) -> list[Path]:
    """Without those that are just being written, whose names begin with a dot."""
    return sorted(path.parent for path in folder.glob("[!.]*/persona.toml"))


def _problems(error: ValidationError) -> str:
    """What is wrong with the first fields, each by its name, and how many more there are."""
    shown = [
        f"{'.'.join(map(str, one['loc']))[:MAX_NAME_CHARS]}: {_reason(one['type'], one['msg'])}"
        for one in error.errors(include_input=False, include_url=False)[:MAX_PROBLEMS]
    ]
    more = error.error_count() - len(shown)
    return "; ".join([*shown, *([f"and {more} more"] if more else [])])


def _reason(kind: str, message: str) -> str:
    return "there is no such key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")


def find_persona(personas: Mapping[str, Persona], slug: str) -> Persona:
    """The persona of this slug. Raises NotFound with the known ones."""
    persona = personas.get(slug.strip().lower())
    if persona is None:
        raise NotFound(f'There is no persona "{slug[:60]}"; the installed ones are {", ".join(sorted(personas))}.')
    return persona


def check_blend(personas: Mapping[str, Persona], blend: Blend) -> Blend:
    """The blend itself when all its personas are installed. Raises NotFound."""
    for part in blend.parts:
        find_persona(personas, part.slug)
    return blend

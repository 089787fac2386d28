"""Fields that OpenAI's endpoints share: what is understood, what other engines' clients mean by it, what is refused.

Knows no HTTP and no queue.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from core.generation import MAX_NEW_TOKENS_LIMIT, SamplingOverrides

MAX_ID_CHARS = 256
LIKELIEST = 1e-6  # the top_p that leaves the likeliest token alone, which others write as 0
NO_TOOLS = "personas call no tools; leave this out"
NO_FORMATS = "personas write plain text and cannot be held to a format; leave this out"
NO_LOGPROBS = "probabilities of tokens are not given; leave this out"
NO_VOICE = "personas write text only; leave this out"
# Ways of sampling that other engines have and this one has not, with the values that turn them off.
UNKNOWN_SAMPLERS = {
    "min_p": (0,),
    "typical_p": (1,),
    "top_a": (0,),
    "tfs": (1,),
    "tfs_z": (1,),
    "mirostat": (0,),
    "mirostat_mode": (0,),
    "dry_multiplier": (0,),
    "xtc_probability": (0,),
    "smoothing_factor": (0,),
    "min_tokens": (0,),
}


class Strict(BaseModel):
    """JSON's own types and nothing converted; unknown fields are ignored, because OpenAI's clients send many."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, allow_inf_nan=False)


# No database keeps a NUL character.
Id = Annotated[str, Field(min_length=1, max_length=MAX_ID_CHARS, pattern=r"^[^\x00]*$")]


def read_as(given: float, meant: float | None) -> BeforeValidator:
    """Take one number for another: other engines' way to say "off" or "as much as fits"."""

    def read(value: object) -> object:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return meant if is_number and value == given else value

    return BeforeValidator(read)


def read_whole(value: object) -> object:
    """Some languages write a whole number as 100.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def only(is_harmless: Callable[[Any], bool], reason: str) -> AfterValidator:
    """Refuse a field with a sentence, but for the values that ask for nothing."""

    def check(value: Any) -> Any:
        if not is_harmless(value):
            raise ValueError(reason)
        return value

    return AfterValidator(check)


def is_nothing(value: object) -> bool:
    """Whether this is how a client says that it wants nothing of a kind: null, false, 0, or something empty."""
    return not value


def is_plain_text(value: object) -> bool:
    return is_nothing(value) or (isinstance(value, dict) and value.get("type") == "text")


def _is_no_bias(value: object) -> bool:
    return is_nothing(value) or (isinstance(value, dict) and not any(value.values()))


def _check_tools(value: Any, info: ValidationInfo) -> Any:
    """A client that forbids their use may bring tools along."""
    if value and info.data.get("tool_choice") != "none":
        raise ValueError(NO_TOOLS)
    return value


def _cap(value: int) -> int:
    return min(value, MAX_NEW_TOKENS_LIMIT)


# -1 and what no reply can reach mean "as much as fits".
TokenCount = Annotated[
    int, Field(ge=1, lt=2**63), AfterValidator(_cap), read_as(-1, MAX_NEW_TOKENS_LIMIT), BeforeValidator(read_whole)
]
Penalty = Annotated[float, Field(ge=-2, le=2)]
RepetitionPenalty = Annotated[float, Field(ge=0.1, le=10)]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63), BeforeValidator(read_whole)]
TopK = Annotated[int, Field(ge=0, le=1_000_000), BeforeValidator(read_whole)]


class SharedFields(Strict):
    """What a body may hold at every endpoint that writes replies. All but OpenAI's own names are extensions."""

    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Annotated[Annotated[float, Field(gt=0, le=1)] | None, read_as(0, LIKELIEST)] = None
    top_k: Annotated[TopK | None, read_as(-1, 0)] = None
    repetition_penalty: Annotated[RepetitionPenalty | None, read_as(0, 1.0)] = None
    repeat_penalty: Annotated[RepetitionPenalty | None, read_as(0, 1.0)] = None  # llama.cpp's name for it
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    seed: Annotated[Seed | None, read_as(-1, None)] = None
    stream: bool | None = None
    user: Annotated[Id | None, BeforeValidator(lambda value: None if value == "" else value)] = None
    variant_of: Id | None = None  # a former reply to the same question, which gets another answer

    min_p: Any = None
    typical_p: Any = None
    top_a: Any = None
    tfs: Any = None
    tfs_z: Any = None
    mirostat: Any = None
    mirostat_mode: Any = None
    dry_multiplier: Any = None
    xtc_probability: Any = None
    smoothing_factor: Any = None
    min_tokens: Any = None

    tool_choice: Annotated[Any, only(lambda value: value in (None, "", "none", "auto"), NO_TOOLS)] = None
    tools: Annotated[Any, AfterValidator(_check_tools)] = None
    top_logprobs: Annotated[Any, only(is_nothing, NO_LOGPROBS)] = None
    guided_json: Annotated[Any, only(is_nothing, NO_FORMATS)] = None
    guided_regex: Annotated[Any, only(is_nothing, NO_FORMATS)] = None
    guided_choice: Annotated[Any, only(is_nothing, NO_FORMATS)] = None
    guided_grammar: Annotated[Any, only(is_nothing, NO_FORMATS)] = None
    structured_outputs: Annotated[Any, only(is_nothing, NO_FORMATS)] = None
    json_schema: Annotated[Any, only(is_nothing, NO_FORMATS)] = None
    grammar: Annotated[Any, only(is_nothing, NO_FORMATS)] = None

    @property
    def sampling(self) -> SamplingOverrides:
        """What is asked of sampling, but for the length and stop strings, which each endpoint names its own way."""
        is_repetition_given = self.repetition_penalty is not None
        return SamplingOverrides(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            repetition_penalty=self.repetition_penalty if is_repetition_given else self.repeat_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=self.seed,
        )

    @property
    def notices(self) -> tuple[str, ...]:
        """What was asked for, is not done, and is no reason to refuse a reply."""
        values = {name: getattr(self, name) for name in UNKNOWN_SAMPLERS}
        ignored = [name for name, value in values.items() if value and value not in UNKNOWN_SAMPLERS[name]]
        return (f"Left out, because this engine does not sample that way: {', '.join(ignored)}.",) if ignored else ()


class CompletionOnlyFields(Strict):
    """What chat completions alone may name and this server cannot do."""

    response_format: Annotated[Any, only(is_plain_text, NO_FORMATS)] = None
    logprobs: Annotated[Any, only(is_nothing, NO_LOGPROBS)] = None
    logit_bias: Annotated[Any, only(_is_no_bias, "single tokens cannot be favoured; leave this out")] = None
    n: Annotated[Any, only(lambda value: value is None or value == 1, "one reply is written; use 1")] = None
    best_of: Annotated[Any, only(lambda value: value is None or value == 1, "one reply is written; use 1")] = None
    functions: Annotated[Any, only(is_nothing, NO_TOOLS)] = None
    function_call: Annotated[Any, only(lambda value: value in (None, "", "none", "auto"), NO_TOOLS)] = None
    modalities: Annotated[Any, only(lambda value: value in (None, [], ["text"]), NO_VOICE)] = None
    audio: Annotated[Any, only(is_nothing, NO_VOICE)] = None
    web_search_options: Annotated[Any, only(lambda value: value is None, "personas search nothing; leave this out")] = (
        None
    )
    echo: Annotated[Any, only(is_nothing, "a reply does not repeat the question; leave this out")] = None
    continue_final_message: Annotated[
        Any, only(is_nothing, "a reply begins anew and goes on with no other; leave this out")
    ] = None

"""Loads the base model and its tokenizer: device, dtype and quantisation. Knows no adapters and no requests."""

from __future__ import annotations

import gc
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import cached_file

from core.adapters.fingerprint import folder_fingerprint
from core.engine.bf16_trial import Agreement, compare_logits, judge_bf16, measure_speed, trial_logits
from core.engine.cpu_features import has_fast_bf16
from core.engine.model_files import check_model_files
from core.engine.quantization import (
    QuantizationChoice,
    QuantizationProbe,
    avoid_packed_kernel,
    choose_quantization,
    import_bitsandbytes,
    probe_quantization,
)
from core.errors import InvalidSetting, NotFound

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float16": torch.float16}
# What a model's config or tokenizer raises when it is broken or of a kind that this transformers does not know.
UNREADABLE = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    ArithmeticError,
    SafetensorError,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedBase:
    """A frozen base model on its device, in eval mode, with the tokenizer that belongs to it.

    `dtype` is the dtype it computes in; quantised layers store their weights in fewer bits. `name` is as configured.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    dtype: torch.dtype
    quantization: QuantizationChoice
    name: str
    fingerprint: str | None = None
    """Where its weights lie on no disk as they are; else `base_fingerprint` reads it off their files."""


def load_base_model(
    name: str, *, device: str = "auto", dtype: str = "auto", quantization: str = "auto", for_serving: bool = False
) -> LoadedBase:
    """Load a hub id or folder. Only safetensors are read and no code of the model's repository is run.

    `for_serving` lets "auto" choose bf16 on a CPU that gains by it; training and measuring get fp32 there.
    Raises NotFound when the model is not there, InvalidSetting for a device, dtype or model that cannot be used.
    """
    target = choose_device(device)
    torch_dtype = choose_dtype(dtype, target)
    config = read_config(name)
    # The probe imports bitsandbytes, which nobody has to wait for who cannot use it.
    is_probed = quantization in ("nf4", "int8") or target.type == "cuda"
    choice = choose_quantization(
        quantization,
        probe=probe_quantization(target) if is_probed else QuantizationProbe(target.type),
        model_bytes=_size_in_16_bit(config) if target.type == "cuda" else None,
        free_bytes=torch.cuda.mem_get_info(target)[0] if target.type == "cuda" else None,
    )
    log = logger.warning if quantization not in ("auto", choice.chosen) else logger.info
    log("Quantisation of %s: %s (%s)", name, choice.chosen, choice.reason)
    tokenizer = _read(name, AutoTokenizer.from_pretrained)
    if not tokenizer.chat_template:
        raise InvalidSetting(f"{name} has no chat template, so it cannot chat; choose the model's instruct variant.")
    if for_serving and dtype == "auto" and target.type == "cpu" and choice.chosen == "none":
        model = _read_what_serves_best(name, target, tokenizer, choice)
        torch_dtype = model.dtype
    else:
        model = _read_weights(name, target, torch_dtype, choice)
    avoid_packed_kernel(model, for_training=False)
    return LoadedBase(_frozen(model), tokenizer, target, torch_dtype, choice, name)


def base_in_memory(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    name: str,
    fingerprint: str,
    device: str,
    dtype: str,
    quantization: str,
) -> LoadedBase:
    """A base model from weights that are in memory already, for a machine that may not keep them on its disk.

    Raises InvalidSetting for a device or dtype that cannot be used, and where quantisation is asked for: bitsandbytes
    quantises while it reads files.
    """
    if quantization in ("nf4", "int8"):
        raise InvalidSetting(
            f"PERSONAS_QUANTIZATION={quantization} needs the dequantised model on the disk, and the data folder cannot"
            " be written; set PERSONAS_DATA_DIR to a folder that can, or PERSONAS_QUANTIZATION=none."
        )
    target = choose_device(device)
    torch_dtype = choose_dtype(dtype, target)
    moved = _frozen(model.to(device=target, dtype=torch_dtype))
    choice = QuantizationChoice(quantization, "none", "the model is served from memory")
    return LoadedBase(moved, tokenizer, target, torch_dtype, choice, name, fingerprint)


def _frozen(model: PreTrainedModel) -> PreTrainedModel:
    model.requires_grad_(False)
    return model.eval()


def choose_device(device: str) -> torch.device:
    """ "auto" is CUDA, then MPS, then the CPU. Raises InvalidSetting for a device this machine does not have."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise InvalidSetting(f'PERSONAS_DEVICE is "{device}"; use auto, cpu, mps, cuda or cuda:0.') from error
    if target.type == "cuda":
        count = torch.cuda.device_count()
        if (target.index or 0) >= count:
            raise InvalidSetting(f'PERSONAS_DEVICE is "{device}", but torch sees {count} CUDA devices; use auto.')
        return torch.device("cuda", target.index or 0)
    if target.type == "mps" and not torch.backends.mps.is_available():
        raise InvalidSetting(
            'PERSONAS_DEVICE is "mps", but this machine has no Apple GPU that torch can use; use auto.'
        )
    if target.type not in ("cpu", "mps"):
        raise InvalidSetting(f'PERSONAS_DEVICE is "{device}"; use auto, cpu, mps, cuda or cuda:0.')
    return target


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """ "auto" is bf16 on a GPU that has it, fp16 on an older one, and fp32 on the CPU.

    fp32 on the CPU because greedy replies must not depend on the batch they are in, and only there is that exact.
    Serving may still turn to bf16 once it knows the model: see `load_base_model`.
    """
    if dtype != "auto":
        if dtype not in DTYPES:
            raise InvalidSetting(f'PERSONAS_DTYPE is "{dtype}"; use auto, {", ".join(DTYPES)}.')
        return DTYPES[dtype]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return torch.float32


def describe_dtype(dtype: str, device: torch.device) -> str:
    """What serving computes in, before any model is loaded. Raises InvalidSetting."""
    chosen = str(choose_dtype(dtype, device)).removeprefix("torch.")
    if dtype == "auto" and device.type == "cpu" and has_fast_bf16():
        return f"bfloat16 if the model gains by it, which is tried at the start, else {chosen}"
    return chosen


def base_fingerprint(base: LoadedBase | str | Path) -> str:
    """What lineage records to recognise a base model: a hash of its weights on disk, see `folder_fingerprint`.

    Raises NotFound when the weights are not on this machine.
    """
    if isinstance(base, LoadedBase) and base.fingerprint is not None:
        return base.fingerprint
    return folder_fingerprint(model_folder(base.name if isinstance(base, LoadedBase) else str(base)))


def model_folder(name: str) -> Path:
    """The folder that holds a model's files: the folder itself, or the hub cache's snapshot. Raises NotFound."""
    if _is_folder(name):
        return Path(name).expanduser()
    try:
        config = cached_file(name, "config.json", local_files_only=True)
    except OSError as error:
        raise NotFound(f"{name} is not in the local Hugging Face cache; load it once with a network.") from error
    return Path(config).parent


def _is_folder(name: str) -> bool:
    """Whether the name means a folder. Raises NotFound for a path that leads nowhere."""
    path = Path(name).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NotFound(f"{name} holds no config.json, so it is not a model folder; check PERSONAS_BASE_MODEL.")
        check_model_files(path)
        return True
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name:
        raise NotFound(f"The model folder {name} does not exist; check PERSONAS_BASE_MODEL.")
    return False


def _read(name: str, from_pretrained: Any, **kwargs: Any) -> Any:
    """Call one of transformers' loaders, with its errors as one sentence."""
    is_folder = _is_folder(name)
    source = str(Path(name).expanduser()) if is_folder else name
    try:
        return from_pretrained(source, local_files_only=is_folder or _is_offline(), trust_remote_code=False, **kwargs)
    except OSError as error:
        if is_folder:
            raise NotFound(f"The model in {name} cannot be read: {_first_line(error)}.") from error
        if _is_offline():
            raise NotFound(
                f"{name} is not in the local Hugging Face cache and HF_HUB_OFFLINE is set; unset it, download the model"
                " first, or point PERSONAS_BASE_MODEL at a folder."
            ) from error
        raise NotFound(
            f"{name} could not be had from the Hugging Face hub; check the name, the network and, for a gated model,"
            f" `hf auth login` ({_first_line(error)})."
        ) from error
    except torch.OutOfMemoryError as error:
        raise InvalidSetting(
            f"{name} does not fit on the device; set PERSONAS_QUANTIZATION=nf4 or choose a smaller model."
        ) from error
    except UNREADABLE as error:
        raise InvalidSetting(f"{name} cannot be used as the base model: {_first_line(error)}.") from error


def read_config(name: str) -> PreTrainedConfig:
    """The config of a hub id or folder. Raises NotFound and InvalidSetting."""
    return _read(name, AutoConfig.from_pretrained)


def _read_weights(name: str, device: torch.device, dtype: torch.dtype, choice: QuantizationChoice) -> PreTrainedModel:
    kwargs: dict[str, Any] = {"dtype": dtype, "use_safetensors": True}
    if choice.chosen != "none":
        import_bitsandbytes()
        kwargs["quantization_config"] = quantization_config(choice.chosen, dtype)
    if choice.chosen != "none" or device.type != "cpu":
        kwargs["device_map"] = {"": device}
    model: PreTrainedModel = _read(name, AutoModelForCausalLM.from_pretrained, **kwargs)
    return model


def _read_what_serves_best(
    name: str, device: torch.device, tokenizer: PreTrainedTokenizerBase, choice: QuantizationChoice
) -> PreTrainedModel:
    """The model in fp32, or in bf16 where this CPU gains by it and the model allows it; the log says which and why."""
    held: list[PreTrainedModel] = []  # never two at once: memory may not hold both

    def logits(dtype: torch.dtype) -> torch.Tensor:
        held.clear()
        gc.collect()  # a model's modules refer to each other
        held.append(_read_weights(name, device, dtype, choice).eval())
        return trial_logits(held[0], tokenizer)

    def compare() -> Agreement:
        return compare_logits(logits(torch.float32), logits(torch.bfloat16))

    verdict = judge_bf16(has_fast_bf16(), measure_speed, compare)
    logger.info("Computing %s in %s: %s", name, str(verdict.dtype).removeprefix("torch."), verdict.reason)
    if held and held[0].dtype == verdict.dtype:
        return held[0]
    held.clear()
    gc.collect()
    return _read_weights(name, device, verdict.dtype, choice)


def quantization_config(kind: str, dtype: torch.dtype) -> BitsAndBytesConfig:
    """bitsandbytes' settings: NF4 with double quantisation as in QLoRA (https://arxiv.org/abs/2305.14314), or int8."""
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def _size_in_16_bit(config: PreTrainedConfig) -> int | None:
    """Bytes of the model's weights at two bytes each; None for an architecture that cannot be built without them."""
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
    except UNREADABLE:
        return None
    return 2 * sum(int(parameter.numel()) for parameter in model.parameters())


def _is_offline() -> bool:
    return any(
        os.environ.get(name, "").upper() in ("1", "TRUE", "YES", "ON")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")

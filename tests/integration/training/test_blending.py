"""`personas blend`, `merge` and `export` with their real parts, on a tiny model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from gguf import GGUFReader
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from bot.commands import blend, export, merge
from bot.commands.arguments import build_parser
from bot.service.storage import open_storage
from core.adapters.registry import RegisteredAdapter
from core.engine.loading import load_base_model
from core.errors import AdapterRejected, InvalidInput, NotFound, PersonasError
from core.generation import AdapterRef
from core.personas import load_persona
from core.settings import Settings
from tests.examples.training import MONK_WORDS, PIRATE_WORDS, make_rows, write_rows
from tests.models.engine_cases import collect_all, request, running_engine
from tests.models.tiny_models import make_adapter, make_tiny_model
from tests.models.tiny_personas import tiny_settings
from training.first_gate import judge_first, settle_first
from training.measurement import Measurement

QUESTIONS = ("hello", "who are you?", "the captain sails the seven seas", "naïve café", "how are you today? " * 5)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A pirate and a monk with rows and adapters of unlike ranks and layers, and a hermit without either."""
    root = tmp_path_factory.mktemp("shop")
    model = make_tiny_model("llama", root / "model")
    settings = tiny_settings(root, model, "pirate", "monk", quantization="none")
    everywhere = settings.dir / "monk" / "adapters" / settings.base_slug
    make_adapter(model, everywhere, seed=7, r=8, lora_alpha=8, target_modules="all-linear", use_rslora=True)
    for slug, words in (("pirate", PIRATE_WORDS), ("monk", MONK_WORDS)):
        write_rows(settings.dir / slug / "train.jsonl", make_rows(words, 20))
        write_rows(settings.dir / slug / "eval.jsonl", make_rows(words, 4, start=100))
    hermit = settings.dir / "hermit"
    hermit.mkdir()
    for name in ("persona.toml", "system_prompt.md"):
        text = (settings.dir / "pirate" / name).read_text(encoding="utf-8").replace("Pirate", "Hermit")
        (hermit / name).write_text(text, encoding="utf-8")
    return settings


def run(settings: Settings, *line: str) -> int:
    return blend.run(build_parser().parse_args(["blend", *line, "--no-evaluation"]), settings)


def newest(settings: Settings, slug: str) -> RegisteredAdapter:
    async def find() -> RegisteredAdapter:
        async with open_storage(settings) as storage, storage.store.read() as session:
            return (await storage.registry.versions(session, slug, settings.base_slug))[-1]

    return asyncio.run(find())


def shipped(settings: Settings, slug: str) -> AdapterRef:
    return newest(settings, slug).ref


def replies(settings: Settings, rows: Sequence[dict[AdapterRef, float]]) -> list[list[str]]:
    """What the engine answers to every question, greedily and in fp32, for each row of weights."""

    async def ask() -> list[list[str]]:
        model = Path(settings.base_model)
        async with running_engine(model, adapter_roots=settings.adapter_roots) as engine:
            wanted = [
                [request(f"{n}-{m}", text, adapters=row, max_new_tokens=24) for m, text in enumerate(QUESTIONS)]
                for n, row in enumerate(rows)
            ]
            return [[text for text, _ in await collect_all(engine, asked)] for asked in wanted]

    return asyncio.run(ask())


def test_exact_blends_answer_token_by_token_as_the_blend_of_a_request(
    shop: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(shop, "both", "--from", "pirate:0.7", "monk:0.3") == 0
    assert "It answers exactly as pirate:0.7+monk:0.3 does." in capsys.readouterr().out
    assert run(shop, "split", "--from", "pirate:0.7", "monk:0.3", "--method", "svd") == 0
    assert run(shop, "rough", "--from", "pirate:0.7", "monk:0.3", "--method", "ties_svd") == 0
    assert "It answers about as" in capsys.readouterr().out
    pirate, monk = shipped(shop, "pirate"), shipped(shop, "monk")
    saved = [{shipped(shop, slug): 1.0} for slug in ("both", "split", "rough")]
    together, cat, svd, ties, alone = replies(shop, [{pirate: 0.7, monk: 0.3}, *saved, {pirate: 1.0}])
    assert cat == together
    assert svd == together
    assert ties != together  # so that the comparison can fail
    assert alone != together


def test_a_blend_is_a_persona_with_face_rows_and_a_lineage_that_names_its_parents(shop: Settings) -> None:
    assert run(shop, "duo", "--from", "monk:0.25", "pirate:0.75", "--name", "The Duo") == 0
    persona, version = load_persona(shop.own_dir / "duo"), newest(shop, "duo")
    assert (persona.name, persona.file.greeting) == ("The Duo", "Hello from Pirate.")
    assert persona.sampling.temperature == 0.0
    assert persona.system_prompt == "Talk.\n\nTalk."
    train = [json.loads(line)["output"] for line in persona.train_path.read_text(encoding="utf-8").splitlines()]
    assert [sum(word in text for text in train) for word in ("Arr", "Breathe")] == [20, 6]
    assert (version.version, version.aliases, version.origin) == (1, ("challenger",), "trained")
    assert version.lineage["method"] == "blend"
    hashes = [shipped(shop, slug).content_hash for slug in ("pirate", "monk")]
    assert version.lineage["parents"] == hashes
    assert [(part["adapter"], part["weight"]) for part in version.lineage["blend"]] == [
        ("pirate@1", 0.75),
        ("monk@1", 0.25),
    ]
    assert (version.lineage["recipe"]["method"], version.lineage["recipe"]["rank"]) == ("cat", 24)


@pytest.mark.parametrize(
    ("line", "error", "sentence"),
    [
        (("new", "--from", "pirate", "nobody"), NotFound, 'There is no persona "nobody"'),
        (("new", "--from", "pirate", "hermit"), NotFound, "hermit has no adapter that answers on"),
        (("new", "--from", "pirate:0.5"), InvalidInput, "two personas or more"),
        (("new", "--from", "pirate:9", "monk"), InvalidInput, 'gives pirate the weight "9"'),
        (("new", "--from", "pirate", "pirate"), InvalidInput, "names a persona twice"),
        (("monk", "--from", "pirate", "monk"), InvalidInput, "There is a persona monk already"),
        (("base", "--from", "pirate", "monk"), InvalidInput, "is the base model without a persona"),
        (("new", "--name", "Monk", "--from", "pirate", "monk"), InvalidInput, '"Monk" already means monk'),
        (("new", "--from", "pirate", "monk", "--method", "linear"), InvalidInput, "linear needs adapters of one rank"),
        (("new", "--from", "pirate", "monk", "--rank", "4"), InvalidInput, "cat decides the rank itself"),
        (("new", "--from", "pirate", "monk", "--density", "1.5"), InvalidInput, '"1.5" is no share'),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_and_leaves_nothing(
    shop: Settings, line: tuple[str, ...], error: type[PersonasError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        run(shop, *line)
    assert not (shop.own_dir / "new").exists()
    assert not (shop.adapters_dir / "new").exists()
    assert not list(shop.adapters_dir.glob(".partial-*"))


def test_a_blend_that_fails_its_gate_does_not_answer_and_one_that_passes_does(shop: Settings) -> None:
    for slug in ("weak", "strong"):
        assert run(shop, slug, "--from", "pirate:0.5", "monk:0.5", "--description", slug) == 0

    def first_gate(slug: str, loss: float) -> RegisteredAdapter:
        version = newest(shop, slug)
        tokens = {"base": [40.0] * 30, "adapter": [40.0] * 30}
        nll = {"base": [100.0 + n for n in range(30)], "adapter": [loss + n for n in range(30)]}
        items = {"held_out_nll": nll, "held_out_tokens": tokens}
        measured = Measurement.from_dict({"adapter": version.ref.content_hash, "items": items, "numbers": {}})
        persona = load_persona(shop.own_dir / slug)
        verdict = judge_first(persona, shop, version, lambda _: None, lambda *_: measured)
        return asyncio.run(settle_first(lambda: open_storage(shop), version, verdict, is_forced=False, by="ann"))

    weak, strong = first_gate("weak", 120.0), first_gate("strong", 60.0)
    assert (weak.gate_passed, weak.aliases) == (False, ("challenger",))
    assert (strong.gate_passed, strong.aliases) == (True, ("champion",))
    assert "It answers: promoted by ann" in (strong.folder / "CARD.md").read_text(encoding="utf-8")


def test_a_merged_model_gives_the_logits_of_base_and_adapter_and_can_be_served(
    shop: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "merged"
    merge.merge(build_parser().parse_args(["merge", "monk", str(out)]), shop)
    assert f"monk@1 and {shop.base_model} are one model in {out}, in float32." in capsys.readouterr().out
    ids = torch.arange(3, 60).reshape(3, 19)
    base = AutoModelForCausalLM.from_pretrained(shop.base_model, dtype=torch.float32)
    with torch.no_grad():
        plain = base(ids).logits
        adapted = PeftModel.from_pretrained(base, str(newest(shop, "monk").folder)).eval()(ids).logits
        found = AutoModelForCausalLM.from_pretrained(out)(ids).logits
    assert (found - adapted).abs().max() <= 1e-4 * adapted.abs().max()
    assert (found - plain).abs().max() > 0.1 * adapted.abs().max()
    served = load_base_model(str(out), device="cpu", dtype="float32", quantization="none")
    assert served.tokenizer.chat_template
    assert all(str(tmp_path) not in path.read_text(encoding="utf-8") for path in out.glob("*.json"))
    with pytest.raises(InvalidInput, match="merged exists already"):
        merge.merge(build_parser().parse_args(["merge", "monk", str(out)]), shop)
    assert list(tmp_path.iterdir()) == [out]


def test_an_adapter_as_gguf_holds_the_weights_in_llama_cpps_names_and_order(shop: Settings, tmp_path: Path) -> None:
    out = tmp_path / "monk.gguf"
    export.export(build_parser().parse_args(["export", "monk", "--gguf", str(out)]), shop)
    reader = GGUFReader(out)
    fields = {name: reader.fields[name].contents() for name in ("general.type", "general.architecture", "adapter.type")}
    assert fields == {"general.type": "adapter", "general.architecture": "llama", "adapter.type": "lora"}
    scale = reader.fields["adapter.lora.alpha"].contents() / 8
    assert scale == pytest.approx(8 / 8**0.5)  # rslora's
    tensors = {tensor.name: torch.tensor(tensor.data) for tensor in reader.tensors}
    assert len(tensors) == 3 * 7 * 2
    kept = load_file(newest(shop, "monk").folder / "adapter_model.safetensors")
    halves = {
        "attn_q": ("self_attn.q_proj", 4),
        "attn_k": ("self_attn.k_proj", 2),
        "attn_v": ("self_attn.v_proj", None),
        "ffn_down": ("mlp.down_proj", None),
    }
    for name, (module, heads) in halves.items():
        key = f"base_model.model.model.layers.1.{module}"
        a, b = kept[f"{key}.lora_A.weight"], kept[f"{key}.lora_B.weight"]
        assert torch.equal(tensors[f"blk.1.{name}.weight.lora_a"], a)
        if heads is not None:  # row i of a head's first half and of its second lie side by side
            size = len(b) // heads
            order = [h * size + half * size // 2 + i for h in range(heads) for i in range(size // 2) for half in (0, 1)]
            b = b[order]
        assert torch.equal(tensors[f"blk.1.{name}.weight.lora_b"], b)


def test_what_cannot_be_exported_is_said_in_a_sentence(shop: Settings, tmp_path: Path) -> None:
    taken = tmp_path / "taken.gguf"
    taken.write_bytes(b"mine")
    with pytest.raises(InvalidInput, match=r"taken.gguf exists already; name another place"):
        export.export(build_parser().parse_args(["export", "monk", "--gguf", str(taken)]), shop)
    assert taken.read_bytes() == b"mine"
    with pytest.raises(InvalidInput, match="Say what to export to; there is --gguf"):
        export.export(build_parser().parse_args(["export", "monk"]), shop)
    for command in (export.export, merge.merge):
        name = command.__name__
        option = ["--gguf"] if name == "export" else [str(tmp_path / "new")]
        with pytest.raises(NotFound, match="hermit has no adapter that answers"):
            command(build_parser().parse_args([name, "hermit", *option]), shop)


def test_an_adapter_whose_files_changed_since_it_was_registered_is_neither_merged_nor_exported(
    shop: Settings, tmp_path: Path
) -> None:
    assert run(shop, "changed", "--from", "monk:0.5", "pirate:0.5") == 0
    weights = newest(shop, "changed").folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    for command, *out in ((merge.merge, str(tmp_path / "new")), (export.export, "--gguf", str(tmp_path / "new"))):
        line = [command.__name__, "changed", *out, "--version", "1"]
        with pytest.raises(AdapterRejected, match="changed@1 changed since its registration"):
            command(build_parser().parse_args(line), shop)
    assert not list(tmp_path.iterdir())

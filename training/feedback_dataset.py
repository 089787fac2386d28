"""Writes a feedback set as a dataset: Parquet, a card that people read, a manifest that programs do.

Nobody is named in it: ids are hashed, and of people it says how many there are.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from datasets import Dataset

from core.errors import StoreUnavailable
from core.private_files import make_private_folder
from training.feedback_set import CorrectedReply, FeedbackSet, JudgedReply, PreferredReply

CARD, MANIFEST = "README.md", "manifest.json"
PARTIAL_PREFIX = ".partial-"
Row: TypeAlias = JudgedReply | PreferredReply | CorrectedReply
USES = {
    "judged": "thumbs, for KTO: `label` says whether people wanted the reply, `weight` how much the row counts",
    "preferred": "picks, for DPO: people chose `chosen` rather than `rejected`",
    "corrected": "better answers that people wrote, for SFT",
}


def write_dataset(feedback: FeedbackSet, folder: Path) -> Path:
    """Write the set to `folder`, in place of what is there, whole or not at all. Returns the folder.

    `datasets.load_dataset(folder, "judged")` reads it; "preferred" and "corrected" are the other parts. A part without
    rows is left out. Raises StoreUnavailable when the disk is full or the folder may not be written.
    """
    try:
        make_private_folder(folder.parent)
        with _partial(folder.parent) as partial:
            for part, rows in _parts(feedback).items():
                Dataset.from_list(rows).to_parquet(str(partial / f"{part}.parquet"))
            manifest = json.dumps(feedback.manifest, indent=2, sort_keys=True, ensure_ascii=False)
            (partial / MANIFEST).write_text(f"{manifest}\n", encoding="utf-8")
            (partial / CARD).write_text(dataset_card(feedback), encoding="utf-8")
            _replace(folder, partial)
    except OSError as error:
        raise StoreUnavailable(
            f"The feedback that trains {feedback.persona} cannot be written to {folder}: {error.strerror or error};"
            " free some space or set PERSONAS_DATA_DIR to another folder."
        ) from error
    return folder


def dataset_card(feedback: FeedbackSet) -> str:
    """What the set holds, where it comes from, by what permission, and what was held back, as Markdown."""
    manifest = feedback.manifest
    parts = _parts(feedback)
    configs = "".join(f"\n- config_name: {part}\n  data_files: {part}.parquet" for part in parts)
    made = datetime.fromtimestamp(manifest["created_at"], UTC).isoformat(timespec="seconds")
    judgements = manifest["judgements"]
    sections = (
        f"---\nconfigs:{configs or ' []'}\n---\n",
        f"# What people taught {feedback.persona}\n",
        f"Feedback on replies of the persona `{feedback.persona}` on the base model `{feedback.base_slug}`, as it stood"
        f" at {made}. Of {judgements['found']} judgements, {judgements['used']} of {manifest['people']} people are used"
        f" and {judgements['held_back']} are held back.\n",
        "## Rows\n",
        _table("part | rows | what for", [f"{part} | {len(rows)} | {USES[part]}" for part, rows in parts.items()]),
        "## Sources and permissions\n",
        _table(
            "source | judgements | permission",
            [
                f"{source} | {count} | {manifest['permissions'][source]}"
                for source, count in manifest["sources"].items()
            ],
        ),
        "## Held back\n",
        _table(
            "reason | judgements | what would release them",
            [f"{held.reason} | {held.count} | {_code(held.setting)}" for held in feedback.held_back],
        ),
        "## Rules\n",
        _table("rule | value", [f"{name} | {_shown(value)}" for name, value in manifest["policy"].items()]),
        f"sha256 of all rows: `{manifest['sha256']}`. `{MANIFEST}` lists the exchanges they come from, hashed.",
    )
    return "\n".join(sections) + "\n"


def _parts(feedback: FeedbackSet) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, tuple[Row, ...]] = {
        "judged": feedback.judged,
        "preferred": feedback.preferred,
        "corrected": feedback.corrected,
    }
    return {part: [_row(row) for row in own] for part, own in rows.items() if own}


def _row(row: Row) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in row.__slots__ if name != "exchange_id"}
    return {"id": hashlib.sha256(row.exchange_id.encode()).hexdigest(), **values, "messages": list(row.messages)}


def _table(head: str, lines: list[str]) -> str:
    if not lines:
        return "None.\n"
    rule = " | ".join("---" for _ in head.split(" | "))
    return "\n".join(f"| {line} |" for line in (head, rule, *lines)) + "\n"


def _code(setting: str | None) -> str:
    return "no setting" if setting is None else f"`{setting}`"


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


@contextmanager
def _partial(parent: Path) -> Iterator[Path]:
    """A new folder, readable by its owner alone, that is gone at the end unless it was moved away."""
    folder = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _replace(folder: Path, new: Path) -> None:
    """Put `new` where `folder` is. A folder that holds something cannot be replaced, so it goes aside first."""
    with _partial(folder.parent) as aside:
        if folder.exists():
            folder.rename(aside / "former")
        try:
            new.rename(folder)
        except OSError:
            if (aside / "former").exists():
                (aside / "former").rename(folder)
            raise

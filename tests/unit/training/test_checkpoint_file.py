from __future__ import annotations

from pathlib import Path

import pytest
import torch

from core.errors import InvalidData
from training.checkpoint_file import FILE, PARTIAL, Checkpoint, CheckpointFile, differences


def checkpoint(step: int) -> Checkpoint:
    tensors = {"weight:a": torch.full((2, 3), float(step)), "random:step:cpu": torch.get_rng_state()}
    return Checkpoint(step, {"recipe": {"r": 16}}, '{"epoch": 0.5}', {"last_epoch": step}, None, 100, 2.5, tensors)


def test_a_checkpoint_is_read_as_it_was_written_and_the_last_one_counts(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "a" / "b" / "c", Checkpoint)
    with file.held():
        assert file.read() is None
        for step in (1, 2):
            file.write(checkpoint(step))
        read = file.read()
        assert read is not None
        assert (read.step, read.identity, read.seconds) == (2, {"recipe": {"r": 16}}, 2.5)
        assert torch.equal(read.tensors["weight:a"], torch.full((2, 3), 2.0))
        assert torch.equal(read.tensors["random:step:cpu"], torch.get_rng_state())
        assert sorted(path.name for path in file.folder.iterdir()) == [".lock", FILE]
        file.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_half_written_goes_with_the_next_training(tmp_path: Path) -> None:
    file = CheckpointFile(tmp_path / "a" / "b" / "c", Checkpoint)
    file.folder.mkdir(parents=True)
    (file.folder / PARTIAL).write_bytes(b"half")
    with file.held():
        assert file.step() is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x80\x04.", b"\x02\x00\x00\x00\x00\x00\x00\x00{}"])
def test_a_file_that_is_no_checkpoint_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InvalidData, match=r"is damaged .*; train without --resume"):
        CheckpointFile(tmp_path, Checkpoint).read()


def test_differences_are_named_by_what_people_gave() -> None:
    former = {"recipe": {"r": 16, "epochs": 3.0}, "the rows": "a" * 64, "device": "cpu"}
    present = {"recipe": {"r": 8, "epochs": 3.0}, "the rows": "b" * 64, "device": "cpu"}
    assert differences(former, present) == ["r was 16 and is 8", "the rows changed"]
    assert differences(former, former) == []

"""What runners over KvSlots do alike. Knows no model."""

from __future__ import annotations

import torch

from core.engine.kv_slots import KvSlots


class SlotKeeper:
    """Keeps what slots hold, and any prefix of it."""

    can_resume = True

    def __init__(self, kv: KvSlots) -> None:
        self.kv = kv

    @property
    def slots(self) -> int:
        return self.kv.slots

    @torch.inference_mode()
    def copy(self, source: int, target: int, tokens: int) -> None:
        self.kv.copy(source, target, tokens)

    @torch.inference_mode()
    def clear(self, slot: int) -> None:
        self.kv.clear(slot)

    def reset(self) -> None:
        self.kv.reset()

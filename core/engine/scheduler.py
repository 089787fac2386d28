"""Which tokens the next step processes, and in which slot each reply lives. Pure policy: no tensors, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from core.engine.prefill_pace import PrefillPace

# (content hash, weight) of every adapter in a reply's row of weights, sorted; () is the base model.
WeightsKey = tuple[tuple[str, float], ...]

# How many others may start before a reply that waits for its adapters to find room in the stack.
MAX_OVERTAKES = 8
# Fewer tokens are read again as fast as they are copied.
MIN_COPIED_TOKENS = 8


@dataclass(slots=True, eq=False)
class Sequence:
    """A reply in the making. `tokens` is the prompt and what was written so far; `computed` of them are in the slot."""

    request_id: str
    conversation_id: str
    tokens: list[int]
    max_tokens: int
    weights: WeightsKey = ()
    slot: int = -1
    computed: int = 0
    cached_tokens: int = 0
    copy_from: int | None = None  # the slot that holds its first `computed` tokens, when it is admitted
    overtakes: int = 0
    crashes: int = 0  # steps with it that crashed
    is_suspect: bool = False  # the latest of them was its latest step
    prompt_tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self.prompt_tokens = len(self.tokens)

    @property
    def is_running(self) -> bool:
        return self.slot >= 0

    @property
    def remaining(self) -> int:
        """Tokens to process before the next one can be chosen; 1 while decoding."""
        return len(self.tokens) - self.computed

    @property
    def completion_tokens(self) -> int:
        return len(self.tokens) - self.prompt_tokens

    @property
    def is_full(self) -> bool:
        return len(self.tokens) >= self.max_tokens


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next `count` tokens of a sequence. `is_last`: the token after them can be chosen."""

    sequence: Sequence
    count: int

    @property
    def is_last(self) -> bool:
        return self.count == self.sequence.remaining

    @property
    def tokens(self) -> list[int]:
        begin = self.sequence.computed
        return self.sequence.tokens[begin : begin + self.count]


@dataclass(slots=True)
class Slot:
    """One row of the KV cache: who runs in it, or whose tokens it still holds."""

    index: int
    running: Sequence | None = None
    conversation_id: str = ""
    weights: WeightsKey = ()
    tokens: list[int] = field(default_factory=list)
    last_used: int = 0

    @property
    def proven_tokens(self) -> list[int]:
        """What the slot holds, as far as a token that was chosen from it shows that it holds numbers."""
        if self.running is None:
            return self.tokens
        is_proven = self.running.completion_tokens > 0 and not self.running.is_suspect
        return self.running.tokens[: self.running.computed] if is_proven else []


class Scheduler:
    """Continuous batching: every step takes one token of each decoding reply and some prompt tokens of new ones.

    `prefill_chunk_tokens` bounds the prompt tokens of a step, and PrefillPace those of a long prompt, so that it does
    not stall the replies being written. With `can_resume=False` prompts are taken whole and slots forget everything
    between replies.
    """

    def __init__(self, slots: int, prefill_chunk_tokens: int, *, can_resume: bool = True) -> None:
        self.slots = [Slot(index) for index in range(slots)]
        self._budget = prefill_chunk_tokens
        self._pace = PrefillPace(prefill_chunk_tokens)
        self._can_resume = can_resume
        self._waiting: deque[Sequence] = deque()
        self._started: list[Sequence] = []  # running, in the order they were admitted
        self._clock = 0

    @property
    def running(self) -> list[Sequence]:
        return list(self._started)

    @property
    def waiting(self) -> list[Sequence]:
        return list(self._waiting)

    @property
    def has_work(self) -> bool:
        return bool(self._started or self._waiting)

    def add(self, sequence: Sequence) -> None:
        """Queue a reply."""
        self._waiting.append(sequence)

    def requeue(self, sequences: list[Sequence]) -> None:
        """Let dropped replies begin again before all that wait; they keep the tokens that they have written."""
        for sequence in sequences:
            sequence.computed = sequence.cached_tokens = 0
        self._waiting.extendleft(reversed(sequences))

    def admit(self, acquire: Callable[[Sequence], bool]) -> list[Sequence]:
        """Give free slots to waiting replies, first come first served.

        `acquire` brings a reply's adapters into the stack and says False when there is no room now. Others may then
        start before it, but not more than MAX_OVERTAKES, so it cannot starve.
        """
        admitted: list[Sequence] = []
        blocked: Sequence | None = None
        for sequence in list(self._waiting):
            if len(self._started) == len(self.slots) or (blocked and blocked.overtakes >= MAX_OVERTAKES):
                break
            if not acquire(sequence):
                blocked = blocked or sequence
                continue
            if blocked:
                blocked.overtakes += 1
            self._waiting.remove(sequence)
            self._place(sequence, self._choose_slot(sequence))
            admitted.append(sequence)
        return admitted

    def next_chunks(self) -> list[Chunk]:
        """The next step: decoding replies in slot order, then prompts in the order they were admitted.

        While there are suspects of a crash, one of them is processed alone, until its next token shows its innocence.
        """
        started = next(([each] for each in self._started if each.is_suspect), self._started)
        by_slot = sorted(started, key=lambda sequence: sequence.slot)
        decoding = [Chunk(sequence, 1) for sequence in by_slot if sequence.remaining == 1]
        prompts = []
        budget = self._budget
        for sequence in started:
            if sequence.remaining > 1 and budget > 0:
                allowed = min(
                    budget, self._pace.tokens_for(len(sequence.tokens) - sequence.cached_tokens, len(decoding))
                )
                count = min(sequence.remaining, allowed) if self._can_resume else sequence.remaining
                budget -= count
                prompts.append(Chunk(sequence, count))
        return decoding + prompts

    def settle(self, chunks: list[Chunk]) -> None:
        """Record that the chunks' tokens are in their slots."""
        for chunk in chunks:
            chunk.sequence.computed += chunk.count

    def note(self, chunks: list[Chunk], seconds: float) -> None:
        """Tell how long a step took."""
        decoding = sum(chunk.count == 1 for chunk in chunks)
        self._pace.note(decoding, sum(chunk.count for chunk in chunks if chunk.count > 1), seconds)

    def remove(self, sequence: Sequence, *, keep_prefix: bool = True) -> None:
        """End a reply, waiting or running. Its slot is free at once and keeps the tokens for the next turn."""
        if not sequence.is_running:
            if sequence in self._waiting:
                self._waiting.remove(sequence)
            return
        slot = self.slots[sequence.slot]
        slot.running = None
        slot.tokens = sequence.tokens[: sequence.computed] if keep_prefix and self._can_resume else []
        slot.last_used = self._tick()
        self._started.remove(sequence)
        sequence.slot = -1

    def forget(self) -> list[Sequence]:
        """Drop every running reply and all that the slots hold; returns the dropped replies."""
        dropped = self.running
        for sequence in dropped:
            self.remove(sequence, keep_prefix=False)
        self.slots = [Slot(slot.index) for slot in self.slots]
        return dropped

    def _choose_slot(self, sequence: Sequence) -> Slot:
        """The conversation's own slot if its weights are the same, else the one that was idle longest."""
        idle = [slot for slot in self.slots if slot.running is None]
        own = [s for s in idle if s.conversation_id == sequence.conversation_id and s.weights == sequence.weights]
        if own:
            return max(own, key=lambda slot: (_common_prefix(slot.tokens, sequence.tokens), slot.last_used))
        return min(idle, key=lambda slot: (slot.last_used, slot.index))

    def _place(self, sequence: Sequence, slot: Slot) -> None:
        own = _common_prefix(slot.tokens, sequence.tokens) if slot.weights == sequence.weights else 0
        source, prefix = self._find_prefix(sequence)
        is_copied = prefix >= own + MIN_COPIED_TOKENS
        sequence.copy_from = source if is_copied else None
        # The last prompt token is always processed, because its logits choose the first new one.
        sequence.computed = min(prefix if is_copied else own, sequence.prompt_tokens - 1)
        sequence.cached_tokens = sequence.computed
        sequence.slot = slot.index
        slot.running = sequence
        slot.conversation_id, slot.weights, slot.tokens = sequence.conversation_id, sequence.weights, []
        self._started.append(sequence)

    def _find_prefix(self, sequence: Sequence) -> tuple[int, int]:
        """The slot that holds most of a reply's prompt under the same weights, and how much: a system prompt, often."""
        same = [slot for slot in self.slots if slot.weights == sequence.weights]
        found = [(_common_prefix(slot.proven_tokens, sequence.tokens), slot.index) for slot in same]
        prefix, index = max(found, default=(0, 0))
        return index, prefix

    def _tick(self) -> int:
        self._clock += 1
        return self._clock


def _common_prefix(left: list[int], right: list[int]) -> int:
    for index, (a, b) in enumerate(zip(left, right, strict=False)):
        if a != b:
            return index
    return min(len(left), len(right))

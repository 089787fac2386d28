"""The exact words of recent exchanges, for the next turn. In memory only: most words may not be written down."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from dataclasses import dataclass

from bot.chat.conversation import Transcript
from core.store.models import Exchange

MAX_EXCHANGES = 1000


@dataclass(frozen=True, slots=True)
class Remembered:
    """An exchange's question and its answer."""

    transcript: Transcript
    reply: str

    def parts(self) -> set[str]:
        """The messages quoted, and the people whose they are."""
        return {part for quote in self.transcript.quotes for part in (quote.message_id, quote.user_id)}


class Memory:
    """Remembers the newest exchanges, and forgets what somebody takes back."""

    def __init__(self, max_exchanges: int = MAX_EXCHANGES) -> None:
        self._max_exchanges = max_exchanges
        self._remembered: OrderedDict[str, Remembered] = OrderedDict()
        self._exchanges_of: defaultdict[str, set[str]] = defaultdict(set)  # by each of their parts

    def __len__(self) -> int:
        return len(self._remembered)

    def remember(self, exchange_id: str, transcript: Transcript, reply: str) -> None:
        self._drop(exchange_id)
        self._remembered[exchange_id] = kept = Remembered(transcript, reply)
        for part in kept.parts():
            self._exchanges_of[part].add(exchange_id)
        if len(self._remembered) > self._max_exchanges:
            self._drop(next(iter(self._remembered)))

    def find(self, exchange_id: str) -> Remembered | None:
        return self._remembered.get(exchange_id)

    def reply_of(self, exchange: Exchange) -> str | None:
        """The model's own words, remembered or kept in the ledger; None where they are neither."""
        kept = self._remembered.get(exchange.id)
        return exchange.reply if kept is None else kept.reply

    def forget(self, what: str) -> None:
        """Let go of everything in which this message key, user id or exchange id has a part."""
        for exchange_id in {what, *self._exchanges_of.get(what, ())}:
            self._drop(exchange_id)

    def _drop(self, exchange_id: str) -> None:
        if exchange_id not in self._remembered:
            return
        for part in self._remembered.pop(exchange_id).parts():
            self._exchanges_of[part].discard(exchange_id)
            if not self._exchanges_of[part]:
                del self._exchanges_of[part]

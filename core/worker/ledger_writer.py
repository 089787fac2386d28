"""Writes a worker's results to the ledger, again and again while the store is out of order. Knows no queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import InvalidInput, StoreUnavailable
from core.generation import SamplingParams
from core.messages import ReplyChunk, Usage
from core.queue.jobs import JobStatus
from core.store import exchanges
from core.store.db import Store
from core.store.deferred import Change
from core.store.erasure import erase_text
from core.store.models import Exchange

logger = logging.getLogger(__name__)

RETRY_DELAYS_S = (0.1, 0.5, 2.0)
LATE_RETRY_DELAY_S = 10.0


class LedgerWriter:
    """Nobody waits for a broken store longer than the retries take, and nothing is given up while the process lives.

    What the store refuses beyond `retry_delays_s` is kept, and tried again every `late_retry_delay_s` and by `close`.
    What is still unwritten when the process dies stays unfinished in the ledger, where the next start finds it.
    """

    def __init__(
        self,
        store: Store,
        *,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
        late_retry_delay_s: float = LATE_RETRY_DELAY_S,
    ) -> None:
        self._store = store
        self._retry_delays_s = tuple(retry_delays_s)
        self._late_retry_delay_s = late_retry_delay_s
        self._unwritten: dict[str, Change] = {}
        self._retrying: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    async def mark_running(self, exchange_id: str) -> None:
        """Tried once: a reply does not wait for it, and its settlement says more."""
        await self._try(exchange_id, partial(exchanges.mark_running, exchange_id=exchange_id))

    async def settle(
        self,
        exchange_id: str,
        status: JobStatus,
        reply: str,
        last: ReplyChunk,
        sampling: SamplingParams | None = None,
    ) -> None:
        """Note how an exchange ended; `last` is the reply's last chunk, `sampling` what was used if it ran.

        What was refused for what it is, too long say, is good for nothing, so its text goes.
        """
        settlement = partial(
            exchanges.settle,
            exchange_id=exchange_id,
            status=status,
            reply=reply,
            finish_reason=last.finish_reason or "error",
            usage=last.usage or Usage(),
            error=last.error,
            sampling=sampling,
        )
        is_refused = last.finish_reason == "error" and last.error_status == InvalidInput.http_status
        await self._write(
            exchange_id, partial(_settle_and_erase, exchange_id, settlement) if is_refused else settlement
        )

    async def requeue(self, exchange_id: str) -> None:
        await self._write(exchange_id, partial(exchanges.requeue, exchange_id=exchange_id))

    async def close(self) -> None:
        """Try once more what is unwritten."""
        self._closing.set()
        if self._retrying is not None:
            await self._retrying
        if self._unwritten:
            logger.error(
                "The ledger still lacks how %d exchanges ended: %s", len(self._unwritten), ", ".join(self._unwritten)
            )

    async def _write(self, exchange_id: str, write: Change) -> None:
        for delay_s in self._retry_delays_s:
            if await self._try(exchange_id, write):
                return
            await asyncio.sleep(delay_s)
        if not await self._try(exchange_id, write):
            self._unwritten[exchange_id] = write
            if self._retrying is None or self._retrying.done():
                self._retrying = asyncio.create_task(self._retry_later())

    async def _retry_later(self) -> None:
        while self._unwritten:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._late_retry_delay_s):
                    await self._closing.wait()
            await self._retry()
            if self._closing.is_set():
                return

    async def _retry(self) -> None:
        for exchange_id, write in list(self._unwritten.items()):
            if not await self._try(exchange_id, write):
                return
            del self._unwritten[exchange_id]

    async def _try(self, exchange_id: str, write: Change) -> bool:
        """False when the store may take it later. A write that can never work is logged and counts as done."""
        try:
            async with self._store.write() as session:
                await write(session)
        except StoreUnavailable as error:
            logger.warning("The ledger could not be written for %s: %s", exchange_id, error)
            return False
        except Exception:  # the boundary of a job: a reader waits for what comes after this write
            logger.exception("The ledger refused to be written for %s", exchange_id)
        return True


async def _settle_and_erase(
    exchange_id: str, settle: Callable[[AsyncSession], Awaitable[bool]], session: AsyncSession
) -> None:
    if await settle(session):
        await erase_text(session, Exchange.id == exchange_id)

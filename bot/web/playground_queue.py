"""Gradio's queue of page events, with bounds, and with a loop that is watched and started again when it dies.

Gradio's own queue takes any number of events of any number of sessions, keeps the messages of 2,000 sessions, and
dies at the first event whose session is not among those any more. Nobody would notice but the people who wait.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from fastapi import HTTPException
from gradio.queueing import Event, Queue
from gradio.server_messages import UnexpectedErrorMessage

MAX_SENDS = 128  # at the same time, of all sessions
MAX_QUICK_EVENTS = 256  # everything else a page does has places of its own
MAX_SESSION_SENDS = 2  # one that is answered, and one that waits for it
MAX_SESSION_QUICK_EVENTS = 8
MAX_UNREAD = 2_000  # messages of a session; whoever reads none is not answered any further
IDLE_PAUSE_S = 0.01
RESTART_PAUSE_S = 1.0

BUSY = "The playground has too much to do at the moment; try again in a minute."
SESSION_BUSY = "Your last messages are still being answered; wait for the reply, or press Stop."
STOPPED = "The playground's queue has stopped and is started again within seconds; its log says why. Ask again."

logger = logging.getLogger(__name__)


class PlaygroundQueue(Queue):
    """Has a place for every event that it takes, so that none waits here: replies wait in the job queue alone."""

    def __init__(self, blocks: Any) -> None:
        super().__init__(
            live_updates=True,
            concurrency_count=MAX_SENDS + MAX_QUICK_EVENTS,
            update_intervals=1,
            max_size=None,
            blocks=blocks,
            default_concurrency_limit=None,
        )
        self.sleep_when_free = self.progress_update_sleep_when_free = IDLE_PAUSE_S
        self.ANALYTICS_MAX_EVENTS = 1  # nobody reads them, and their summary would be computed after every event
        self._is_alive = True
        self._watching: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """Why no event is answered now, as a sentence; None when they are."""
        return None if self._is_alive and not self.stopped else STOPPED

    def start(self) -> None:
        """Begin to answer, in the running event loop."""
        self._watching = asyncio.create_task(self._keep_answering())

    async def end(self) -> None:
        """Answer nothing any more, and return when all of it has ended."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def push(self, body: Any, request: Any, username: str | None) -> Any:
        """Take an event. Raises HTTPException with 429 for a session that asks too much and 503 when all is full."""
        fn = self.blocks.fns[body.fn_index]
        alike = [event for event in self.event_ids_to_events.values() if _is_send(event.fn) == _is_send(fn)]
        own = sum(event.session_hash == body.session_hash for event in alike)
        if own >= (MAX_SESSION_SENDS if _is_send(fn) else MAX_SESSION_QUICK_EVENTS):
            raise HTTPException(429, SESSION_BUSY)
        if len(alike) >= (MAX_SENDS if _is_send(fn) else MAX_QUICK_EVENTS):
            raise HTTPException(503, BUSY)
        return await super().push(body, request, username)

    def send_message(self, event: Event, event_message: Any) -> None:
        """Tell a session something. An event whose session is gone, or reads nothing, comes to its end."""
        unread = self.pending_messages_per_session.get(event.session_hash)
        if unread is None or unread.qsize() >= MAX_UNREAD:
            event.alive = False
        super().send_message(event, event_message)

    def compute_analytics_summary(self, _records: Any) -> dict[str, Any]:
        """Nothing: it would load pandas and be computed after every event."""
        return {}

    def is_busy(self, session: str) -> bool:
        """Whether an event of the session waits or is answered."""
        return any(event.session_hash == session for event in self.event_ids_to_events.values())

    def forget(self, session: str) -> None:
        """Drop what is kept about a session: what it was not told yet, and its components' state."""
        self.pending_messages_per_session.pop(session, None)
        self.pending_event_ids_session.pop(session, None)
        self.blocks.state_holder.session_data.pop(session, None)
        self.blocks.state_holder.time_last_used.pop(session, None)

    def _cancel_asyncio_tasks(self) -> None:
        """As Gradio does, but each stays in the set until it has ended."""
        for task in self._asyncio_tasks:
            task.cancel()

    async def _keep_answering(self) -> None:
        while True:
            self.stopped = False
            self.active_jobs = [None] * self.max_thread_count
            loops = {asyncio.create_task(self.start_processing()), asyncio.create_task(self.start_progress_updates())}
            self._is_alive = True
            try:
                ended, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._is_alive = False
                await self._stop_all(loops)
            for loop in ended:  # neither ends by itself
                error = None if loop.cancelled() else loop.exception()
                logger.error("The playground's queue stopped and is started again", exc_info=error)
            await asyncio.sleep(RESTART_PAUSE_S)

    async def _stop_all(self, loops: set[asyncio.Task[None]]) -> None:
        """End both loops and every event, and tell the pages, which would wait for ever."""
        running = loops | self._asyncio_tasks
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        self.stopped = True
        self.event_queue_per_concurrency_id.clear()
        self.event_ids_to_events.clear()
        self.pending_event_ids_session.clear()
        for unread in self.pending_messages_per_session.values():
            unread.put_nowait(UnexpectedErrorMessage(message=STOPPED, success=False))


def _is_send(fn: Any) -> bool:
    """Whether an event of this function takes as long as a reply: those give their updates one by one."""
    return bool(fn.types_generator)

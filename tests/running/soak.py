"""Many requests against the whole program with a tiny model: blends, cancels, disconnects, and what is left of them.

`make soak` sends 10,000 and prints what is held before, meanwhile and after. Knows no test.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psutil

from bot.chat.platform import IncomingMessage
from bot.service.service import Service
from bot.web.app import build_app
from core.messages import ChatMessage
from core.store import exchanges
from tests.models.tiny_models import make_adapter, make_tiny_model
from tests.running.patience import TIMEOUT_S
from tests.running.serving import PERSONAS, echo_settings, serving, write_persona

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
ADAPTERS = (*PERSONAS, "noir")
ADAPTER_SLOTS = 2  # so that adapters make room for each other all the time
MODELS = ("base", *ADAPTERS, "zen:0.7+codebeard:0.3", "noir:0.5+zen:0.5", "zen:1.5")
WORDS = ("ahoy", "captain", "code", "sea", "naïve", "你好", "🙂")
AT_ONCE = 24
USERS = 40
WARM_UP = 500
REPORTS = 10
MIB = 1024 * 1024


@dataclass(frozen=True)
class Held:
    """What the process holds while nobody asks. `replies` are jobs, engine requests and open exchanges."""

    memory_mib: float
    descriptors: int
    tasks: int
    connections: int
    replies: int
    adapters_in_use: int

    @property
    def is_idle(self) -> bool:
        return not (self.connections or self.replies or self.adapters_in_use)

    def __str__(self) -> str:
        return (
            f"{self.memory_mib:6.1f} MiB, {self.descriptors} descriptors, {self.tasks} tasks,"
            f" {self.connections} connections, {self.replies} replies, {self.adapters_in_use} adapters in use"
        )


class Soak:
    """Asks one server, as many at once as it may, in an order that the seed decides."""

    def __init__(self, service: Service, url: str, seed: int) -> None:
        self._service = service
        self._url = url
        self._random = random.Random(seed)
        self._asked = 0
        self.ends: Counter[str] = Counter()

    async def ask(self, count: int) -> None:
        """Send so many requests; returns when every one of them has ended, in whatever way.

        Raises httpx.TimeoutException and TimeoutError where one does not end.
        """
        kinds: dict[Callable[[httpx.AsyncClient], Awaitable[str]], int] = {
            self._whole: 28,
            self._streamed: 28,
            self._left_while_streamed: 15,
            self._left_while_waiting: 10,
            self._left_amid_the_body: 4,
            self._stopped: 12,
            self._refused: 3,
        }
        chosen = iter(self._random.choices(list(kinds), list(kinds.values()), k=count))
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=self._url, timeout=TIMEOUT_S, limits=limits) as http:

            async def keep_asking() -> None:
                for kind in chosen:
                    self._asked += 1
                    self.ends[await kind(http)] += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(keep_asking())

    async def held(self) -> Held:
        """What is held once everything that was asked has ended. Raises TimeoutError when something does not."""
        async with asyncio.timeout(TIMEOUT_S):
            while not (held := await self._count()).is_idle:  # noqa: ASYNC110 - what is counted sets no event
                await asyncio.sleep(0.02)
        return held

    async def _count(self) -> Held:
        engine, process = self._service.engine, psutil.Process()
        async with self._service.store.read() as session:
            unfinished = len(await exchanges.unfinished(session))
        stats = engine.stats()
        return Held(
            memory_mib=process.memory_info().rss / MIB,
            descriptors=process.num_fds(),
            tasks=len(asyncio.all_tasks()),
            connections=sum(c.status != psutil.CONN_LISTEN for c in process.net_connections("tcp")),
            replies=stats.running + stats.waiting + await self._service.queue.depth() + unfinished,
            adapters_in_use=sum(status.in_use for status in engine.adapters()),
        )

    def _text(self) -> str:
        return " ".join(self._random.choices(WORDS, k=self._random.randint(1, 12)))

    def _body(self, *, is_streamed: bool) -> dict[str, object]:
        turns = self._random.choice((1, 1, 3, 5))
        roles = ("user", "assistant", "user", "assistant", "user")
        return {
            "model": self._random.choice(MODELS),
            "messages": [{"role": role, "content": self._text()} for role in roles[:turns]],
            "max_tokens": self._random.randint(1, 24),
            "seed": self._random.randrange(2**31),
            "user": f"user{self._random.randrange(USERS)}",
            "stream": is_streamed,
        }

    def _headers(self) -> dict[str, str]:
        """Some requests go on with a conversation, some open one."""
        number = self._random.randrange(2 * USERS)
        return {"X-Conversation-Id": f"talk{number}"} if number < USERS else {}

    async def _whole(self, http: httpx.AsyncClient) -> str:
        answer = await http.post(CHAT, json=self._body(is_streamed=False), headers=self._headers())
        return f"whole {answer.status_code}"

    async def _streamed(self, http: httpx.AsyncClient) -> str:
        body = self._body(is_streamed=True)
        if self._random.random() < 0.3:
            asked = {"model": body["model"], "input": self._text(), "max_output_tokens": 24, "stream": True}
            answer = await http.post(RESPONSES, json=asked)
            is_whole = "response.completed" in answer.text or "response.incomplete" in answer.text
        else:
            answer = await http.post(CHAT, json=body, headers=self._headers())
            is_whole = answer.text.endswith("[DONE]\n\n")
        return f"streamed {answer.status_code}" if is_whole else "streamed, not to its end"

    async def _left_while_streamed(self, http: httpx.AsyncClient) -> str:
        events = self._random.randint(1, 4)
        async with http.stream("POST", CHAT, json=self._body(is_streamed=True), headers=self._headers()) as answer:
            async for _ in answer.aiter_raw():
                events -= 1
                if not events:
                    break
        return "left while streamed"

    async def _left_while_waiting(self, http: httpx.AsyncClient) -> str:
        with suppress(httpx.TimeoutException):
            patience_s = self._random.uniform(0.001, 0.2)
            await http.post(CHAT, json=self._body(is_streamed=False), headers=self._headers(), timeout=patience_s)
        return "left while waiting"

    async def _left_amid_the_body(self, _http: httpx.AsyncClient) -> str:
        address = urlsplit(self._url)
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        return "left amid the body"

    async def _stopped(self, _http: httpx.AsyncClient) -> str:
        """As people stop a reply in a chat."""
        number, user = self._asked, self._random.randrange(USERS)
        reply = await self._service.responder.open(
            IncomingMessage(
                source="terminal",
                event_id=f"{number}-{self._random.random()}",
                conversation_id=f"terminal:{user}",
                user_id=f"terminal:user{user}",
                messages=(ChatMessage("user", self._text()),),
                model=self._random.choice(MODELS),
            )
        )
        chunks_read = self._random.randint(0, 4)
        end = None
        async with asyncio.timeout(TIMEOUT_S):
            if not chunks_read:
                await reply.cancel()
            async for chunk in reply.chunks():
                end = chunk.finish_reason
                chunks_read -= 1
                if not chunks_read:
                    await reply.cancel()
        return f"stopped: {end}"

    async def _refused(self, http: httpx.AsyncClient) -> str:
        answer = await http.post(CHAT, json={**self._body(is_streamed=False), "messages": []})
        return f"refused {answer.status_code}"


async def soak(
    folder: Path, *, parts: Sequence[int], seed: int = 0, tell: Callable[[str], None] = lambda _line: None
) -> tuple[list[Held], Counter[str]]:
    """Send as many requests as each part says: what is held after it, and how many of all ended how.

    The first part fills caches and pools. Raises TimeoutError when something does not come back.
    """
    model = make_tiny_model("llama", folder / "model")
    settings = echo_settings(
        folder, base_model=str(model), device="cpu", dtype="float32", max_new_tokens=24, adapter_slots=ADAPTER_SLOTS
    )
    write_persona(settings.dir / "noir", "Noir", "🕵")
    for number, slug in enumerate(ADAPTERS):
        make_adapter(model, settings.dir / slug / "adapters" / settings.base_slug, seed=number)
    found: list[Held] = []
    service = await Service.open(settings)
    try:
        await service.start()
        async with serving(build_app(service)) as url:
            run = Soak(service, url, seed)
            for count in parts:
                began = time.monotonic()
                await run.ask(count)
                found.append(await run.held())
                tell(f"{run.ends.total():6} requests: {found[-1]}; {time.monotonic() - began:.0f} s")
    finally:
        await service.stop()
    return found, run.ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    began, computed = time.monotonic(), time.process_time()
    parts = [WARM_UP, *[(given.requests - WARM_UP) // REPORTS] * REPORTS]
    with tempfile.TemporaryDirectory() as folder:
        work = soak(Path(folder), parts=parts, seed=given.seed, tell=lambda line: print(line, flush=True))
        _, ends = asyncio.run(work)
    for end, count in sorted(ends.items()):
        print(f"{count:6} {end}")
    print(f"{time.monotonic() - began:.0f} s, {time.process_time() - computed:.0f} s of them computing")


if __name__ == "__main__":
    main()

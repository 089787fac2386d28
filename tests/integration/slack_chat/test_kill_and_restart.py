"""`personas serve` on Slack dies in mid-stream: no message streams for ever, and nothing is answered twice."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from bot.chat.recovery import MAY_BE_CUT_OFF
from bot.service.service import CRASHED
from tests.fakes.fake_slack.server import FakeSlack
from tests.models.tiny_models import make_tiny_model
from tests.running.serving import write_persona
from tests.slack.server import answer_to, serving_slack


def ledger(data_dir: Path) -> list[tuple[str, str | None]]:
    with closing(sqlite3.connect(data_dir / "personas.db")) as database:
        return database.execute("SELECT status, error FROM exchanges ORDER BY created_at").fetchall()


async def test_a_killed_bot_s_half_stream_ends_with_a_sentence_and_nothing_is_answered_twice(tmp_path: Path):
    persona = tmp_path / "personas" / "zen"
    write_persona(persona, "Master Zen", "🧘")
    with (persona / "persona.toml").open("a", encoding="utf-8") as file:
        file.write("\n[sampling]\ntemperature = 5.0\n")  # so that it hardly ever comes upon its stop token
    settings = {
        "base_model": str(make_tiny_model("llama", tmp_path / "tiny", max_position_embeddings=2048)),
        "dir": str(tmp_path / "personas"),
        "default_persona": "zen",
        "device": "cpu",
    }
    data_dir = tmp_path / "data"
    async with FakeSlack() as fake:
        channel, ann = fake.add_channel("general"), fake.add_person("ann")
        more, end = fake.faults.hang("chat.appendStream"), fake.faults.hang("chat.stopStream")
        async with serving_slack(fake, data_dir, **settings, max_new_tokens="1500", log_level="DEBUG") as server:
            question = await ann.says(channel, "what is a mutex", mentions_bot=True)
            await fake.wait_for(lambda: more.hits or end.hits)
            await asyncio.to_thread(server.kill)
        more.release()
        end.release()
        [half] = channel.from_bot
        [(status, _)] = ledger(data_dir)
        async with serving_slack(fake, data_dir, **settings, max_new_tokens="8") as server:
            sentence = MAY_BE_CUT_OFF if status == "succeeded" else CRASHED
            await fake.wait_for(lambda: sentence in half.content and "🔄" in half.buttons)
            for envelope in [one for one in fake.socket.envelopes if one.event.get("ts") == question.ts]:
                fake.socket.redeliver(envelope)
            await answer_to(await ann.says(channel, "and what is a lock", mentions_bot=True))
            log = server.log
        assert not half.is_streaming
        assert [one for one in channel.thread(question) if one.author is fake.bot] == [half]
        assert [state for state, _ in ledger(data_dir)] == [
            "succeeded" if status == "succeeded" else "failed",
            "succeeded",
        ]
        assert "slack" in log and not [token for token in (fake.bot_token, fake.app_token) if token in log]
        fake.check_contract()

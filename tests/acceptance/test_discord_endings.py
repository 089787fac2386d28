"""`personas serve` dies or is stopped in mid-reply: no orphan on the screen, nothing twice, no token in a log."""

from __future__ import annotations

import asyncio
import signal

from bot.service.service import CRASHED
from tests.discord.server import (
    answer_to,
    choose_persona,
    exchanges_of,
    has_thumbs,
    personas_at,
    rows,
    serving_discord,
)
from tests.fakes.fake_discord.messages import LOADING
from tests.fakes.fake_discord.server import FakeDiscord
from tests.running.patience import TIMEOUT_S

# So hot that the model hardly ever comes upon its stop token.
HOT = 5.0
LONG_TOKENS = "800"


async def being_written(question):
    """The answer while it streams: words under the header, and a button that stops it."""

    def streaming(messages):
        for message in messages:
            if message.reply_to is question and message.content.count("\n") and not has_thumbs(message):
                return message
        return None

    return await question.channel.wait_for(streaming)


async def test_a_killed_bot_s_half_reply_becomes_a_sentence_and_nothing_is_answered_twice(tmp_path):
    settings = {"dir": personas_at(tmp_path / "personas", HOT), "max_new_tokens": LONG_TOKENS, "slots": "1"}
    async with FakeDiscord() as fake:
        guild, ann, ben = fake.add_guild("harbour"), fake.add_person("ann"), fake.add_person("ben")
        first, second = guild.add_channel("first"), guild.add_channel("second")
        async with serving_discord(fake, tmp_path / "data", **settings) as server:
            running = await ann.says(first, "what is a mutex", mentions_bot=True)
            half = await being_written(running)
            waiting = await ben.says(second, "what is a queue", mentions_bot=True)
            line = await second.wait_for(lambda messages: next((m for m in messages if m.is_bots_own), None))
            stuck = fake.faults.hang("PATCH", "/webhooks/*/*/messages/@original")
            command = await ben.uses("ask", guild.add_channel("third"), question="what is a stack")
            await asyncio.wait_for(stuck.struck.wait(), TIMEOUT_S)
            await asyncio.to_thread(server.kill)
        stuck.release()
        thinking = command.original
        assert half.buttons and line.buttons  # ⏹
        thinking.content, thinking.flags = "", LOADING  # the last edit never arrived
        async with serving_discord(fake, tmp_path / "data", **{**settings, "max_new_tokens": "8"}):
            for orphan in (half, line, thinking):
                await orphan.channel.wait_for(
                    lambda _, orphan=orphan: (
                        CRASHED in orphan.content and not stop_buttons(orphan) and not orphan.loading
                    )
                )
            for question in (running, waiting):  # Discord delivers them once more
                fake.world.emit("MESSAGE_CREATE", question.event, channel=question.channel)
            again = await ann.says(first, "and what is a lock", mentions_bot=True)
            await answer_to(again)
        for question, orphan in ((running, half), (waiting, line)):
            (exchange,) = exchanges_of(tmp_path / "data", question)
            assert (exchange["status"], exchange["error"], exchange["reply"]) == ("failed", CRASHED, None)
            assert [m for m in question.channel.from_bot if m.reply_to is question] == [orphan]
        assert not rows(tmp_path / "data", "SELECT * FROM deliveries WHERE NOT is_final OR token IS NOT NULL")
        fake.check_contract()


async def test_a_bot_that_is_asked_to_stop_finishes_its_reply_and_logs_no_token(tmp_path):
    settings = {
        "dir": personas_at(tmp_path / "personas", HOT),
        "max_new_tokens": "100",
        "drain_timeout_s": "120",
        "log_level": "DEBUG",
    }
    async with FakeDiscord() as fake:
        guild, ann = fake.add_guild("harbour"), fake.add_person("ann")
        guild.grant(ann, "manage_guild")
        channel = guild.add_channel("general")
        async with serving_discord(fake, tmp_path / "data", **settings) as server:
            await choose_persona(ann, channel, "zen")
            identity = await ann.uses("settings", channel, identity="webhook")
            await identity.wait_reply()
            other = guild.add_channel("other")
            question = await ann.says(other, "what is a mutex", mentions_bot=True)
            answer = await being_written(question)
            faced = await ann.says(channel, "what is a queue", mentions_bot=True)
            await channel.wait_for(lambda messages: any(m.webhook for m in messages))
            await fake.gateway.drop()
            await fake.gateway.wait_resumed()
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(server.process.wait, TIMEOUT_S) == 0
        assert has_thumbs(answer)
        for asked in (question, faced):
            (exchange,) = exchanges_of(tmp_path / "data", asked)
            assert exchange["status"] == "succeeded"
        log = server.log
        assert "/webhooks/" in log and "discord.http" in log  # the libraries did speak
        secrets = [fake.token, *(webhook.token for webhook in fake.webhooks), *fake.world.interactions]
        assert len(secrets) > 3
        for secret in secrets:
            assert secret not in log
        fake.check_contract()


def stop_buttons(message):
    return [button for button in message.buttons if "⏹" in str(button)]

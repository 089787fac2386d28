"""Twenty Slack channels and twenty Discord channels at once on one worker: every answer is its own persona's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.chat.memory import Memory
from bot.service.service import Service
from core.engine.base import Engine
from core.engine.echo_engine import EchoEngine
from core.settings import Settings
from core.store import places
from tests.discord.rooms import DiscordRoom
from tests.discord.rooms import connected as connected_to_discord
from tests.fakes.fake_discord.server import FakeDiscord
from tests.fakes.fake_slack.server import FakeSlack
from tests.models.tiny_models import make_tiny_model
from tests.models.tiny_personas import tiny_settings
from tests.running.serving import echo_settings, write_persona
from tests.slack.rooms import SlackRoom, connected

PERSONAS = ("codebeard", "zen", "nova", "owl")
CHANNELS = 20


@dataclass
class Both:
    """One service on both platforms."""

    service: Service
    slack: SlackRoom
    discord: DiscordRoom


@asynccontextmanager
async def on_both(
    settings: Settings, slack: FakeSlack, discord: FakeDiscord, engine: Engine | None
) -> AsyncIterator[Both]:
    service = await Service.open(settings, engine=engine)
    try:
        await service.start()
        async with connected(slack, service) as there, connected_to_discord(discord, service) as here:
            channel = discord.add_guild("harbour").add_channel("general")
            yield Both(
                service,
                SlackRoom(slack, service, there, slack.add_channel("general"), slack.add_person("ann")),
                DiscordRoom(discord, service, here, channel, discord.add_person("ann")),
            )
    finally:
        await service.stop()


def addresses(slack: FakeSlack, discord: FakeDiscord) -> dict[str, Any]:
    return {
        "slack_bot_token": slack.bot_token,
        "slack_app_token": slack.app_token,
        "slack_api_url": slack.url,
        "discord_token": discord.token,
        "discord_api_url": discord.url,
    }


async def bind(service: Service, source: str, channel_id: object, persona: str) -> None:
    async with service.store.write() as session:
        await places.set_model(session, f"{source}:channel:{channel_id}", source=source, model=persona)


async def ask_everywhere(both: Both, question: str) -> list[tuple[str, Any, Any]]:
    """Somebody else asks in each of twenty channels of both: the persona that is chosen there, room and question."""
    guild = both.discord.channel.guild
    assert guild is not None
    asked = []
    for number in range(CHANNELS):
        persona = PERSONAS[number % len(PERSONAS)]
        there, here = both.slack.fake.add_channel(f"s{number}"), guild.add_channel(f"d{number}")
        await bind(both.service, "slack", there.id, persona)
        await bind(both.service, "discord", here.id, persona)
        one, other = both.slack.fake.add_person(f"p{number}"), both.discord.fake.add_person(f"p{number}")
        asked.append((persona, both.slack, await one.says(there, question, mentions_bot=True)))
        asked.append((persona, both.discord, await other.says(here, question, mentions_bot=True)))
    return asked


async def test_forty_channels_at_once_are_each_answered_by_their_own_adapter(tmp_path: Path):
    settings_of = tmp_path / "echo"
    for slug in PERSONAS[2:]:
        write_persona(settings_of / "personas" / slug, slug.title(), "🤖")
    async with FakeSlack() as slack, FakeDiscord() as discord:
        settings = echo_settings(settings_of, **addresses(slack, discord))
        engine = EchoEngine(slots=8)
        async with on_both(settings, slack, discord, engine) as both:
            engine.gate.close()
            asked = await ask_everywhere(both, "ahoy")
            await engine.gate.wait_until_held(8)
            engine.gate.open()
            answers = await asyncio.gather(*(room.answer(question) for _, room, question in asked))
    wrong = [
        f"{type(room).__name__} {persona}: {answer.content}"
        for (persona, room, _), answer in zip(asked, answers, strict=True)
        if f"[{persona}@1] ahoy" not in answer.content
    ]
    assert not wrong, "\n".join(wrong)
    slack.check_contract()


async def test_with_a_real_model_every_answer_is_what_its_adapter_says_alone(tmp_path: Path):
    model = make_tiny_model("llama", tmp_path / "tiny")
    async with FakeSlack() as slack, FakeDiscord() as discord:
        options = {"max_new_tokens": 6, "slots": 8, "adapter_slots": 4, **addresses(slack, discord)}
        settings = tiny_settings(tmp_path, model, *PERSONAS, **options)
        async with on_both(settings, slack, discord, None) as both:
            alone = {}
            for persona in PERSONAS:
                channel = slack.add_channel(f"alone-{persona}")
                await bind(both.service, "slack", channel.id, persona)
                question = await both.slack.asks("ahoy", in_=channel)
                alone[persona] = words_of(both.slack, (await both.slack.ended(question)).id)
            assert len(set(alone.values())) == len(PERSONAS)
            asked = await ask_everywhere(both, "ahoy")
            ended = await asyncio.gather(*(room.ended(question) for _, room, question in asked))
            said = [words_of(room, one.id) for (_, room, _), one in zip(asked, ended, strict=True)]
            chosen = [[adapter["name"] for adapter in one.adapters] for one in ended]
    assert said == [alone[persona] for persona, _, _ in asked]
    assert chosen == [[f"{persona}@1"] for persona, _, _ in asked]


def words_of(room: SlackRoom | DiscordRoom, exchange_id: str) -> str:
    """What the model wrote, as the bot remembers it."""
    memory: Memory = room.chat.parts.chat.memory
    kept = memory.find(exchange_id)
    assert kept is not None
    return kept.reply

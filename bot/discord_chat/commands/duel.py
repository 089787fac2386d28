"""/duel: two versions of a persona answer the same question, and everybody who sees it may vote."""

from __future__ import annotations

from dataclasses import replace

from discord import app_commands

from bot.chat.duels import TURNS
from bot.chat.platform import IncomingMessage
from bot.discord_chat.commands.ask import MAX_QUESTION_CHARS, transcript_of
from bot.discord_chat.commands.persona import offer_personas
from bot.discord_chat.interaction_screen import InteractionScreen
from bot.discord_chat.interactions import Interaction, places_here
from bot.discord_chat.names import SOURCE, command_key, is_in_guild, user_id

MAX_VERSION = 2**31 - 1


@app_commands.command(description="Let two versions of a persona answer, and vote without knowing which is which")
@app_commands.describe(
    persona="Whose versions",
    version="The number of one version",
    against="The number of the other",
    question="What both answer",
)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
@app_commands.autocomplete(persona=offer_personas)
async def duel(
    interaction: Interaction,
    persona: app_commands.Range[str, 1, 200],
    version: app_commands.Range[int, 1, MAX_VERSION],
    against: app_commands.Range[int, 1, MAX_VERSION],
    question: app_commands.Range[str, 1, MAX_QUESTION_CHARS],
) -> None:
    chat, here, who = interaction.client.parts.chat, places_here(interaction), user_id(interaction.user)
    contest = await chat.duels.contest(persona, version, against)
    if not chat.replies.admit(command_key(interaction.id), who, here, replies=TURNS):
        return
    await interaction.response.defer(thinking=True)
    screen = InteractionScreen(interaction)
    asked = IncomingMessage.ending(
        transcript_of(interaction, question),
        source=SOURCE,
        event_id=f"duel:{interaction.id}",
        user_id=who,
        places=here,
        needs_permission=is_in_guild(here),
    )
    await chat.shown_duels.show(contest, replace(asked, placeholder=screen.placeholder), screen, screen.post)

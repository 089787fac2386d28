"""/ask, "Ask a persona about this" and /reset: questions that need no mention, wherever the person is.

Those who installed the bot for themselves can ask where it is no member: then all it has is the interaction.
"""

from __future__ import annotations

import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.conversation import Turn
from bot.discord_chat.asks import Ask
from bot.discord_chat.context import RESET_LINE
from bot.discord_chat.interaction_replies import failures_told, places_here, tell
from bot.discord_chat.persona_commands import MAX_CHOICES, offer_personas
from bot.discord_chat.places import SOURCE, command_key, message_key, user_id
from bot.discord_chat.said import Said
from bot.discord_chat.screens import InteractionScreen
from bot.discord_chat.wording import header, own_words, text_of
from bot.persona_choice import choose, describe
from core.messages import Quoted

if TYPE_CHECKING:
    from bot.discord_chat.interaction_replies import Interaction
    from bot.service import Service

MAX_QUESTION_CHARS = 4_000
MAX_QUESTION_ABOUT_CHARS = 1_000
FORM_S = 3_600.0  # discord.py keeps a form until it is sent; Discord does not say that it was closed
HERE, WHOEVER = "*", "Whoever answers here"  # an option beside the personas; no slug is like it
NO_WORDS = "There are no words in this message that I could read; choose another one."


@app_commands.command(description="Ask a persona, also where it is no member")
@app_commands.describe(
    question="What you want to know",
    persona="Who answers; if left out, whoever answers in this channel",
    private="Show the answer to you alone",
)
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
@app_commands.autocomplete(persona=offer_personas)
async def ask(
    interaction: Interaction,
    question: app_commands.Range[str, 1, MAX_QUESTION_CHARS],
    persona: app_commands.Range[str, 1, 200] | None = None,
    private: bool = False,
) -> None:
    await _answer(interaction, _said(interaction, question), persona, is_private=private)


@app_commands.context_menu(name="Ask a persona about this")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def ask_about(interaction: Interaction, message: discord.Message) -> None:
    if text := _words(interaction, message):
        await interaction.response.send_modal(QuestionAbout(interaction.client.chat.service, message, text))
    else:
        await tell(interaction, NO_WORDS)


@app_commands.command(description="Begin a new conversation in this channel, thread or chat")
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
async def reset(interaction: Interaction) -> None:
    await interaction.response.send_message(RESET_LINE)


class QuestionAbout(discord.ui.Modal, title="Ask a persona about this"):
    """Who shall say what about somebody's message."""

    def __init__(self, service: Service, message: discord.Message, text: str) -> None:
        super().__init__(timeout=FORM_S)
        self._message = message
        self._text = text
        self._question: discord.ui.TextInput[QuestionAbout] = discord.ui.TextInput(
            style=discord.TextStyle.paragraph,
            default="What do you think about this?",
            max_length=MAX_QUESTION_ABOUT_CHARS,
        )
        self._persona = _persona_field(service)
        self.add_item(discord.ui.Label(text="Your question", component=self._question))
        self.add_item(discord.ui.Label(text="Who answers?", component=self._persona))

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        async with failures_told(interaction):
            name = self._persona.value if isinstance(self._persona, discord.ui.TextInput) else self._persona.values[0]
            named = None if name in ("", HERE) else name
            await _answer(interaction, self._asked(interaction), named, is_private=False)

    def _asked(self, interaction: Interaction) -> Said:
        message, is_own = self._message, _is_own(interaction, self._message)
        about = f"{message.author.display_name} wrote:\n\n{self._text}\n\n{self._question.value}"
        quote = Quoted(message_key(message.channel.id, message.id), "" if is_own else user_id(message.author))
        return replace(_said(interaction, about, quote), has_files=bool(message.attachments) and not is_own)


async def _answer(interaction: Interaction, said: Said, persona: str | None, *, is_private: bool) -> None:
    """Answer below the command. Raises NotFound and InvalidBlend, in private, for a persona that there is not."""
    chat = interaction.client.chat
    spec = None if persona is None else str(choose(chat.service.personas, persona))
    await interaction.response.defer(thinking=True, ephemeral=is_private)
    here = places_here(interaction)
    if spec is None:
        spec, _ = await chat.talking.chosen_in(here)
    ask = Ask(
        user_id=user_id(interaction.user),
        user_name=interaction.user.display_name,
        event_id=command_key(interaction.id),
        said=said,
        places=here,
        model=spec,
    )
    shown_as = header(describe(chat.service.personas, spec))
    screen = InteractionScreen(interaction, header=shown_as, is_ephemeral=is_private)
    await chat.talking.answer(ask, screen, row=interaction.client.row)


def _persona_field(service: Service) -> discord.ui.Select[QuestionAbout] | discord.ui.TextInput[QuestionAbout]:
    """A list to choose from, or a field to type into where there are more personas than a list holds."""
    if len(service.personas) >= MAX_CHOICES:
        return discord.ui.TextInput(placeholder=WHOEVER, max_length=200, required=False)
    personas = (
        discord.SelectOption(
            label=persona.name[:100],
            value=slug,
            description=textwrap.shorten(persona.file.description, 100, placeholder="…"),
        )
        for slug, persona in service.personas.items()
    )
    return discord.ui.Select(options=[discord.SelectOption(label=WHOEVER, value=HERE, default=True), *personas])


def _words(interaction: Interaction, message: discord.Message) -> str:
    """What can be read in a message."""
    if _is_own(interaction, message):
        return own_words(message.content)
    return text_of(message, interaction.application_id)


def _is_own(interaction: Interaction, message: discord.Message) -> bool:
    return interaction.client.chat.context.is_own(message)


def _said(interaction: Interaction, question: str, *quotes: Quoted) -> Said:
    """A conversation of its own, and whose words stand in it, so that they go from wherever it is taken up."""
    key = command_key(interaction.id)
    turn = Turn("user", interaction.user.display_name, question)
    return Said(f"{SOURCE}:{key}", (turn,), (*quotes, Quoted(key, user_id(interaction.user))))

"""/ask, "Ask a persona about this" and /reset: questions that need no mention, wherever the person is.

Those who installed the bot for themselves can ask where it is no member: then all it has is the interaction.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands

from bot.chat.ask_about import ANYBODY, HERE, NO_WORDS, SUGGESTED, question_about
from bot.chat.conversation import Transcript, Turn
from bot.chat.personas import choose
from bot.chat.platform import IncomingMessage
from bot.chat.responder import PendingReply
from bot.discord_chat.commands.persona import MAX_CHOICES, offer_personas
from bot.discord_chat.contents import forwarded_words, unread_in, words_of
from bot.discord_chat.history import RESET_LINE, STRANGER, forwarded_key
from bot.discord_chat.interaction_screen import InteractionScreen
from bot.discord_chat.interactions import Interaction, failures_told, places_here, tell
from bot.discord_chat.names import SOURCE, command_key, is_in_guild, message_key, user_id
from core.messages import Quoted
from core.personas import Persona

MAX_QUESTION_CHARS = 4_000
MAX_QUESTION_ABOUT_CHARS = 1_000
FORM_S = 3_600.0  # discord.py keeps a form until it is sent; Discord does not say that it was closed


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
    await _answer(interaction, transcript_of(interaction, question), persona, is_private=private)


@app_commands.context_menu(name="Ask a persona about this")
@app_commands.allowed_installs(guilds=True, users=True)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
async def ask_about(interaction: Interaction, message: discord.Message) -> None:
    if text := await _words(interaction, message):
        await interaction.response.send_modal(QuestionAbout(interaction.client.parts.personas, message, text))
    else:
        await tell(interaction, NO_WORDS)


@app_commands.command(description="Begin a new conversation in this channel, thread or chat")
@app_commands.allowed_installs(guilds=True, users=False)
@app_commands.allowed_contexts(guilds=True, dms=True, private_channels=False)
async def reset(interaction: Interaction) -> None:
    await interaction.response.send_message(RESET_LINE)


class QuestionAbout(discord.ui.Modal, title="Ask a persona about this"):
    """Who shall say what about somebody's message."""

    def __init__(self, personas: Mapping[str, Persona], message: discord.Message, text: str) -> None:
        super().__init__(timeout=FORM_S)
        self._message = message
        self._text = text
        self._question: discord.ui.TextInput[QuestionAbout] = discord.ui.TextInput(
            style=discord.TextStyle.paragraph,
            default=SUGGESTED,
            max_length=MAX_QUESTION_ABOUT_CHARS,
        )
        self._persona = _persona_field(personas)
        self.add_item(discord.ui.Label(text="Your question", component=self._question))
        self.add_item(discord.ui.Label(text="Who answers?", component=self._persona))

    async def on_submit(self, interaction: discord.Interaction[Any]) -> None:
        async with failures_told(interaction):
            name = self._persona.value if isinstance(self._persona, discord.ui.TextInput) else self._persona.values[0]
            named = None if name in ("", HERE) else name
            await _answer(interaction, self._asked(interaction), named, is_private=False)

    def _asked(self, interaction: Interaction) -> Transcript:
        message, is_own = self._message, _is_own(interaction, self._message)
        about = question_about(message.author.display_name, self._text, self._question.value)
        quotes = [Quoted(message_key(message.channel.id, message.id), "" if is_own else user_id(message.author))]
        if forwarded_words(message):
            quotes.append(Quoted(forwarded_key(message), STRANGER))
        transcript = transcript_of(interaction, about, *quotes)
        return transcript if is_own else replace(transcript, remarks=unread_in(message))


async def _answer(interaction: Interaction, transcript: Transcript, persona: str | None, *, is_private: bool) -> None:
    """Answer below the command.

    Raises NotFound and InvalidBlend for a persona that there is not, NotAllowed and TooFast; they are told in private.
    """
    parts, here = interaction.client.parts, places_here(interaction)
    spec = None if persona is None else str(choose(parts.personas, persona))
    if not parts.chat.replies.admit(command_key(interaction.id), user_id(interaction.user), here):
        return
    await interaction.response.defer(thinking=True, ephemeral=is_private)
    screen = InteractionScreen(interaction, is_ephemeral=is_private)
    question = IncomingMessage.ending(
        transcript,
        source=SOURCE,
        event_id=command_key(interaction.id),
        user_id=user_id(interaction.user),
        places=here,
        needs_permission=is_in_guild(here),
        model=spec,
    )

    async def make_screen(reply: PendingReply) -> InteractionScreen:
        screen.header = parts.identities.header(reply.model)
        return screen

    await parts.chat.replies.answer(replace(question, placeholder=screen.placeholder), make_screen, refuse=screen.post)


def _persona_field(
    personas: Mapping[str, Persona],
) -> discord.ui.Select[QuestionAbout] | discord.ui.TextInput[QuestionAbout]:
    """A list to choose from, or a field to type into where there are more personas than a list holds."""
    if len(personas) >= MAX_CHOICES:
        return discord.ui.TextInput(placeholder=ANYBODY, max_length=200, required=False)
    options = (
        discord.SelectOption(
            label=persona.name[:100],
            value=slug,
            description=textwrap.shorten(persona.file.description, 100, placeholder="…"),
        )
        for slug, persona in personas.items()
    )
    return discord.ui.Select(options=[discord.SelectOption(label=ANYBODY, value=HERE, default=True), *options])


async def _words(interaction: Interaction, message: discord.Message) -> str:
    """What can be read in a message."""
    if _is_own(interaction, message):
        key = message_key(message.channel.id, message.id)
        return await interaction.client.parts.history.words_on(key, message.content)
    return "\n\n".join(filter(None, (words_of(message, interaction.application_id), forwarded_words(message))))


def _is_own(interaction: Interaction, message: discord.Message) -> bool:
    return interaction.client.parts.history.is_own(message)


def transcript_of(interaction: Interaction, question: str, *quotes: Quoted) -> Transcript:
    """A conversation of its own, and whose words stand in it, so that they go from wherever it is taken up."""
    key = command_key(interaction.id)
    turn = Turn("user", interaction.user.display_name, question, user_id(interaction.user))
    return Transcript(f"{SOURCE}:{key}", (turn,), (*quotes, Quoted(key, user_id(interaction.user))))

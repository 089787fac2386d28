"""A small bot of stock discord.py, which does one of everything that the fake has to carry. Knows no fake."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from typing import Any

import discord
import pytest
from discord import app_commands
from discord.ext import commands

from tests.running.patience import TIMEOUT_S


class Thumb(discord.ui.DynamicItem[discord.ui.Button[Any]], template=r"thumb:(?P<number>\d+)"):
    """A button that any instance of the bot understands, long after it was sent."""

    def __init__(self, number: int) -> None:
        super().__init__(discord.ui.Button(label="Good", emoji="👍", custom_id=f"thumb:{number}"))
        self.number = number

    @classmethod
    async def from_custom_id(cls, interaction: Any, item: Any, match: re.Match[str], /) -> Thumb:
        return cls(int(match["number"]))

    async def callback(self, interaction: Any) -> None:
        await interaction.response.send_message(f"thumb {self.number}", ephemeral=True)


class Why(discord.ui.Modal, title="Why?"):
    reason: Any = discord.ui.TextInput(label="Reason", max_length=200)

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"because {self.reason.value}", ephemeral=True)


class Buttons(discord.ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)
        self.add_item(Thumb(7))

    @discord.ui.button(label="Bad", custom_id="bad")
    async def bad(self, interaction: discord.Interaction, button: Any) -> None:
        await interaction.response.send_modal(Why())

    @discord.ui.button(label="Again", custom_id="again")
    async def again(self, interaction: discord.Interaction, button: Any) -> None:
        await interaction.response.edit_message(content="again")

    @discord.ui.button(label="Later", custom_id="later")
    async def later(self, interaction: discord.Interaction, button: Any) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="later")

    @discord.ui.select(custom_id="who", options=[discord.SelectOption(label=name) for name in ("Zen", "Beard")])
    async def who(self, interaction: discord.Interaction, select: Any) -> None:
        await interaction.response.send_message(select.values[0])


class SmallBot(commands.AutoShardedBot):
    """`heard[event]` is a queue of what discord.py dispatched; `interactions` keeps every command's interaction."""

    def __init__(self, intents: discord.Intents | None = None) -> None:
        super().__init__(
            "!", intents=intents or discord.Intents.default(), guild_ready_timeout=0.05,
            allowed_mentions=discord.AllowedMentions.none(),
        )  # fmt: skip
        self.heard: dict[str, asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self.failed: asyncio.Queue[BaseException] = asyncio.Queue()
        self.sync_in: discord.Object | None = None
        add_commands(self)
        add_rarer_commands(self)

    async def hear(self, event: str) -> Any:
        return await asyncio.wait_for(self.heard[event].get(), TIMEOUT_S)

    async def setup_hook(self) -> None:
        _, gateway, _ = await self.http.get_bot_gateway()
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = discord.gateway.yarl.URL(gateway)
        self.add_dynamic_items(Thumb)
        self.add_view(Buttons())
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Discord wants five seconds between two; the fake does not."""

    def dispatch(self, event: str, /, *args: Any, **kwargs: Any) -> None:
        super().dispatch(event, *args, **kwargs)
        self.heard[event].put_nowait(args[0] if args else None)

    async def on_message(self, message: discord.Message) -> None:
        """Says nothing; the tests look at what was heard."""


def add_commands(bot: SmallBot) -> None:
    tree = bot.tree

    @tree.error
    async def keep(interaction: discord.Interaction, error: app_commands.AppCommandError) -> None:
        bot.failed.put_nowait(getattr(error, "original", error))

    @tree.command()
    @app_commands.describe(question="What to ask", strength="How much")
    async def ask(interaction: discord.Interaction, question: str, strength: float = 1.0) -> None:
        """Asks a persona."""
        await interaction.response.defer(thinking=True)
        await interaction.edit_original_response(content=f"{question} at {strength}", view=Buttons())
        await interaction.followup.send("and more", ephemeral=True)

    @tree.command()
    async def persona(interaction: discord.Interaction, name: str) -> None:
        """Chooses a persona."""
        await interaction.response.send_message(f"now {name}", ephemeral=True)

    @persona.autocomplete("name")
    async def names(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=name.title(), value=name) for name in ("zen", "beard") if current in name]

    @tree.command()
    @app_commands.default_permissions(manage_guild=True)
    async def purge(interaction: discord.Interaction, who: discord.User) -> None:
        """Forgets somebody."""
        await interaction.response.send_message(f"forgot {who.name}")

    group = app_commands.Group(name="settings", description="Settings")

    @group.command()
    async def limit(interaction: discord.Interaction, number: app_commands.Range[int, 1, 10]) -> None:
        """Sets a limit."""
        await interaction.response.send_message(f"limit {number}")

    tree.add_command(group)


def add_rarer_commands(bot: SmallBot) -> None:
    tree = bot.tree

    @tree.command()
    async def slow(interaction: discord.Interaction) -> None:
        """Waits until told."""
        await bot.hear("go_on")
        await interaction.response.defer(thinking=True)
        await bot.hear("go_on")
        await interaction.edit_original_response(content="at last")

    @tree.command()
    @app_commands.allowed_installs(guilds=True, users=True)
    @app_commands.allowed_contexts(guilds=True, dms=True, private_channels=True)
    async def anywhere(interaction: discord.Interaction, more: int = 0) -> None:
        """Works for people who installed the app."""
        await interaction.response.send_message("here I am")
        for number in range(more):
            await interaction.followup.send(f"more {number}")

    @tree.context_menu(name="Ask about this")
    async def about(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"about: {message.content}")


async def there(bot: SmallBot, channel: Any) -> Any:
    """The bot's own view of a channel of the fake."""
    return await bot.fetch_channel(channel.id)


async def refused(awaitable: Any) -> int:
    """Discord's code for the refusal that this must meet."""
    with pytest.raises(discord.HTTPException) as caught:
        await awaitable
    return caught.value.code

"""Who a reply seems to come from: a message with a header, a webhook with the persona's face, or the bot's own profile.

What a place chose but the bot may not do falls back to the header, and the channel is told why, once.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import discord
from sqlalchemy.ext.asyncio import AsyncSession

from bot.discord_chat import places
from bot.discord_chat.refusals import TOO_MANY_WEBHOOKS, WayLost, attempt
from bot.discord_chat.screens import PINGS_NOBODY, ChannelScreen, DiscordScreen, InteractionScreen, WebhookScreen
from bot.discord_chat.wording import has_header, header
from bot.persona_choice import describe
from bot.reply_stream import ScreenGone, ScreenRefused
from core.blends import parse_blend
from core.errors import PermissionNeeded
from core.store import exchanges
from core.store import places as place_rows
from core.store.models import Exchange

if TYPE_CHECKING:
    from bot.discord_chat.client import DiscordChat

WithWebhooks: TypeAlias = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.ForumChannel
WITH_WEBHOOKS = (discord.TextChannel, discord.VoiceChannel, discord.StageChannel, discord.ForumChannel)
MAX_NAME_CHARS = 80  # of a webhook; a nickname may have 32
MAX_NICK_CHARS = 32
WEAR_S = 2.0  # how long a reply waits for the bot's profile to change
FORBIDDEN_NAME = re.compile(r"discord|clyde", re.IGNORECASE)
NO_WEBHOOK = "I cannot show {name}'s own name and picture here: {reason} Until then I answer under my own name."
NO_PROFILE = "I cannot put on {name}'s name and picture in this server: {reason} Until then I answer under my own name."
MANAGE_WEBHOOKS = "I need the permission Manage Webhooks in this channel."
STILL_WORN = "I cannot take the persona's name and picture off in this server: {reason}"
CHANGE_NICKNAME = "I need the permission Change Nickname in this server."

logger = logging.getLogger(__name__)


class Identities:
    """Chooses the screens of a chat's replies."""

    def __init__(self, chat: DiscordChat) -> None:
        self._chat = chat
        self._service = chat.service
        self._webhooks: dict[tuple[int, str], discord.Webhook] = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._told: set[tuple[int, str]] = set()
        self._worn: dict[int, str] = {}
        self._wearing: dict[int, asyncio.Task[None]] = {}

    async def screen(
        self,
        channel: discord.abc.Messageable,
        channel_id: int,
        *,
        model: str,
        identity: str,
        place_ids: Sequence[str],
        question: discord.Message | None = None,
    ) -> DiscordScreen:
        """Where a reply of this blend is shown, with the identity that the place chose."""
        title = self.title(model)
        if places.is_in_guild(place_ids):
            try:
                if identity == "webhook":
                    webhook = await self._webhook(channel, model)
                    return WebhookScreen(webhook, channel, channel_id, name=self.name(model))
                if identity == "profile" and await self._wears(channel, model, place_ids):
                    return ChannelScreen(channel, channel_id, question=question)
            except PermissionNeeded as error:
                await self._tell_once(channel, channel_id, identity, str(error))
        return ChannelScreen(channel, channel_id, header=header(title), question=question)

    async def screen_on(
        self, interaction: discord.Interaction[discord.Client], exchange: Exchange, model: str
    ) -> DiscordScreen:
        """The messages that show this exchange, one of whose buttons was pressed, to be written anew by `model`."""
        message = interaction.message
        if message is None or message.flags.ephemeral or not _is_present(interaction):
            is_ephemeral = message is not None and message.flags.ephemeral
            return InteractionScreen(interaction, header=header(self.title(model)), is_ephemeral=is_ephemeral)
        return await self.screen_of(await self._first_page(exchange) or message, model)

    async def screen_of(self, message: discord.Message, model: str) -> DiscordScreen:
        """A screen that can rewrite a reply of ours that begins here. Raises ScreenGone when its webhook is gone."""
        channel, channel_id = message.channel, message.channel.id
        if message.webhook_id is None:
            title = header(self.title(model)) if has_header(message.content) else ""
            return ChannelScreen(channel, channel_id, header=title)
        webhook_id = message.webhook_id
        for webhook in self._webhooks.values():
            if webhook.id == webhook_id:
                return WebhookScreen(webhook, channel, channel_id, name=self.name(model))
        try:
            webhook = await attempt(lambda: self._client.fetch_webhook(webhook_id))
        except WayLost as error:
            raise ScreenGone("The webhook that wrote this was deleted.") from error
        return WebhookScreen(webhook, channel, channel_id, name=self.name(model))

    async def _first_page(self, exchange: Exchange) -> discord.Message | None:
        """The message that has the header, where there is one; None when it cannot be read."""
        async with self._service.store.read() as session:
            pages = await exchanges.deliveries_of(session, exchange.id)
        return await self._chat.context.fetch(pages[0].message_id) if pages else None

    def title(self, model: str) -> str:
        """Who answers, with face and strength: "🏴 Captain Codebeard at 50 %"."""
        return describe(self._service.personas, model)

    def name(self, model: str) -> str:
        """Who answers, as a name."""
        slugs = [part.slug for part in parse_blend(model).parts]
        names = [self._service.personas[slug].name for slug in slugs if slug in self._service.personas]
        return " + ".join(names)[:MAX_NAME_CHARS] or "Base model"

    def greeting(self, model: str) -> str:
        """What the heaviest persona of a blend says when it is called by name and nothing else."""
        parts = parse_blend(model).parts
        persona = self._service.personas.get(parts[0].slug) if parts else None
        return "Hello! What would you like to talk about?" if persona is None else persona.file.greeting

    def forget_webhooks(self, channel_id: int) -> None:
        """The channel's webhooks have changed; look them up again."""
        self._webhooks = {key: webhook for key, webhook in self._webhooks.items() if key[0] != channel_id}

    def _avatar(self, model: str) -> bytes | None:
        for part in parse_blend(model).parts:
            persona = self._service.personas.get(part.slug)
            if persona is not None and persona.avatar is not None:
                return persona.avatar.read_bytes()
        return None

    async def _webhook(self, channel: discord.abc.Messageable, model: str) -> discord.Webhook:
        """The bot's own webhook with this face. Raises PermissionNeeded with the reason why there is none."""
        home = channel.parent if isinstance(channel, discord.Thread) else channel
        name = self.name(model)
        if not isinstance(home, WITH_WEBHOOKS):
            raise PermissionNeeded(NO_WEBHOOK.format(name=name, reason="this kind of channel has no webhooks."))
        if FORBIDDEN_NAME.search(name):
            raise PermissionNeeded(NO_WEBHOOK.format(name=name, reason="Discord does not allow this name."))
        async with self._locks[home.id]:
            if found := self._webhooks.get((home.id, name)):
                return found
            try:
                found = await self._find_or_create(home, name, model)
            except discord.Forbidden as error:
                raise PermissionNeeded(NO_WEBHOOK.format(name=name, reason=MANAGE_WEBHOOKS)) from error
            except discord.HTTPException as error:
                reason = f"Discord refuses another webhook (code {error.code})."
                raise PermissionNeeded(NO_WEBHOOK.format(name=name, reason=reason)) from error
            self._webhooks[home.id, name] = found
            return found

    async def _find_or_create(self, home: WithWebhooks, name: str, model: str) -> discord.Webhook:
        """A channel holds 15 webhooks; where it is full, one of ours changes its face."""
        own = [
            webhook
            for webhook in await home.webhooks()
            if webhook.user is not None and webhook.user.id == self._chat.own_id and webhook.token
        ]
        for webhook in own:
            if webhook.name == name:
                return webhook
        avatar = await asyncio.to_thread(self._avatar, model)
        try:
            return await home.create_webhook(name=name, avatar=avatar, reason="The persona's own name and picture")
        except discord.HTTPException as error:
            if error.code != TOO_MANY_WEBHOOKS or not own:
                raise
        self.forget_webhooks(home.id)
        return await own[0].edit(name=name, avatar=avatar)

    async def _wears(self, channel: discord.abc.Messageable, model: str, place_ids: Sequence[str]) -> bool:
        """Whether the bot's profile in this server shows this blend. It shows the one that the server chose.

        Discord may let a profile change but every few minutes; no reply waits for that.
        """
        guild = getattr(channel, "guild", None)
        if not isinstance(guild, discord.Guild):
            return False
        async with self._service.store.read() as session:
            chosen = await place_rows.model_of(session, place_ids[-1]) or self._service.default_persona
        wearing = self._wearing.get(guild.id)
        if wearing is None:
            wearing = self._wearing[guild.id] = asyncio.create_task(self.wear(guild, chosen))
            wearing.add_done_callback(partial(self._note_worn, guild.id))
        await asyncio.wait({wearing}, timeout=WEAR_S)
        if wearing.done():
            wearing.result()  # raises why it is not worn
        return self._worn.get(guild.id) == model

    def _note_worn(self, guild_id: int, wearing: asyncio.Task[None]) -> None:
        """Whoever did not wait so long is not told; the next reply tries again."""
        del self._wearing[guild_id]
        if not wearing.cancelled() and (error := wearing.exception()):
            logger.info("The profile in server %d stays as it is: %s", guild_id, error)

    async def wear(self, guild: discord.Guild, model: str) -> None:
        """Give the bot this blend's name and picture in a server. Raises PermissionNeeded with the reason why not."""
        name = self.name(model)
        async with self._locks[guild.id]:
            if self._worn.get(guild.id) == model:
                return
            try:
                if guild.me.nick != (nick := name[:MAX_NICK_CHARS]):
                    avatar = await asyncio.to_thread(self._avatar, model)
                    await guild.me.edit(nick=nick, avatar=avatar)
            except discord.Forbidden as error:
                raise PermissionNeeded(NO_PROFILE.format(name=name, reason=CHANGE_NICKNAME)) from error
            except discord.HTTPException as error:
                reason = f"Discord refuses it at the moment (code {error.code})."
                raise PermissionNeeded(NO_PROFILE.format(name=name, reason=reason)) from error
            self._worn[guild.id] = model

    async def is_profile_chosen(self, session: AsyncSession, guild: discord.Guild) -> bool:
        """Whether any place in this server lets the bot wear the server's persona."""
        return not (await place_rows.with_identity(session, "profile")).isdisjoint(places.places_in(guild))

    async def take_off(self, guild: discord.Guild) -> str | None:
        """Give the bot its own name and picture again in a server. Returns the sentence why Discord does not let it."""
        async with self._locks[guild.id]:
            self._worn.pop(guild.id, None)
            try:
                await attempt(lambda: guild.me.edit(nick=None, avatar=None))
            except (ScreenGone, ScreenRefused) as error:
                logger.warning("Server %d still shows a persona's name and picture: %s", guild.id, error)
                return STILL_WORN.format(reason=error)
        return None

    def forget_profile(self, guild_id: int) -> None:
        """The bot has left this server; if it is ever invited again, it wears nothing."""
        self._worn.pop(guild_id, None)

    async def _tell_once(self, channel: discord.abc.Messageable, channel_id: int, identity: str, why: str) -> None:
        """Say why this channel's choice does not work."""
        if (channel_id, identity) in self._told:
            return
        self._told.add((channel_id, identity))
        try:
            await attempt(lambda: channel.send(f"-# {why}", allowed_mentions=PINGS_NOBODY))
        except (ScreenGone, ScreenRefused) as error:
            logger.info("%s (and it could not be said: %s)", why, error)

    @property
    def _client(self) -> discord.Client:
        return self._chat.bot


def _is_present(interaction: discord.Interaction[discord.Client]) -> bool:
    """Whether the bot itself is where the interaction came from, and not only the app of a person's own account.

    What discord.py has cached does not say: it knows no DM before it wrote there, and no archived thread.
    """
    is_member = interaction.is_guild_integration() and interaction.app_permissions.view_channel
    return is_member or interaction.context.dm_channel

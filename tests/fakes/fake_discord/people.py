"""What a human does at their client: speak, react, press, run commands. Each act is what Discord's client offers."""

# ruff: noqa: ASYNC109 - these wait for others, and say for how long
from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.fakes.fake_discord import board, command_use
from tests.fakes.fake_discord.channels import Channel, Typing
from tests.fakes.fake_discord.guilds import Guild
from tests.fakes.fake_discord.interactions import AUTOCOMPLETE, COMMAND, COMPONENT, MODAL, Choice, Interaction
from tests.fakes.fake_discord.message_form import check_message
from tests.fakes.fake_discord.messages import HAS_SNAPSHOT, SUPPRESS_EMBEDS, VOICE, Message, parts, snapshot
from tests.fakes.fake_discord.users import User
from tests.fakes.fake_discord.world import World
from tests.running.patience import TIMEOUT_S

SELECTS = (3, 5, 6, 7, 8)


class Person(User):
    """A human (or, with `bot=True`, somebody else's bot). Acts return when Discord has taken them in, not when the
    bot has answered: wait with `channel.wait_for` or `interaction.wait_reply`."""

    def __init__(self, world: World, name: str, bot: bool = False) -> None:
        super().__init__(world.next_id(), name, bot)
        self.world = world
        self.has_installed = False

    async def says(
        self, channel: Channel, text: str, reply_to: Message | None = None, mentions_bot: bool = False,
        ping: bool = True, files: dict[str, bytes] | None = None, embeds: list[dict[str, Any]] | None = None,
        **more: Any,
    ) -> Message:  # fmt: skip
        """Posts a message. `ping`: whether a reply notifies its author, as clients do by default."""
        self._join(channel)
        text = f"{self.world.bot.mention} {text}".rstrip() if mentions_bot else text
        check_message({"content": text, "embeds": embeds}, 0, bool(files or more))
        allowed = {**board.EVERY_KIND, "replied_user": ping}
        attached = more.pop("voice", None) or [self._upload(name, content) for name, content in (files or {}).items()]
        return board.post(
            channel, self, text, allowed, reply_to=reply_to, attachments=attached, embeds=embeds or [], **more
        )

    async def forwards(self, message: Message, to: Channel) -> Message:
        """Without a word of their own, as clients do."""
        shown = [snapshot(message)]
        return await self.says(to, "", forwarded=message, snapshots=shown, flags=HAS_SNAPSHOT)

    async def sends_a_sticker(self, channel: Channel, name: str) -> Message:
        sticker = {"id": str(self.world.next_id()), "name": name, "format_type": 1}
        return await self.says(channel, "", stickers=[sticker])

    async def speaks(self, channel: Channel, sound: bytes, seconds: float = 1.0) -> Message:
        """A voice message."""
        recorded = {"duration_secs": seconds, "waveform": "AAAA", "content_type": "audio/ogg"}
        attached = [{**self._upload("voice-message.ogg", sound), **recorded}]
        return await self.says(channel, "", voice=attached, flags=VOICE)

    async def asks_all(self, channel: Channel, question: str, *answers: str, mentions_bot: bool = False) -> Message:
        """A poll."""
        ends_at = self.world.clock.now() + timedelta(days=1)
        poll = {
            "question": {"text": question},
            "answers": [{"answer_id": n, "poll_media": {"text": text}} for n, text in enumerate(answers, start=1)],
            "expiry": ends_at.isoformat(), "allow_multiselect": False, "layout_type": 1,
            "results": {"answer_counts": [], "is_finalized": False},
        }  # fmt: skip
        return await self.says(channel, "", mentions_bot=mentions_bot, poll=poll)

    async def edits(self, message: Message, text: str) -> None:
        assert message.author is self, "only one's own messages can be edited"
        board.edit(message, {**board.EVERY_KIND, "replied_user": self._pinged(message)}, content=text)

    async def deletes(self, *messages: Message) -> None:
        """One's own message, or with the right to, others'; several at once are a bulk deletion."""
        for message in messages:
            assert message.author is self or message.channel.may(self, "manage_messages"), "not theirs to delete"
        if len(messages) == 1:
            board.delete(messages[0])
        else:
            board.delete_many(list(messages))

    async def reacts(self, message: Message, emoji: str, burst: bool = False) -> None:
        """`burst`: as a super-reaction, which stands beside the plain ones."""
        self._join(message.channel)
        board.react(message, self, emoji, burst)

    async def unreacts(self, message: Message, emoji: str, burst: bool = False) -> None:
        board.unreact(message, self, emoji, burst)

    async def clears_reactions(self, message: Message, emoji: str | None = None) -> None:
        """A moderator's "Remove All Reactions", or the removal of one emoji."""
        assert message.channel.may(self, "manage_messages"), "not theirs to remove"
        board.clear_reactions(message, emoji)

    async def suppresses_embeds(self, message: Message) -> None:
        board.edit(message, silently=True, flags=message.flags | SUPPRESS_EMBEDS, embeds=[])

    async def begins_typing(self, channel: Channel) -> None:
        self._join(channel)
        now = self.world.clock.now()
        channel.typing.append(Typing(self, now))
        event: dict[str, Any] = {
            "channel_id": str(channel.id),
            "user_id": str(self.id),
            "timestamp": int(now.timestamp()),
        }
        if channel.guild is not None:
            event["member"] = channel.guild.member(self).payload()
        self.world.emit("TYPING_START", board.in_guild(event, channel), channel=channel)

    async def starts_thread(self, where: Channel | Message, name: str) -> Channel:
        channel = where if isinstance(where, Channel) else where.channel
        self._join(channel)
        return board.start_thread(channel, self, name, where if isinstance(where, Message) else None)

    async def opens_dm(self) -> Channel:
        return self.world.dm_with(self)

    async def closes_dms(self) -> None:
        """From now on the bot's messages to them are refused with 50007."""
        self.dms_open = False

    async def installs_the_app(self) -> None:
        """To their account: its user-installed commands then work for them everywhere."""
        self.has_installed = True

    async def leaves(self, guild: Guild) -> None:
        guild.members.pop(self.id, None)
        event = {"guild_id": str(guild.id), "user": self.payload()}
        self.world.emit("GUILD_MEMBER_REMOVE", event, guild=guild)

    # interactions

    async def uses(self, command: str, in_: Channel, **options: Any) -> Interaction:
        """A slash command, subcommands after a space. Values of options: text, numbers, Person, Channel, Role.

        Raises AssertionError where a client would not offer the command or not accept the options.
        """
        self._join(in_)
        data, user_installed = command_use.slash(self.world, self, in_, command, options)
        return self._interact(COMMAND, in_, data, user_installed=user_installed)

    async def uses_on(self, target: Message | User, command: str, in_: Channel | None = None) -> Interaction:
        """A command of the context menu, of a message or (with `in_`) of a user."""
        channel = target.channel if isinstance(target, Message) else in_
        assert channel is not None, "a user is clicked somewhere: say in_"
        self._join(channel)
        data, user_installed = command_use.context(self.world, self, channel, command, target)
        return self._interact(COMMAND, channel, data, user_installed=user_installed)

    async def types(
        self, command: str, option: str, partial: str, in_: Channel, timeout: float = TIMEOUT_S, **so_far: Any
    ) -> list[Choice]:
        """Types into an option that autocompletes, and returns what is offered."""
        self._join(in_)
        options = {**so_far, option: partial}
        data, user_installed = command_use.slash(self.world, self, in_, command, options, focused=option)
        interaction = self._interact(AUTOCOMPLETE, in_, data, user_installed=user_installed)
        return await interaction.wait_choices(timeout)

    async def presses(self, message: Message, button: str) -> Interaction:
        """A button by its label, emoji or custom_id."""
        found = [part for part in message.buttons if button in names_of(part)]
        data = self._component(message, found, button)
        return self._interact(COMPONENT, message.channel, data, source=message)

    async def picks(self, message: Message, *values: str, select: str | None = None) -> Interaction:
        """Values (or labels) of a select; `select` is its custom_id or placeholder where there are several."""
        found = [part for part in parts(message.components) if part["type"] in SELECTS]
        found = [part for part in found if select is None or select in (part["custom_id"], part.get("placeholder"))]
        data = self._component(message, found, select or "select")
        offered = {option["label"]: option["value"] for option in found[0].get("options", [])}
        chosen = [offered.get(value, value) for value in values]
        assert found[0]["type"] != 3 or set(chosen) <= set(offered.values()), f"offered: {offered}"
        assert found[0]["min_values"] <= len(chosen) <= found[0]["max_values"], "not that many can be picked"
        return self._interact(COMPONENT, message.channel, {**data, "values": chosen}, source=message)

    async def submits(self, interaction: Interaction, **values: Any) -> Interaction:
        """The modal an interaction opened, with text (or lists of values) by custom_id or label."""
        modal = await interaction.wait_modal()
        assert interaction.user is self, "somebody else's modal"
        data = {"custom_id": modal["custom_id"], "components": command_use.filled_in(modal, values)}
        return self._interact(
            MODAL, interaction.channel, data, source=interaction.source, parent=interaction,
            user_installed=interaction.user_installed,
        )  # fmt: skip

    def sees(self, channel: Channel) -> list[Message]:
        """What they see in a channel, their ephemeral messages among it."""
        return [message for message in channel.everything if message.seen_by(self)]

    # how they do it

    def _interact(self, kind: int, channel: Channel, data: dict[str, Any], **more: Any) -> Interaction:
        interaction = Interaction(self.world, kind, self, channel, data, **more)
        self.world.interact(interaction.payload(), channel.guild)
        return interaction

    def _component(self, message: Message, found: list[dict[str, Any]], wanted: str) -> dict[str, Any]:
        self._join(message.channel)
        assert message.seen_by(self), "they don't see this message"
        assert found, f"no {wanted!r} on {message.line()}"
        assert not found[0].get("disabled"), f"{wanted!r} is disabled"
        return {"custom_id": found[0]["custom_id"], "component_type": found[0]["type"], "id": found[0]["id"]}

    def _join(self, channel: Channel) -> None:
        if channel.guild is not None:
            channel.guild.member(self)
        elif self not in channel.recipients:
            raise AssertionError(f"{self.name} is not in this DM")

    def _pinged(self, message: Message) -> bool:
        return message.reply_to is not None and message.reply_to.author in message.mentions

    def _upload(self, name: str, content: bytes) -> dict[str, Any]:
        attachment_id = self.world.next_id()
        self.world.uploads[attachment_id] = content
        url = f"{self.world.url}/cdn/attachments/{attachment_id}/{name}"
        return {"id": str(attachment_id), "filename": name, "size": len(content), "url": url, "proxy_url": url}


def names_of(button: dict[str, Any]) -> list[str]:
    """Everything a button is called: label, emoji, custom_id, and emoji and label together."""
    label, emoji = button.get("label") or "", (button.get("emoji") or {}).get("name") or ""
    return [name for name in (label, emoji, button.get("custom_id"), f"{emoji} {label}".strip()) if name]

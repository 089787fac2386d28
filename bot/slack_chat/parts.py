"""The parts of the bot on Slack, each listed once, and how they are put together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.chat.access import Access, AccessLimits
from bot.chat.bindings import Bindings
from bot.chat.choosing import Choosing
from bot.chat.deliveries import Deliveries
from bot.chat.edits import Edits
from bot.chat.endings import Endings
from bot.chat.faces import Faces
from bot.chat.forgetting import Forgetting
from bot.chat.free_talk import FreeTalk
from bot.chat.judging import Judging
from bot.chat.memory import Memory
from bot.chat.recovery import LeftReplies
from bot.chat.replies import RunningReplies
from bot.chat.variants import Variants
from bot.service.service import Service
from bot.slack_chat.ask_about import AskAbout
from bot.slack_chat.changes import Changes
from bot.slack_chat.commands.data import DataCommands
from bot.slack_chat.commands.persona import PersonaCommand
from bot.slack_chat.commands.settings import SettingsCommand
from bot.slack_chat.commands.table import SlashCommands, commands_of
from bot.slack_chat.connection import CAPABILITIES, Connection
from bot.slack_chat.history import History
from bot.slack_chat.home import Home
from bot.slack_chat.identity import Identities
from bot.slack_chat.judgements import Judgements
from bot.slack_chat.listener import Listener
from bot.slack_chat.names import SOURCE
from bot.slack_chat.people import People
from bot.slack_chat.presses import Presses
from bot.slack_chat.reactions import Reactions
from bot.slack_chat.recovery import Recovery
from bot.slack_chat.rewrites import Rewrites
from bot.slack_chat.speaker import Speaker
from bot.slack_chat.typed import TypedCommands
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What hears Slack's events, and what they all share."""

    connection: Connection
    memory: Memory
    replies: RunningReplies
    listener: Listener
    changes: Changes
    reactions: Reactions
    presses: Presses
    commands: SlashCommands
    ask_about: AskAbout
    home: Home
    recovery: Recovery


def make_parts(service: Service, settings: Settings, limits: AccessLimits) -> Parts:
    """Put the bot together for one service."""
    store, personas, connection, memory = service.store, service.personas, Connection(settings), Memory()
    needs_catch_up = asyncio.Event()  # something may have happened on Slack that was not taken in
    deliveries = Deliveries(store, SOURCE)
    replies = RunningReplies(
        lambda: service.responder,
        deliveries,
        Access(limits),
        memory,
        CAPABILITIES,
        shows_thoughts=settings.show_thoughts,
    )
    bindings, free_talk, faces = Bindings(store, SOURCE, service.default_persona), FreeTalk(store), Faces(personas)
    forgetting = Forgetting(store, SOURCE, replies, memory)
    people, speaker = People(connection), Speaker(connection)
    identities = Identities(connection, faces)
    choosing = Choosing(personas, bindings, CAPABILITIES)
    home = Home(connection, store, service.registry, personas, settings.base_slug)
    data = DataCommands(connection, store, settings, forgetting)
    commands = commands_of(
        PersonaCommand(personas, choosing, people, speaker),
        SettingsCommand(store, choosing, free_talk, people),
        data,
        home,
    )
    typed = TypedCommands(commands, speaker)
    history = History(connection, store, memory, people, typed.is_command)
    listener = Listener(connection, store, replies, history, identities, faces, bindings, free_talk, speaker, typed)
    edits = Edits(store, SOURCE, memory, replies)
    reactions = Reactions(connection, store, replies, people, needs_catch_up)
    variants, endings = Variants(store, SOURCE, replies, CAPABILITIES), Endings(store, SOURCE, replies, memory)
    judgements = Judgements(connection, Judging(store, SOURCE, replies), speaker)
    rewrites = Rewrites(store, replies, memory, variants, endings, history, identities, people, speaker)
    left_replies = LeftReplies(store, SOURCE, memory, CAPABILITIES)
    return Parts(
        connection=connection,
        memory=memory,
        replies=replies,
        listener=listener,
        changes=Changes(connection, store, edits, replies, forgetting, deliveries, free_talk, identities, listener),
        reactions=reactions,
        presses=Presses(replies, judgements, rewrites, speaker),
        commands=SlashCommands(connection, replies, commands, data),
        ask_about=AskAbout(connection, replies, identities, people, personas),
        home=home,
        recovery=Recovery(connection, store, left_replies, replies, history, identities, reactions, needs_catch_up),
    )

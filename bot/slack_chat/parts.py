"""The parts of the bot on Slack, each listed once, and how they are put together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bot.chat.access import AccessLimits
from bot.chat.chat_parts import ChatParts
from bot.chat.gallery import Gallery
from bot.chat.mending import Mending
from bot.service.service import Service
from bot.slack_chat.ask_about import AskAbout
from bot.slack_chat.changes import Changes
from bot.slack_chat.commands.data import DataCommands
from bot.slack_chat.commands.duel import DuelCommand
from bot.slack_chat.commands.persona import PersonaCommand
from bot.slack_chat.commands.settings import SettingsCommand
from bot.slack_chat.commands.table import SlashCommands, commands_of
from bot.slack_chat.connection import CAPABILITIES, Connection
from bot.slack_chat.history import History
from bot.slack_chat.home import Home
from bot.slack_chat.identity import Identities
from bot.slack_chat.left_pages import LeftPages
from bot.slack_chat.listener import Listener
from bot.slack_chat.people import People
from bot.slack_chat.presses import PressesHere
from bot.slack_chat.reactions import Reactions
from bot.slack_chat.speaker import Speaker
from bot.slack_chat.typed import TypedCommands
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What hears Slack's events, and what they all share."""

    connection: Connection
    chat: ChatParts
    listener: Listener
    changes: Changes
    reactions: Reactions
    presses: PressesHere
    commands: SlashCommands
    ask_about: AskAbout
    home: Home
    mending: Mending
    needs_catch_up: asyncio.Event


def make_parts(service: Service, settings: Settings, limits: AccessLimits) -> Parts:
    """Put the bot together for one service."""
    connection, store, personas = Connection(settings), service.store, service.personas
    chat = ChatParts.of(
        CAPABILITIES,
        store,
        personas,
        settings,
        limits,
        default_persona=service.default_persona,
        responder=lambda: service.responder,
        registry=service.registry,
    )
    needs_catch_up = asyncio.Event()  # something may have happened on Slack that was not taken in
    people, speaker, identities = People(connection), Speaker(connection), Identities(connection, chat.faces)
    home = Home(connection, Gallery(store, service.registry, personas, settings.base_slug))
    data = DataCommands(connection, store, chat.own_data)
    commands = commands_of(
        PersonaCommand(chat.choosing, people, speaker),
        SettingsCommand(chat.place_settings, chat.choosing, people),
        data,
        DuelCommand(connection, chat.replies, chat.duels, chat.shown_duels, identities),
        home,
    )
    typed = TypedCommands(commands, speaker)
    history = History(connection, store, chat.memory, people, typed.is_command)
    listener = Listener(
        connection, store, chat.replies, chat.questions, history, identities, chat.free_talk, speaker, typed
    )
    return Parts(
        connection=connection,
        chat=chat,
        listener=listener,
        changes=Changes(store, chat.edits, chat.forgetting, chat.deliveries, identities, listener, needs_catch_up),
        reactions=Reactions(connection, store, chat.replies, people, needs_catch_up),
        presses=PressesHere(connection, chat.presses(history), chat.replies, identities, people, speaker),
        commands=SlashCommands(connection, chat.replies, commands, data),
        ask_about=AskAbout(connection, chat.replies, history, identities, people, personas),
        home=home,
        mending=chat.mending(LeftPages(connection, store, history, identities)),
        needs_catch_up=needs_catch_up,
    )

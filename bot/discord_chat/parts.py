"""The parts of the bot on Discord, each listed once, and how they are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from bot.chat.access import AccessLimits
from bot.chat.chat_parts import ChatParts
from bot.chat.gallery import Gallery
from bot.chat.mending import Mending
from bot.chat.presses import Presses
from bot.discord_chat.catch_up import CatchUp
from bot.discord_chat.changes import Changes
from bot.discord_chat.connection import CAPABILITIES, Connection
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.left_pages import LeftPages
from bot.discord_chat.listener import Listener
from bot.discord_chat.profiles import Profiles
from bot.discord_chat.reactions import Reactions
from bot.discord_chat.removals import Removals
from bot.discord_chat.webhooks import Webhooks
from bot.service.service import Service
from core.personas import Persona
from core.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers of interactions may use. All else gets what it uses when it is made."""

    settings: Settings
    personas: Mapping[str, Persona]
    gallery: Gallery
    connection: Connection
    chat: ChatParts
    presses: Presses
    history: History
    profiles: Profiles
    identities: Identities
    listener: Listener
    changes: Changes
    removals: Removals
    reactions: Reactions
    mending: Mending
    catch_up: CatchUp


def make_parts(service: Service, settings: Settings, limits: AccessLimits) -> Parts:
    """Put the bot together for one service."""
    store, connection = service.store, Connection()
    chat = ChatParts.of(
        CAPABILITIES,
        store,
        service.personas,
        settings,
        limits,
        default_persona=service.default_persona,
        responder=lambda: service.responder,
        registry=service.registry,
    )
    needs_catch_up = asyncio.Event()  # something may have happened on Discord that was not taken in
    history = History(connection, store, chat.memory)
    webhooks, profiles = Webhooks(connection, chat.faces), Profiles(store, chat.faces)
    identities = Identities(store, history, chat.faces, webhooks, profiles, service.default_persona)
    listener = Listener(connection, store, chat.questions, history, identities, chat.free_talk)
    removals = Removals(
        connection, chat.forgetting, chat.deliveries, history, identities, webhooks, profiles, needs_catch_up
    )
    reactions = Reactions(connection, store, chat.replies, needs_catch_up)
    return Parts(
        settings=settings,
        personas=service.personas,
        gallery=Gallery(store, service.registry, service.personas, settings.base_slug),
        connection=connection,
        chat=chat,
        presses=chat.presses(history),
        history=history,
        profiles=profiles,
        identities=identities,
        listener=listener,
        changes=Changes(chat.edits, listener),
        removals=removals,
        reactions=reactions,
        mending=chat.mending(LeftPages(connection, history, identities)),
        catch_up=CatchUp(connection, store, removals, reactions, needs_catch_up),
    )

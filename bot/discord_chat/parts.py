"""The parts of the bot on Discord, each listed once, and how they are put together."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
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
from bot.discord_chat.catch_up import CatchUp
from bot.discord_chat.changes import Changes
from bot.discord_chat.connection import CAPABILITIES, Connection
from bot.discord_chat.history import History
from bot.discord_chat.identity import Identities
from bot.discord_chat.listener import Listener
from bot.discord_chat.names import SOURCE
from bot.discord_chat.profiles import Profiles
from bot.discord_chat.reactions import Reactions
from bot.discord_chat.recovery import Recovery
from bot.discord_chat.removals import Removals
from bot.discord_chat.webhooks import Webhooks
from bot.service.service import Service
from core.adapters.registry import Registry
from core.personas import Persona
from core.settings import Settings
from core.store.db import Store


@dataclass(frozen=True, slots=True)
class Parts:
    """What handlers of interactions may use. All else gets what it uses when it is made."""

    settings: Settings
    personas: Mapping[str, Persona]
    registry: Registry
    store: Store
    connection: Connection
    access: Access
    memory: Memory
    replies: RunningReplies
    bindings: Bindings
    choosing: Choosing
    free_talk: FreeTalk
    judging: Judging
    variants: Variants
    endings: Endings
    forgetting: Forgetting
    history: History
    profiles: Profiles
    identities: Identities
    listener: Listener
    changes: Changes
    removals: Removals
    reactions: Reactions
    recovery: Recovery
    catch_up: CatchUp


def make_parts(service: Service, settings: Settings, limits: AccessLimits) -> Parts:
    """Put the bot together for one service."""
    store, connection, access, memory = service.store, Connection(), Access(limits), Memory()
    needs_catch_up = asyncio.Event()  # something may have happened on Discord that was not taken in
    deliveries = Deliveries(store, SOURCE)
    replies = RunningReplies(
        lambda: service.responder,
        deliveries,
        access,
        memory,
        CAPABILITIES,
        shows_thoughts=settings.show_thoughts,
    )
    bindings = Bindings(store, SOURCE, service.default_persona)
    free_talk = FreeTalk(store)
    forgetting = Forgetting(store, SOURCE, replies, memory)
    history = History(connection, store, memory)
    faces = Faces(service.personas)
    webhooks, profiles = Webhooks(connection, faces), Profiles(store, faces)
    identities = Identities(store, history, faces, webhooks, profiles, service.default_persona)
    listener = Listener(connection, store, replies, history, identities, faces, bindings, free_talk)
    removals = Removals(
        connection, forgetting, deliveries, history, identities, webhooks, profiles, free_talk, needs_catch_up
    )
    reactions = Reactions(connection, store, replies, needs_catch_up)
    return Parts(
        settings=settings,
        personas=service.personas,
        registry=service.registry,
        store=store,
        connection=connection,
        access=access,
        memory=memory,
        replies=replies,
        bindings=bindings,
        choosing=Choosing(service.personas, bindings, CAPABILITIES),
        free_talk=free_talk,
        judging=Judging(store, SOURCE, replies),
        variants=Variants(store, SOURCE, replies, CAPABILITIES),
        endings=Endings(store, SOURCE, replies, memory),
        forgetting=forgetting,
        history=history,
        profiles=profiles,
        identities=identities,
        listener=listener,
        changes=Changes(Edits(store, SOURCE, memory, replies), replies, history, identities, listener),
        removals=removals,
        reactions=reactions,
        recovery=Recovery(
            connection, store, LeftReplies(store, SOURCE, memory, CAPABILITIES), replies, history, identities
        ),
        catch_up=CatchUp(connection, store, removals, reactions, needs_catch_up),
    )

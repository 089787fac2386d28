"""The rules of the chat for one platform, each listed once, and how they are put together. Knows no SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

from bot.chat.access import Access, AccessLimits
from bot.chat.bindings import Bindings
from bot.chat.choosing import Choosing
from bot.chat.conversations import Conversations
from bot.chat.deliveries import Deliveries
from bot.chat.duels import Duels
from bot.chat.edits import Edits
from bot.chat.endings import Endings
from bot.chat.faces import Faces
from bot.chat.forgetting import Forgetting
from bot.chat.free_talk import FreeTalk
from bot.chat.judging import Judging
from bot.chat.memory import Memory
from bot.chat.mending import LeftPages, Mending
from bot.chat.own_data import OwnData
from bot.chat.place_settings import SettingsOfPlaces
from bot.chat.platform import Capabilities
from bot.chat.presses import Presses
from bot.chat.questions import Questions
from bot.chat.recovery import LeftReplies
from bot.chat.replies import RunningReplies
from bot.chat.responder import Responder
from bot.chat.shown_duels import ShownDuels
from bot.chat.variants import Variants
from core.adapters.registry import Registry
from core.personas import Persona
from core.settings import Settings
from core.store.db import Store


@dataclass(frozen=True, slots=True)
class ChatParts:
    """What a platform's own parts are given."""

    platform: Capabilities
    store: Store
    access: Access
    memory: Memory
    deliveries: Deliveries
    replies: RunningReplies
    faces: Faces
    bindings: Bindings
    choosing: Choosing
    free_talk: FreeTalk
    place_settings: SettingsOfPlaces
    forgetting: Forgetting
    own_data: OwnData
    questions: Questions
    edits: Edits
    duels: Duels
    shown_duels: ShownDuels

    @classmethod
    def of(
        cls,
        platform: Capabilities,
        store: Store,
        personas: Mapping[str, Persona],
        settings: Settings,
        limits: AccessLimits,
        *,
        default_persona: str,
        responder: Callable[[], Responder],
        registry: Registry,
    ) -> Self:
        """`responder` is asked for at each reply: there is none before the service has started."""
        source, access, memory = platform.source, Access(limits), Memory()
        deliveries = Deliveries(store, source)
        replies = RunningReplies(responder, deliveries, access, memory, platform, shows_thoughts=settings.show_thoughts)
        bindings, free_talk = Bindings(store, source, default_persona), FreeTalk(store)
        choosing = Choosing(personas, bindings, platform)
        duels = Duels(source, store, registry, personas, settings.base_slug, responder)
        forgetting = Forgetting(store, source, replies, memory, free_talk)
        faces = Faces(personas)
        questions = Questions(platform, replies, faces, bindings)
        return cls(
            platform=platform,
            store=store,
            access=access,
            memory=memory,
            deliveries=deliveries,
            replies=replies,
            faces=faces,
            bindings=bindings,
            choosing=choosing,
            free_talk=free_talk,
            place_settings=SettingsOfPlaces(platform, store, choosing, free_talk),
            forgetting=forgetting,
            own_data=OwnData(platform, store, settings, forgetting),
            questions=questions,
            edits=Edits(store, source, memory, replies, questions),
            duels=duels,
            shown_duels=ShownDuels(platform, store, duels, replies, memory, shows_thoughts=settings.show_thoughts),
        )

    def presses(self, conversations: Conversations) -> Presses:
        """What presses do, where the platform's conversations are read so."""
        source = self.platform.source
        return Presses(
            self.platform,
            self.store,
            self.replies,
            self.memory,
            conversations,
            Judging(self.store, source, self.replies),
            Variants(self.store, source, self.replies, self.platform),
            Endings(self.store, source, self.replies, self.memory),
            self.duels,
        )

    def mending(self, left_pages: LeftPages) -> Mending:
        """What shows left replies to their end, where the platform's messages are reached so."""
        left_replies = LeftReplies(self.store, self.platform.source, self.memory, self.platform)
        return Mending(self.platform, self.store, left_replies, self.replies, left_pages)

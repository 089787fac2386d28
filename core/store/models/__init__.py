"""The tables, in one import, because a migration or a new database needs all of them.

Times are UTC unix seconds; a column's `comment` says what it means. Knows no queries. Checks, keys and NOT NULLs here
hold docs/architecture.md's invariants even against code that forgets them.
"""

from core.store.models.base import JSON_VALUE, Base
from core.store.models.ledger import IS_OPEN, Delivery, Exchange, ExchangePlace, Place, Quote
from core.store.models.opinions import Consent, Correction, Duel, Feedback, Preference, VoidThumbs
from core.store.models.versions import (
    ALIASES,
    EVENT_KINDS,
    ROLLOUT_OUTCOMES,
    ROLLOUT_STAGES,
    AdapterAlias,
    AdapterVersion,
    RegistryEvent,
    Rollout,
    ShadowReply,
    TrainingExample,
)

__all__ = [
    "ALIASES",
    "EVENT_KINDS",
    "IS_OPEN",
    "JSON_VALUE",
    "ROLLOUT_OUTCOMES",
    "ROLLOUT_STAGES",
    "AdapterAlias",
    "AdapterVersion",
    "Base",
    "Consent",
    "Correction",
    "Delivery",
    "Duel",
    "Exchange",
    "ExchangePlace",
    "Feedback",
    "Place",
    "Preference",
    "Quote",
    "RegistryEvent",
    "Rollout",
    "ShadowReply",
    "TrainingExample",
    "VoidThumbs",
]

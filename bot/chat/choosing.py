"""Choosing who answers in a thread, in a channel or around all of them, and saying who does. Knows no SDK."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.chat.bindings import Bindings
from bot.chat.personas import choose, describe
from bot.chat.platform import Capabilities
from core.blends import Blend
from core.errors import InvalidInput
from core.personas import Persona

DEFAULT = "default"  # typed as a name: choose nothing here, so that the next wider place decides


class Choosing:
    """Where a choice counts is a scope: "thread", "channel", or what the platform calls its wide place.

    `here` are always the places where somebody chooses or asks, the narrowest first; in a DM, `is_private`, there is
    nothing around. Everything here raises StoreUnavailable.
    """

    def __init__(self, personas: Mapping[str, Persona], bindings: Bindings, platform: Capabilities) -> None:
        self._personas = personas
        self._bindings = bindings
        self._wide = platform.wide_place
        self.precedence = platform.small_print.format(
            f"A thread's own choice goes before its channel's, a channel's before its {self._wide}'s."
        )

    @property
    def scopes(self) -> tuple[str, ...]:
        """The narrowest first."""
        return "thread", "channel", self._wide

    def scopes_of(self, here: Sequence[str]) -> dict[str, str]:
        """The places a choice can be made for, by scope."""
        if len(here) == 1:
            return {"channel": here[0]}
        return dict(zip(self.scopes[-len(here) :], here, strict=True))

    def target_of(self, here: Sequence[str], asked: str | None) -> tuple[str, str]:
        """The scope that a choice is made for and its place; without an asked one, the narrowest.

        Raises InvalidInput for a place that is not here.
        """
        found = self.scopes_of(here)
        scope = asked or next(iter(found))
        if scope not in found:
            raise InvalidInput(f"There is no {scope} here; leave the scope out, or use the command inside one.")
        return scope, found[scope]

    def chosen(self, name: str, strength: str = "") -> Blend | None:
        """What was typed as a choice; None leaves it to a wider place. Raises NotFound and InvalidBlend."""
        is_default = name.strip().lower() == DEFAULT and DEFAULT not in self._personas
        return None if is_default else choose(self._personas, name, strength)

    async def bind(self, here: Sequence[str], asked: str | None, chosen: Blend | None, *, is_private: bool) -> str:
        """Let `chosen` answer there, None leaves it to a wider place; what there is to say about it."""
        scope, place = self.target_of(here, asked)
        where = self.where(scope, is_private=is_private)
        spec = await self._bindings.bind(place, None if chosen is None else str(chosen), here=here)
        if chosen is None:
            said = f"{where.capitalize()} makes no choice of its own any more."
        else:
            said = f"**{describe(self._personas, str(chosen))}** answers in {where} from now on."
        if chosen is None or str(chosen) != spec:
            because = f" all the same, because a choice narrower than the {scope}'s goes first"
            said += f" Here, **{describe(self._personas, spec)}** answers{'' if chosen is None else because}."
        return f"{said}\n{self.precedence}"

    def greeter_of(self, chosen: Blend | None) -> Persona | None:
        """Who greets when it is bound: a blend's heaviest persona; nobody for the base model."""
        return None if chosen is None or chosen.is_base else self._personas[chosen.parts[0].slug]

    async def shown(self, here: Sequence[str], *, is_private: bool) -> str:
        """Who answers here, and which place decided it."""
        places = self.scopes_of(here)
        default = self._bindings.default
        chosen = dict(zip(places, await self._bindings.chosen_in(list(places.values())), strict=True))
        decided = next((scope for scope, spec in chosen.items() if spec is not None), None)
        spec = default if decided is None else chosen[decided]
        why = "the bot's default" if decided is None else f"chosen for {self.where(decided, is_private=is_private)}"
        lines = [f"**{describe(self._personas, spec or default)}** answers here: {why}."]
        for scope, choice in chosen.items():
            named = "nothing chosen" if choice is None else f"{describe(self._personas, choice)} (`{choice}`)"
            lines.append(f"- {self.where(scope, is_private=is_private)}: {named}")
        return "\n".join([*lines, f"- default: {describe(self._personas, default)}", self.precedence])

    def where(self, scope: str, *, is_private: bool) -> str:
        """What people call the place."""
        return "our direct messages" if is_private and scope == "channel" else f"this {scope}"

"""The learning loop around a training that takes no time, on a real store, a real registry and real folders.

Training and measuring are made up here; all that the loop itself does is real. A kill is an exception that nothing
catches, before or behind any of its steps.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bot.commands import trainer
from bot.service.storage import open_storage
from core.adapters.content_hash import adapter_content_hash
from core.adapters.registry import Registry
from core.personas import find_persona
from core.settings import load_settings
from core.store import adapter_versions
from core.store.data_rights import forget
from tests.examples.measurements import measured, ones
from tests.examples.persona_folders import write_persona
from tests.examples.store import record_answered, write_adapter
from training.feedback_set import CorrectedReply, FeedbackSet, HeldBack, JudgedReply
from training.retrain import look, retrain
from training.retrain_journal import JournalFile, RetrainingRuns
from training.retrain_parts import Options, Retraining, Work
from training.retrain_report import RetrainReport

VOTES, KEYS = 120, {
    "persona", "base_model", "outcome", "sentence", "counts", "held_back", "overrides", "manifest", "version",
    "content_hash", "gate", "moves",
}  # fmt: skip
STEPS = (
    *(
        (step, "before")
        for step in ("export", "learn", "register", "measure", "ask", "score", "record_gate", "promote")
    ),
    *((step, "after") for step in ("learn", "register", "promote")),
)


class Killed(BaseException):
    """As SIGKILL: nothing in the loop catches it."""


class CannotGoOn(Exception):
    """The checkpoint is of another training."""


@dataclass
class Shop:
    """Zen with a shipped adapter, and people who judged it. `kill` names a step and whether it was done by then."""

    root: Path
    feedback: FeedbackSet = field(init=False)
    kill: tuple[str, str] | None = None
    is_better: bool = True
    is_stale: bool = False
    changes: dict[str, Any] = field(default_factory=dict)
    learned: list[tuple[int, bool]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    now: float = 2e9

    def __post_init__(self) -> None:
        folder = write_persona(self.root / "personas" / "zen")
        shipped = write_adapter(folder / "adapters" / "smollm2", b"shipped")
        (shipped / "lineage.json").write_text('{"method": "sft"}')
        self.settings = load_settings(dir=self.root / "personas", data_dir=self.root / "data")
        self.anchor = adapter_content_hash(shipped)
        ids = asyncio.run(self._ask())
        asked = [({"role": "user", "content": f"What is number {at}?"},) for at in range(VOTES + 2)]
        judged = tuple(
            JudgedReply(one, asked[at], f"Reply {at}.", at % 2 == 0, 1.0) for at, one in enumerate(ids[:VOTES])
        )
        corrected = CorrectedReply(ids[VOTES], asked[VOTES], "It is 471100815.", 5.0)
        held = (HeldBack("cool_down", 3, "[feedback] cool_down_s"),)
        self.feedback = FeedbackSet("zen", "smollm2", judged, (), (corrected,), held, {"sha256": "ab"}, tuple(ids))

    async def _ask(self) -> list[str]:
        async with open_storage(self.settings) as storage, storage.store.write() as session:
            return [await record_answered(session, model="zen") for _ in range(VOTES + 1)]

    def at(self, step: str, when: str) -> None:
        if self.kill == (step, when):
            raise Killed(step)

    async def export(self, _store: Any, moment: float) -> FeedbackSet:
        self.at("export", "before")
        return self.feedback

    def learn(self, persona: Any, settings: Any, feedback: FeedbackSet, *, is_resumed: bool, progress: Any) -> Any:
        self.learned.append((len(feedback.judged), is_resumed))
        self.at("learn", "before")
        if is_resumed and self.is_stale:
            raise CannotGoOn("That checkpoint is of another training.")
        folder = settings.adapters_dir / "zen" / "smollm2" / f"of-{len(feedback.judged)}"
        write_adapter(folder, f"taught by {len(feedback.judged)} votes".encode())
        lineage = {"method": "feedback", "parents": [self.anchor], "seed": 1}
        (folder / "lineage.json").write_text(json.dumps(lineage))
        self.at("learn", "after")
        return _Trained(folder, adapter_content_hash(folder), lineage)

    def measure(self, persona: Any, settings: Any, folder: Path, progress: Any) -> Any:
        self.at("measure", "before")
        content_hash = adapter_content_hash(folder)
        return measured(content_hash, **({} if content_hash == self.anchor else self.changes))

    def ask(self, persona: Any, settings: Any, folder: Path, reasked: Any, progress: Any) -> tuple[int, ...]:
        self.at("ask", "before")
        assert [one.key_words for one in reasked] == [("471100815",)]
        return (0 if adapter_content_hash(folder) == self.anchor else 3,)

    def score(self, persona: Any, settings: Any, folders: Any, votes: Any, progress: Any) -> Any:
        self.at("score", "before")
        likes = {name: 0.0 if name == self.anchor else 1.0 if self.is_better else -1.0 for name in folders}
        return {name: tuple(like if vote.label else -like for vote in votes) for name, like in likes.items()}

    def task(self, **options: Any) -> Retraining:
        persona = find_persona(asyncio.run(self._personas()), "zen")
        given = {"min_feedback": 10, "overrides": {}, "is_forced": False, "by": "ann", "now": self.now} | options
        work = Work(self.export, self.learn, self.measure, self.ask, self.score, (CannotGoOn,))
        return Retraining(
            persona, self.settings, lambda: open_storage(self.settings), work, Options(**given), print, self.told.append
        )

    async def _personas(self) -> Any:
        async with open_storage(self.settings) as storage:
            return dict(storage.personas)

    async def state(self) -> tuple[Any, ...]:
        """Aliases, events, and what every version learned from."""
        async with open_storage(self.settings) as storage, storage.store.read() as session:
            events = await adapter_versions.events(session, "zen", "smollm2")
            return (
                await adapter_versions.aliases(session, "zen", "smollm2"),
                [(event.kind, event.version, event.actor, event.is_forced, event.reason) for event in events],
                await adapter_versions.examples(session, "zen", "smollm2"),
            )

    def journals(self) -> JournalFile:
        return JournalFile(self.settings.data_dir, "zen", "smollm2")


@dataclass(frozen=True)
class _Trained:
    folder: Path
    content_hash: str
    lineage: dict[str, Any]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def state(shop: Shop) -> tuple[Any, ...]:
    return asyncio.run(shop.state())


def test_what_is_better_is_promoted_and_the_log_and_the_card_say_why(shop: Shop) -> None:
    report = retrain(shop.task())
    assert (report.outcome, report.version) == ("promoted", "zen@2")
    assert report.sentence == "zen@2 passed its gate and answers from the next reply on."
    assert report.moves == (
        {"alias": "champion", "from": 1, "to": 2},
        {"alias": "previous", "from": None, "to": 1},
    )
    aliases, events, examples = state(shop)
    assert aliases == {"champion": 2, "previous": 1}
    assert [event[:4] for event in events[-3:]] == [
        ("registered", 2, "trained", False),
        ("gated", 2, "gate", False),
        ("promoted", 2, "ann", False),
    ]
    assert events[-1][4].startswith("It passed its gate. Better than the champion: 100% of held-out votes told apart")
    assert examples == set(shop.feedback.exchange_ids)
    folder = shop.settings.adapters_dir / "zen" / "smollm2" / f"of-{shop.learned[0][0]}"
    assert json.loads((folder / "gate.json").read_text())["passed"] is True
    assert (folder / "gate.png").is_file()
    card = (folder / "CARD.md").read_text()
    assert "It answers: promoted by ann" in card
    assert "Why: It passed its gate. Better than the champion" in card
    assert "- met: Held-out pairs of a liked and a disliked reply told apart: 100.0%, at least 60.0% is asked." in card


def test_where_the_persona_wants_a_rollout_what_is_better_meets_people_step_by_step(shop: Shop) -> None:
    with (shop.root / "personas" / "zen" / "persona.toml").open("a") as file:
        file.write("\n[rollout]\nenabled = true\n")
    report = retrain(shop.task())
    assert (report.outcome, report.is_refused) == ("rollout", False)
    assert report.sentence == "zen@2 passed its gate and meets people step by step; zen@1 answers meanwhile."
    aliases, events, _ = state(shop)
    assert aliases == {"champion": 1, "challenger": 2}
    assert events[-1][:4] == ("rollout", 2, "ann", False)
    assert events[-1][4].startswith("It passed its gate.")
    trainer.watch(shop.settings, is_once=True, make_task=lambda persona, settings: shop.task())
    assert len(shop.learned) == 1  # nothing newer ends what people are deciding


def test_held_out_votes_train_nothing(shop: Shop) -> None:
    report = retrain(shop.task())
    [(trained, _)] = shop.learned
    assert 0 < report.counts["held_out_votes"] < VOTES
    assert trained + report.counts["held_out_votes"] == VOTES


@pytest.mark.parametrize("change", [{"is_better": False}, {"changes": {"facts": ones(0.7)}}])
def test_what_is_not_better_or_forgets_is_refused_and_the_champion_goes_on_answering(
    shop: Shop, change: dict[str, Any]
) -> None:
    shop.__dict__.update(change)
    report = retrain(shop.task())
    assert (report.outcome, report.is_refused) == ("refused", True)
    assert report.sentence == "zen@2 did not pass its gate; zen@1 goes on answering."
    assert report.gate is not None
    assert report.gate["reasons"]
    assert state(shop)[0] == {"champion": 1, "challenger": 2}


def test_force_promotes_what_was_refused_and_is_recorded(shop: Shop) -> None:
    shop.is_better = False
    report = retrain(shop.task(is_forced=True))
    assert (report.outcome, report.overrides) == ("forced", {"force": True})
    _, events, _ = state(shop)
    assert events[-1][:4] == ("promoted", 2, "ann", True)
    assert events[-1][4].endswith("Changed on the command line: force = True.")


def test_a_rollback_takes_it_back(shop: Shop) -> None:
    retrain(shop.task())

    async def roll_back() -> None:
        async with open_storage(shop.settings) as storage:
            await storage.registry.rollback(storage.store, "zen", "smollm2", by="bob", reason="People complain.")

    asyncio.run(roll_back())
    aliases, events, _ = state(shop)
    assert aliases == {"champion": 1}
    assert events[-1] == ("rolled_back", 1, "bob", False, "People complain.")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[RetrainReport, tuple[Any, ...]]:
    """What a retraining gives that nobody kills."""
    shop = Shop(tmp_path_factory.mktemp("undisturbed"))
    return retrain(shop.task()), state(shop)


@pytest.mark.parametrize(("step", "when"), STEPS)
def test_a_retraining_that_is_killed_at_any_step_goes_on_and_gives_the_same(
    shop: Shop,
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: tuple[RetrainReport, tuple[Any, ...]],
    step: str,
    when: str,
) -> None:
    for name in ("register", "record_gate", "promote"):
        monkeypatch.setattr(Registry, name, killable(shop, name, getattr(Registry, name)))
    shop.kill = (step, when)
    with pytest.raises(Killed):
        retrain(shop.task())
    shop.kill, shop.now = None, shop.now + 3600
    report = retrain(shop.task())
    expected, everything = undisturbed
    assert replace(report, content_hash=None).to_dict() == {
        **expected.to_dict(), "content_hash": None, "gate": report.gate
    }  # fmt: skip
    assert (report.content_hash, report.gate) == (expected.content_hash, expected.gate)
    aliases, events, examples = state(shop)
    assert (aliases, events) == everything[:2]
    assert examples == set(shop.feedback.exchange_ids)
    assert len(shop.learned) == (2 if step == "learn" else 1)  # what was trained is not trained again
    assert shop.journals().read() is None


def killable(shop: Shop, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    async def run(*given: Any, **options: Any) -> Any:
        shop.at(name, "before")
        result = await method(*given, **options)
        shop.at(name, "after")
        return result

    return run


def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(shop: Shop) -> None:
    shop.kill = ("learn", "before")
    with pytest.raises(Killed):
        retrain(shop.task())
    shop.kill = None
    retrain(shop.task())
    assert [is_resumed for _, is_resumed in shop.learned] == [False, True]
    assert shop.told == ["Going on with the retraining of zen that was stopped."]


def test_a_checkpoint_of_another_training_is_left_and_the_training_begins_anew(shop: Shop) -> None:
    shop.kill, shop.is_stale = ("learn", "before"), True
    with pytest.raises(Killed):
        retrain(shop.task())
    shop.kill = None
    assert retrain(shop.task()).outcome == "promoted"
    assert [is_resumed for _, is_resumed in shop.learned] == [False, True, False]
    assert shop.told[-1] == "That checkpoint is of another training. The training begins anew."


def test_whoever_is_forgotten_while_it_is_stopped_is_not_in_what_is_learned(shop: Shop) -> None:
    shop.kill = ("learn", "after")
    with pytest.raises(Killed):
        retrain(shop.task())
    shop.kill = None
    shop.feedback = replace(shop.feedback, judged=shop.feedback.judged[1:], exchange_ids=shop.feedback.exchange_ids[1:])
    retrain(shop.task())
    assert shop.told == ["What people said has changed since the retraining was stopped; it begins anew."]
    assert [is_resumed for _, is_resumed in shop.learned] == [False, False]


def test_versions_that_learned_from_a_forgotten_person_are_named(shop: Shop) -> None:
    retrain(shop.task())

    async def erase() -> list[str]:
        async with open_storage(shop.settings) as storage, storage.store.write() as session:
            return (await forget(session, "ann")).versions

    assert asyncio.run(erase()) == ["zen@2"]


def test_the_journal_holds_nothing_that_people_said(shop: Shop) -> None:
    shop.kill = ("measure", "before")
    with pytest.raises(Killed):
        retrain(shop.task())
    written = "".join(path.read_text() for path in (shop.settings.data_dir / "retraining").rglob("*.json"))
    assert "exchange_ids" in written
    assert not any(words in written for words in ("Reply 1", "What is number", "471100815"))


def test_a_champion_that_is_promoted_meanwhile_is_judged_against_in_its_turn(shop: Shop) -> None:
    measure, is_moved = shop.measure, []

    def move_champion(*given: Any) -> Any:
        if not is_moved:
            is_moved.append(True)
            asyncio.run(promote_another())
        return measure(*given)

    async def promote_another() -> None:
        folder = write_adapter(shop.settings.adapters_dir / "zen" / "smollm2" / "other", b"other")
        async with open_storage(shop.settings) as storage:
            other = await storage.registry.register(
                storage.store, persona="zen", base_slug="smollm2", folder=folder, lineage={}
            )
            await storage.registry.promote(storage.store, "zen", "smollm2", other.version, force=True, by="bob")

    shop.measure = move_champion  # type: ignore[method-assign]
    report = retrain(shop.task())
    assert "Another version was promoted meanwhile; the new one is judged against that." in shop.told
    assert report.gate is not None
    other = adapter_content_hash(shop.settings.adapters_dir / "zen" / "smollm2" / "other")
    assert report.gate["champion"] == other


def test_the_same_feedback_again_says_that_its_version_answers_already(shop: Shop) -> None:
    retrain(shop.task())
    report = retrain(shop.task())
    assert (report.outcome, report.moves) == ("unchanged", ())


def test_a_dry_run_says_what_it_would_use_and_changes_nothing(shop: Shop) -> None:
    before = state(shop)
    report = look(shop.task())
    assert (report.outcome, report.counts["usable"], report.counts["held_back"]) == ("dry_run", VOTES + 1, 3)
    assert (state(shop), shop.learned) == (before, [])
    assert not (shop.settings.data_dir / "retraining").exists()


def test_the_report_for_scripts_has_its_keys_whatever_happens(shop: Shop) -> None:
    for report in (look(shop.task()), look(shop.task(min_feedback=500)), retrain(shop.task())):
        value = json.loads(json.dumps(report.to_dict(), allow_nan=False))
        assert set(value) == KEYS
        assert set(value["counts"]) == {
            "usable", "thumbs_up", "thumbs_down", "picks", "better_answers", "held_out_votes", "held_back"
        }  # fmt: skip
        assert value["held_back"] == [{"reason": "cool_down", "count": 3, "setting": "[feedback] cool_down_s"}]
    assert set(value["gate"]) == {"passed", "challenger", "champion", "reasons", "checks", "policy", "overrides"}


def test_a_persona_that_nobody_judged_says_so_in_one_sentence(shop: Shop) -> None:
    shop.feedback = FeedbackSet("zen", "smollm2", (), (), (), (), {}, ())
    for report in (look(shop.task()), retrain(shop.task())):
        assert report.outcome == "nothing"
        assert report.sentence == "Nobody has judged zen on smollm2 yet, so there is nothing to learn from."
    assert shop.learned == []


def test_too_little_feedback_names_how_much_there_is_and_what_would_release_more(shop: Shop) -> None:
    report = retrain(shop.task(min_feedback=200))
    assert report.outcome == "too_little"
    assert report.sentence == (
        "zen has 121 judgements that may train, and 200 are asked for: wait for more, or give --min-feedback 121;"
        " 3 more are held back, most for cool_down (3), which [feedback] cool_down_s would release."
    )
    assert shop.learned == []


def test_two_retrainings_of_one_data_folder_never_run_at_once(shop: Shop) -> None:
    other = JournalFile(shop.settings.data_dir, "codebeard", "smollm2")
    with other.held(), pytest.raises(RetrainingRuns, match="Another process retrains a persona"):
        retrain(shop.task())


def test_a_trainer_retrains_once_for_the_same_feedback_and_again_for_enough_new(shop: Shop) -> None:
    shop.is_better = False
    make = lambda persona, settings: shop.task()  # noqa: E731
    for _ in range(2):
        trainer.watch(shop.settings, is_once=True, make_task=make)
    assert len(shop.learned) == 1
    more = [replace(one, exchange_id=f"new-{at}") for at, one in enumerate(shop.feedback.judged[:9])]
    shop.feedback = replace(shop.feedback, judged=(*shop.feedback.judged, *more))
    trainer.watch(shop.settings, is_once=True, make_task=make)
    assert len(shop.learned) == 1  # nine are fewer than ten


def test_a_persona_whose_retraining_breaks_stops_no_trainer(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def break_down(*given: Any, **options: Any) -> Any:
        raise RuntimeError("no memory")

    shop.learn = break_down  # type: ignore[method-assign]
    trainer.watch(shop.settings, is_once=True, make_task=lambda persona, settings: shop.task())
    assert "zen is not retrained" in caplog.text

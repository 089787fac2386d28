"""What can be typed after `personas`: commands, their arguments and their help. Runs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bot.commands.argument_parts import (
    Parser,
    add_base,
    add_command,
    add_json,
    add_persona,
    add_reason,
    count,
    examples_of,
    version,
)
from bot.commands.blend_arguments import add_blending
from bot.commands.upkeep_arguments import add_upkeep
from core import __version__

RECIPE_OPTIONS: tuple[tuple[str, type, str], ...] = (
    ("epochs", float, "passes over the persona's rows"),
    ("max-steps", int, "optimiser steps at most"),
    ("batch-size", int, "rows in one forward pass"),
    ("accumulation", int, "forward passes per optimiser step"),
    ("max-length", int, "tokens of prompt and reply; longer rows are left out"),
    ("learning-rate", float, "peak of the learning rate"),
    ("r", int, "inner width of the adapter"),
    ("lora-alpha", int, "scale of the adapter, times r"),
    ("lora-dropout", float, "share of inputs dropped in training"),
    ("seed", int, "decides the start, the dropout and the order of rows"),
)


def build_parser() -> Parser:
    """The parser of the whole command line; the chosen command stands in `run` as "module:function"."""
    parser = Parser(
        prog="personas",
        description="Chat with personas: LoRA adapters on one frozen base model.",
        epilog=examples_of("personas serve", "personas chat codebeard", "personas list"),
    )
    parser.add_argument("--version", action="version", version=f"personas {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, title="commands")
    _add_serving(commands)
    _add_looking(commands)
    _add_new(commands)
    _add_versions(commands)
    _add_training(commands)
    add_blending(commands)
    add_upkeep(commands)
    return parser


def _add_serving(commands: Any) -> None:
    serve = add_command(
        commands,
        "serve",
        "serve:serve",
        "serve the playground and the API, with the worker in the same process",
        "personas serve",
        "personas serve --port 8000",
        "personas serve --base Qwen/Qwen3-4B-Instruct-2507",
    )
    serve.add_argument("--host", help="address to listen on (PERSONAS_HOST)")
    serve.add_argument("--port", type=int, help="port to listen on; 0 takes a free one (PERSONAS_PORT)")
    add_base(serve)
    chat = add_command(
        commands,
        "chat",
        "chat:chat",
        "chat in the terminal, without a server",
        "personas chat",
        "personas chat zen",
        "personas chat codebeard:0.7+zen:0.3",
        'echo "what is a mutex" | personas chat noir',
    )
    chat.add_argument("model", nargs="?", metavar="PERSONA|BLEND", help='a persona, a blend or "base"')
    add_base(chat)
    duel = add_command(
        commands,
        "duel",
        "duel:duel",
        "compare two versions of a persona blindly: both answer, you vote, and then learn which is which",
        "personas duel codebeard 2 3",
        "personas duel codebeard 2 3 --standing",
        "personas duel codebeard 2 3 --json",
    )
    add_persona(duel)
    duel.add_argument("one", type=version, metavar="A", help="number of one version")
    duel.add_argument("other", type=version, metavar="B", help="number of the other")
    duel.add_argument("--standing", action="store_true", help="say where the two stand by everybody's votes, and end")
    add_json(duel)
    add_base(duel)


def _add_looking(commands: Any) -> None:
    listing = add_command(
        commands, "list", "listing:list_personas", "list the personas", "personas list", "personas list --json"
    )
    add_json(listing)
    add_base(listing)
    show = add_command(
        commands,
        "show",
        "listing:show_persona",
        "show one persona, or the card of one of its adapter versions: why it answers, or not",
        "personas show codebeard",
        "personas show codebeard@3",
    )
    show.add_argument("persona", metavar="PERSONA[@VERSION]", help="a persona's short name, see `personas list`")
    add_base(show)
    feedback = add_command(
        commands,
        "feedback",
        "feedback:show_feedback",
        "count the thumbs by persona and adapter version",
        "personas feedback",
        "personas feedback --json",
    )
    add_json(feedback)


def _add_new(commands: Any) -> None:
    new = add_command(
        commands,
        "new",
        "new:new",
        "make a persona of your own",
        "personas new ada",
        'personas new ada --name "Ada Lovelace" --description "Exact, curious, a little stern."',
        "personas new seraphina --from Seraphina.png",
    )
    new.add_argument("slug", metavar="SLUG", help="its short name: a-z, 0-9, - and _, 32 characters at most")
    new.add_argument("--name", help="what it is called")
    new.add_argument("--description", metavar="TEXT", help="one line on it, for people who choose whom to talk to")
    new.add_argument(
        "--from",
        dest="card",
        type=Path,
        metavar="CARD",
        help="a SillyTavern character card (spec v1, v2 or v3, PNG or JSON) to take what fits from",
    )


def _add_rollout(commands: Any) -> None:
    rollout = add_command(
        commands,
        "rollout",
        "rollout:run",
        "show where a new version stands on its way to people, and hold or end that",
        "personas rollout codebeard",
        'personas rollout codebeard --abort --reason "it rambles"',
    )
    add_persona(rollout)
    action = rollout.add_mutually_exclusive_group()
    action.add_argument("--pause", dest="action", action="store_const", const="pause", help="decide nothing for now")
    action.add_argument("--resume", dest="action", action="store_const", const="resume", help="go on")
    action.add_argument(
        "--abort", dest="action", action="store_const", const="abort", help="end it; the champion stays"
    )
    add_reason(rollout)
    add_json(rollout)
    add_base(rollout)


def _add_versions(commands: Any) -> None:
    versions = add_command(
        commands,
        "versions",
        "versions:list_versions",
        "list a persona's adapter versions, or what happened to them",
        "personas versions zen",
        "personas versions zen --events",
    )
    add_persona(versions)
    versions.add_argument("--events", action="store_true", help="who promoted what, when and why, the oldest first")
    add_json(versions)
    add_base(versions)
    promote = add_command(
        commands,
        "promote",
        "versions:promote",
        "let an adapter version answer from the next reply on",
        "personas promote zen 2",
        "personas promote zen 2 --force",
    )
    add_persona(promote)
    promote.add_argument("version", type=version, metavar="VERSION", help="number of the version")
    promote.add_argument("--force", action="store_true", help="even without a passed gate; this is recorded")
    add_reason(promote)
    add_base(promote)
    rollback = add_command(
        commands, "rollback", "versions:rollback", "let the previous version answer again", "personas rollback zen"
    )
    add_persona(rollback)
    add_reason(rollback)
    add_base(rollback)
    _add_rollout(commands)


def _add_training(commands: Any) -> None:
    train = add_command(
        commands,
        "train",
        "train:train",
        "train an adapter for a persona on its own rows",
        "personas train codebeard",
        "personas train codebeard --quick",
        "personas train codebeard --resume",
        "personas train zen --epochs 1 --targets all-linear",
        "personas train noir --base Qwen/Qwen3-4B-Instruct-2507 --quantization nf4",
    )
    add_persona(train)
    train.add_argument(
        "--quick",
        action="store_true",
        help="a first voice within minutes: fewer steps, on rows from all over the file, and no measurement afterwards",
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="go on with the training that was stopped, from its last checkpoint; give the same options again",
    )
    train.add_argument(
        "--bundle",
        action="store_true",
        help="for maintainers: ship the adapter in the persona's own folder; it replaces the one there, and answers in"
        " its place at once, without a gate, which is recorded as forced",
    )
    train.add_argument("--targets", choices=("attention", "all-linear"), help="which layers get an adapter")
    train.add_argument("--quantization", choices=("auto", "none", "nf4", "int8"), help="how the base model is stored")
    for name, kind, text in RECIPE_OPTIONS:
        train.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    train.add_argument("--no-evaluation", action="store_true", help="do not measure the adapter after training")
    add_base(train)
    evaluate = add_command(
        commands,
        "evaluate",
        "evaluate:evaluate",
        "measure an adapter version on prompts it never saw, against what is asked of a persona",
        "personas evaluate zen",
        "personas evaluate zen --version 2",
        "personas evaluate zen --json",
    )
    add_persona(evaluate)
    evaluate.add_argument("--version", type=version, metavar="N", help="which version (the one that answers now)")
    add_json(evaluate)
    add_base(evaluate)
    _add_learning(commands)


def _add_learning(commands: Any) -> None:
    retrain = add_command(
        commands,
        "retrain",
        "retrain:run",
        "learn from people's feedback, and promote what is proven better; goes on where it was stopped",
        "personas retrain codebeard --dry-run",
        "personas retrain codebeard",
        "personas retrain zen --min-feedback 20 --no-cool-down",
        "personas retrain zen --json",
    )
    add_persona(retrain)
    retrain.add_argument("--dry-run", action="store_true", help="say what it would learn from, and change nothing")
    retrain.add_argument("--min-feedback", type=count, metavar="N", help="so many judgements are enough")
    retrain.add_argument("--no-cool-down", action="store_true", help="use what was said just now, too")
    retrain.add_argument("--force", action="store_true", help="promote even what fails its gate; this is recorded")
    add_json(retrain)
    add_base(retrain)
    trainer = add_command(
        commands,
        "trainer",
        "trainer:run",
        "retrain every persona as soon as it has enough new feedback, one at a time, until it is stopped",
        "personas trainer",
        "personas trainer --once",
    )
    trainer.add_argument("--once", action="store_true", help="look at every persona once, and end")
    add_base(trainer)

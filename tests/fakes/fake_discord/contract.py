"""Holds requests and the fake's own answers against Discord's OpenAPI description, and collects what differs."""

from __future__ import annotations

import copy
import json
import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

URI = "urn:discord"
JSON = "application/json"
REPOSITORY = Path(__file__).resolve().parents[3]
REASON = "Discord's OpenAPI file is missing: set DISCORD_OPENAPI or put it at ../shared/contracts/discord-openapi.json"


def contract_path() -> Path:
    """Where the description lies: named by DISCORD_OPENAPI, else beside the repository."""
    beside = REPOSITORY.parent / "shared" / "contracts" / "discord-openapi.json"
    return Path(os.environ.get("DISCORD_OPENAPI", beside))


def load_contract() -> Contract | None:
    """None where the description is missing. In CI, where it may not be, raises FileNotFoundError."""
    path = contract_path()
    if path.is_file():
        return Contract(_description(path))
    if os.environ.get("CI") == "true":
        raise FileNotFoundError(REASON)
    return None


@cache
def _description(path: Path) -> Description:
    return Description(json.loads(path.read_text()))


class Description:
    """The parsed file and its compiled validators: shared by all fakes of a test run, each compiled when first used."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.paths: dict[str, Any] = document["paths"]
        # The description gives the codes of wrong fields as numbers; Discord documents and sends words.
        words = copy.deepcopy(document["components"]["schemas"]["Error"])
        words["properties"]["code"] = {"type": ["string", "integer"]}
        document["components"]["schemas"]["FieldError"] = words
        inner = document["components"]["schemas"]["InnerErrors"]
        inner["properties"]["_errors"]["items"] = {"$ref": "#/components/schemas/FieldError"}
        # Of the references it describes replies alone; what is forwarded has one as well, whose type is 1.
        document["components"]["schemas"]["MessageReferenceType"]["oneOf"].append({"title": "FORWARD", "const": 1})
        self._answers = _Bodies(document)
        # discord.py sends some ids as numbers, which Discord takes.
        lenient = copy.deepcopy(document)
        snowflake = {"type": ["string", "integer"], "pattern": "^(0|[1-9][0-9]*)$"}
        lenient["components"]["schemas"]["SnowflakeType"] = snowflake
        self._requests = _Bodies(lenient)

    def bodies(self, *, request: bool) -> _Bodies:
        return self._requests if request else self._answers

    def resolve(self, node: dict[str, Any]) -> tuple[dict[str, Any], str | None]:
        """A response, and where it lies if it is a reference to a shared one."""
        if "$ref" not in node:
            return node, None
        pointer = node["$ref"].removeprefix("#")
        return self._answers.find(pointer), pointer


class _Bodies:
    """Judges bodies by the schemas of a document. Nearly all are valid, which a compiled validator sees at once."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._registry = Registry().with_resource(URI, Resource(contents=document, specification=DRAFT202012))
        self._compiled_registry = jsonschema_rs.Registry([(URI, document)], draft=jsonschema_rs.Draft202012)
        self._compiled: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def find(self, pointer: str) -> dict[str, Any]:
        found: dict[str, Any] = self._registry.resolver().lookup(f"{URI}#{pointer}").contents
        return found

    def is_valid(self, pointer: str, body: Any) -> bool:
        if pointer not in self._compiled:
            self._compiled[pointer] = jsonschema_rs.Draft202012Validator(_at(pointer), registry=self._compiled_registry)
        return self._compiled[pointer].is_valid(body)

    def error(self, pointer: str, body: Any) -> ValidationError | None:
        """What is most wrong with a body; None where nothing is."""
        if self.is_valid(pointer, body):
            return None
        return best_match(Draft202012Validator(_at(pointer), registry=self._registry).iter_errors(body))


def _at(pointer: str) -> dict[str, str]:
    return {"$ref": f"{URI}#{quote(pointer)}"}


class Contract:
    """One fake's findings. `violations` is a list of sentences; `checked` counts bodies, queries and answers."""

    def __init__(self, description: Description) -> None:
        self._description = description
        self.violations: list[str] = []
        self.checked = 0

    def check(self) -> None:
        """Raises AssertionError that lists every violation."""
        if self.violations:
            raise AssertionError(f"{len(self.violations)} violations of the contract:\n" + "\n".join(self.violations))

    def request(self, method: str, route: str, query: dict[str, str], body: Any) -> None:
        operation = self._operation(method, route)
        if operation is None:
            return
        self._query(method, route, operation, query)
        content = operation.get("requestBody", {}).get("content", {})
        if JSON in content and (body is not None or operation["requestBody"].get("required")):
            pointer = f"/paths/{_escape(route)}/{method.lower()}/requestBody/content/{_escape(JSON)}/schema"
            self._validate(pointer, body, f"{method} {route}: request body", request=True)

    def answer(self, method: str, route: str, status: int, body: Any) -> None:
        operation = self._operation(method, route)
        if operation is None:
            return
        responses = operation["responses"]
        key = next((key for key in (str(status), f"{status // 100}XX") if key in responses), None)
        what = f"{method} {route}: answer {status}"
        if key is None:
            if status < 500:
                self.violations.append(f"{what} is not described")
            return
        response, shared = self._description.resolve(responses[key])
        if JSON not in response.get("content", {}):
            if body is not None:
                self.violations.append(f"{what} should be empty")
            return
        pointer = shared or f"/paths/{_escape(route)}/{method.lower()}/responses/{key}"
        self._validate(f"{pointer}/content/{_escape(JSON)}/schema", body, what, request=False)

    def _operation(self, method: str, route: str) -> dict[str, Any] | None:
        return self._description.paths.get(route, {}).get(method.lower())

    def _query(self, method: str, route: str, operation: dict[str, Any], query: dict[str, str]) -> None:
        known = {
            given["name"]: f"/paths/{_escape(route)}/{method.lower()}/parameters/{index}/schema"
            for index, given in enumerate(operation.get("parameters", [])) if given["in"] == "query"
        }  # fmt: skip
        for name, text in query.items():
            what = f"{method} {route}: query {name}={text}"
            if name not in known:
                self.violations.append(f"{what} is not described")
                continue
            readings = [text, *([int(text)] if text.isdigit() else []), *_as_boolean(text)]
            bodies = self._description.bodies(request=True)
            self.checked += 1
            if not any(bodies.is_valid(known[name], reading) for reading in readings):
                self.violations.append(f"{what} is not what is described")

    def _validate(self, pointer: str, body: Any, what: str, request: bool) -> None:
        self.checked += 1
        error = self._description.bodies(request=request).error(pointer, body)
        if error is not None:
            where = "/".join(str(step) for step in error.absolute_path)
            self.violations.append(f"{what}: at /{where}: {error.message[:300]}")


def _as_boolean(text: str) -> list[bool]:
    return [text.lower() in ("1", "true")] if text.lower() in ("0", "1", "true", "false") else []


def _escape(step: str) -> str:
    """One step of a JSON pointer inside a URI fragment."""
    return step.replace("~", "~0").replace("/", "~1")

"""The playground's events, called as Gradio's queue lets anybody call them."""

from __future__ import annotations

import json
import uuid

JSON = {"content-type": "application/json"}  # written by json.dumps, which lets half a pair pass


class Page:
    """One session: calls events by their name, and gives back everything that the server said of each."""

    def __init__(self, http, events):
        self._http = http
        self._events = events
        self._session = uuid.uuid4().hex[:12]

    async def call(self, name, *data, event_data=None):
        """(sentences of its toasts, the last output or None where it failed, everything that was said as text)"""
        body = {"fn_index": self._events[name], "session_hash": self._session, "data": data, "event_data": event_data}
        joined = await self._http.post("/gradio_api/queue/join", content=json.dumps(body), headers=JSON)
        assert joined.status_code == 200, joined.text
        said = (await self._http.get("/gradio_api/queue/data", params={"session_hash": self._session})).text
        messages = [json.loads(line.removeprefix("data: ")) for line in said.splitlines() if line.startswith("data: ")]
        toasts = [message["log"] for message in messages if message["msg"] == "log"]
        end = next(message for message in messages if message["msg"] == "process_completed")
        return toasts, end["output"].get("data") if end["success"] else None, said


async def open_page(http) -> Page:
    dependencies = (await http.get("/config")).json()["dependencies"]
    return Page(http, {event["api_name"]: event["id"] for event in dependencies})

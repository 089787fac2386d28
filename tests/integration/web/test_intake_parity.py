"""What is said of answers leaves the same rows from the playground, the API and the terminal, but for ids."""

from __future__ import annotations

from pathlib import Path

from tests.parity.intake import ApiTalk, PlaygroundTalk, TerminalTalk, converse
from tests.parity.rows import differences
from tests.running.serving import echo_server


async def test_one_conversation_leaves_the_same_rows_wherever_it_is_had(tmp_path: Path):
    found = {}
    async with echo_server(tmp_path / "page") as server, server.http() as http:
        found["playground"] = await converse(await PlaygroundTalk.begin(http), server.service)
    async with echo_server(tmp_path / "api") as server, server.client() as client:
        found["api"] = await converse(ApiTalk(client), server.service)
    async with echo_server(tmp_path / "terminal") as server:
        found["terminal"] = await converse(TerminalTalk(server.service), server.service)

    page = found.pop("playground")
    for where, others in found.items():
        assert list(page) == list(others)
        wrong = [
            f"after {part}: {one}"
            for part, rows in page.items()
            for one in differences(rows, others[part], between=("the page", f"the {where}"))
        ]
        assert not wrong, "\n".join(wrong)

    picked, better, last = page["picked"], page["better"], page["went on"]
    assert [(row["chosen_id"], row["rejected_id"]) for row in picked["preferences"]] == [
        ("exchange 3", "exchange 2"),
        ("exchange 3", "exchange 4"),
    ]
    assert {row["chosen_id"] for row in page["picked another"]["preferences"]} == {"exchange 2"}
    assert [(row["exchange_id"], row["text"]) for row in better["corrections"]] == [("exchange 2", "five, of course")]
    assert last["exchanges"][-1]["prompt"][-2]["content"] == last["exchanges"][1]["reply"]  # it goes on from the pick

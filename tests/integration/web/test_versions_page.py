"""The pages below /versions: what they show, who may see them, and what their buttons may do."""

from __future__ import annotations

import re

import pytest
import pytest_asyncio

from tests.examples.rollout import hear_people, let_people_meet_it, roll_out
from tests.examples.store import write_adapter
from tests.examples.version_history import write_history
from tests.running.serving import LiveServer, echo_server

KEY = "correct horse battery staple"
BUTTONS = ("/versions/zen/promote", "/versions/zen/rollback", "/versions/zen/rollout")
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory):
    async with echo_server(tmp_path_factory.mktemp("server"), api_key=KEY) as server:
        await write_history(server.service, "zen")
        yield server


def http(server: LiveServer, **headers: str):
    return server.http(headers={"authorization": f"Bearer {KEY}", "origin": server.url, **headers})


async def champion(server: LiveServer) -> tuple[int, str, bool, str | None]:
    """Who answers for zen, and by whom, how and why that came about."""
    from core.store import adapter_versions

    async with server.service.store.read() as session:
        answering = await server.service.registry.champion(session, "zen", "smollm2")
        last = (await adapter_versions.events(session, "zen", "smollm2"))[-1]
    assert answering is not None
    return answering.version, last.actor, last.is_forced, last.reason


async def test_nobody_without_the_key_sees_or_moves_anything(server):
    async with server.http() as http:
        for path in ("/versions", "/versions/zen"):
            assert (await http.get(path)).status_code == 401
            page = await http.get(path, headers={"accept": "text/html"})
            assert (page.status_code, page.headers["location"]) == (303, "/login")
        for path in BUTTONS:
            assert (await http.post(path, data={"version": "1"})).status_code == 401


async def test_a_page_from_elsewhere_presses_no_button(server):
    for headers in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
        async with http(server, **headers) as client:
            for path in BUTTONS:
                assert (await client.post(path, data={"version": "1"})).status_code == 403
    assert (await champion(server))[0] == 2


async def test_every_persona_has_a_line_and_every_version_its_verdict_thumbs_and_card(server):
    async with http(server) as client:
        listed, page = (await client.get("/versions")).text, await client.get("/versions/zen")
        unknown = await client.get("/versions/nobody")
    assert 'href="/versions/codebeard"' in listed
    assert "zen@2 answers" in listed
    assert page.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    versions = re.split(r'<article id="version-', page.text)[1:]
    assert [text.partition('"')[0] for text in versions] == ["4", "3", "2", "1"]
    unjudged, failed, answering, first = versions
    assert "It answers: promoted by ann" in answering
    assert "Votes are told apart better: 71 % instead of 58 %." in answering
    assert re.search(r"\d+% liked \(\d+% to \d+%\) by 12 people", answering)
    assert "<svg" in answering
    assert "loss at first and at last: 2.5, 1.25" in answering
    assert "Roll back to zen@1" in answering
    assert "replies with a flaw" in failed
    assert "falls short" in failed
    assert "Promote by force" in failed
    assert "Nobody has judged its replies yet." in unjudged
    assert "Promote by force" in unjudged
    assert "shipped" in first
    assert unknown.status_code == 404


async def test_what_others_wrote_becomes_no_html(server):
    folder = write_adapter(server.service.settings.adapters_dir / "codebeard" / "smollm2" / "x", b"strange")
    strange = "<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://evil.example/y.png)"
    lineage = {"method": strange, "base_model": strange, "blend": [{"adapter": strange}], "metrics": [strange]}
    service = server.service
    await service.registry.register(
        service.store, persona="codebeard", base_slug="smollm2", folder=folder, lineage=lineage
    )
    async with http(server) as client:
        text = (await client.get("/versions/codebeard")).text
    assert "&lt;script&gt;" in text
    for bad in ("<script", "<img", 'href="javascript', "src="):
        assert bad not in text


async def test_buttons_move_the_champion_as_the_registry_allows_and_say_why_not(server):
    async with http(server) as client:
        refused = await client.post("/versions/zen/promote", data={"version": "3", "over": "2"})
        assert refused.status_code == 403
        assert "zen@3 failed its gate, so it is not promoted" in refused.text
        unexplained = await client.post("/versions/zen/promote", data={"version": "3", "over": "2", "force": "1"})
        assert unexplained.status_code == 400
        assert "say in a sentence why it shall answer" in unexplained.text
        stale = await client.post(
            "/versions/zen/promote", data={"version": "3", "over": "1", "force": "1", "reason": "x"}
        )
        assert "Another version than zen@1 answers by now." in stale.text
        for wrong in ("", "x", "-1", "9" * 12):
            assert (await client.post("/versions/zen/promote", data={"version": wrong})).status_code == 400
        assert (await client.post("/versions/zen/promote", data={"version": "99"})).status_code == 404
        assert (await champion(server))[0] == 2

        forced = {"version": "3", "over": "2", "force": "1", "reason": "It rhymes\nbetter."}
        done = await client.post("/versions/zen/promote", data=forced)
        assert (done.status_code, done.headers["location"]) == (303, "/versions/zen?done=promoted")
        assert await champion(server) == (3, "the web page", True, "It rhymes better.")
        assert "It answers from the next reply on." in (await client.get(done.headers["location"])).text

        stale = await client.post("/versions/zen/rollback", data={"version": "1"})
        assert "zen@2 is the previous version by now" in stale.text
        assert (await client.post("/versions/zen/rollback", data={"version": "2"})).status_code == 303
        assert await champion(server) == (2, "the web page", False, None)
        nothing_left = await client.post("/versions/zen/rollback", data={"version": "2"})
        assert nothing_left.status_code == 404
        assert "has no previous version" in nothing_left.text


async def test_a_rollout_is_shown_with_both_versions_figures_and_is_held_resumed_and_ended(server):
    service = server.service
    async with service.store.write() as session:
        await service.registry.record_gate(session, "zen", "smollm2", 4, passed=True, by="gate", reason="It passed.")
    await roll_out(service.store, 4, over=2, shadow_replies=30, canary_share=0.3)
    async with http(server) as client:
        unseen = (await client.get("/versions/zen")).text
        assert "zen@4 answers unseen, 0 of 30 replies so far." in unseen
        assert "step 1 of 2: unseen" in unseen
        await let_people_meet_it(service.registry, service.store)
        await hear_people(service.registry, service.store, {2: 6, 4: 2}, people=8)
        judged = (await client.get("/versions/zen")).text
        assert "step 2 of 2: people judge" in judged
        assert re.search(r"zen@4 answers in 30% of new conversations; about \d+ more thumbs decide\.", judged)
        rows = dict(re.findall(r"<tr><td>(.*?)</td>((?:<td>.*?</td>){2})</tr>", judged))
        assert rows["new conversations"] == "<td>70%</td><td>30%</td>"
        assert rows["share of 👍, 95 %"] == (
            "<td>75% liked (39% to 93%) by 8 people</td><td>25% liked (7% to 61%) by 8 people</td>"
        )

        for wrong in ({}, {"action": "promote", "challenger": "4"}, {"action": "abort"}):
            assert (await client.post("/versions/zen/rollout", data=wrong)).status_code == 400
        stale = await client.post("/versions/zen/rollout", data={"action": "abort", "challenger": "3"})
        assert (stale.status_code, "The rollout of zen@3 is over" in stale.text) == (404, True)

        held = await client.post(
            "/versions/zen/rollout", data={"action": "pause", "challenger": "4", "reason": "A <b>holiday</b>."}
        )
        assert (held.status_code, held.headers["location"]) == (303, "/versions/zen?done=pause")
        paused = (await client.get("/versions/zen")).text
        assert "Last event: the web page paused the rollout: A &lt;b&gt;holiday&lt;/b&gt;." in paused
        assert ('value="resume"' in paused, 'value="pause"' in paused) == (True, False)
        await client.post("/versions/zen/rollout", data={"action": "resume", "challenger": "4"})
        assert 'value="pause"' in (await client.get("/versions/zen")).text
        ended = await client.post("/versions/zen/rollout", data={"action": "abort", "challenger": "4"})
        assert ended.status_code == 303
        assert 'id="rollout"' not in (await client.get("/versions/zen")).text
        again = await client.post("/versions/zen/rollout", data={"action": "abort", "challenger": "4"})
        assert (again.status_code, "No rollout of zen is running" in again.text) == (404, True)
    assert await champion(server) == (2, "the web page", False, "the web page aborted the rollout.")

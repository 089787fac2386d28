from __future__ import annotations

import asyncio

import pytest

from bot.chat.edit_budget import EditBudget
from tests.examples.queue import FrozenClock, until_idle


class Alarm:
    """Sleeps until the test says that time has passed."""

    def __init__(self, clock):
        self.clock = clock
        self.until = []

    async def sleep(self, delay_s):
        if delay_s > 0:
            rung = asyncio.Event()
            self.until.append((self.clock.now + delay_s, rung))
            await rung.wait()

    async def advance(self, delay_s):
        self.clock.now += delay_s
        for due, rung in self.until:
            if due <= self.clock.now:
                rung.set()
        await until_idle()


@pytest.fixture
def alarm():
    return Alarm(FrozenClock())


@pytest.fixture
def line(alarm):
    return Line(EditBudget(2, 5.0, clock=alarm.clock, sleep=alarm.sleep))


class Line:
    """People who wait for a turn; `served` names them in the order in which they got it."""

    def __init__(self, budget):
        self.budget = budget
        self.served = []

    async def join(self, *names, is_final=False):
        tasks = [asyncio.create_task(self._take(name, is_final)) for name in names]
        await until_idle()
        return tasks

    async def _take(self, name, is_final):
        await self.budget.take(is_final=is_final)
        self.served.append(name)


async def test_as_many_as_the_budget_allows_are_served_at_once(line):
    await line.join("ann", "bob", "cid")
    assert line.served == ["ann", "bob"]


async def test_a_turn_comes_free_when_an_earlier_one_is_old_enough(line, alarm):
    await line.join("ann")
    await alarm.advance(3.0)
    await line.join("bob", "cid", "dan")
    await alarm.advance(1.9)
    assert line.served == ["ann", "bob"]
    await alarm.advance(0.1)
    assert line.served == ["ann", "bob", "cid"]
    await alarm.advance(3.0)
    assert line.served == ["ann", "bob", "cid", "dan"]


async def test_turns_are_given_in_the_order_people_came(line, alarm):
    await line.join(*"abcdef")
    for _ in range(2):
        await alarm.advance(5.0)
    assert line.served == list("abcdef")


async def test_final_edits_go_before_those_that_came_earlier(line, alarm):
    await line.join(*"abcd")
    await line.join("final", "other final", is_final=True)
    await alarm.advance(5.0)
    assert line.served == ["a", "b", "final", "other final"]
    await alarm.advance(5.0)
    assert line.served[4:] == ["c", "d"]


async def test_who_goes_away_costs_no_turn(line, alarm):
    tasks = await line.join(*"abcd")
    tasks[2].cancel()
    await alarm.advance(5.0)
    await line.join("e")
    assert line.served == ["a", "b", "d", "e"]


async def test_a_budget_that_rested_is_whole_again(line, alarm):
    await line.join("a", "b")
    await alarm.advance(60.0)
    await line.join("c", "d", "e")
    assert line.served == ["a", "b", "c", "d"]

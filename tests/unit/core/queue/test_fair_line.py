from __future__ import annotations

from core.queue.fair_line import FairLine, Place
from core.queue.jobs import ReplyJob


def job(exchange_id, conversation_id):
    return ReplyJob(exchange_id, conversation_id, messages=())


def take_all(line):
    taken = []
    while line.can_take:
        taken.append(line.take())
    return [taken_job.exchange_id for taken_job in taken]


def fill(*names):
    """A line with these jobs; the letter is the conversation."""
    line = FairLine()
    jobs = {name: job(name, name[0]) for name in names}
    for waiting in jobs.values():
        line.add(waiting)
    return line, jobs


def test_a_conversation_runs_one_job_at_a_time():
    line, jobs = fill("a1", "a2", "b1")
    assert take_all(line) == ["a1", "b1"]
    line.finish(jobs["a1"])
    assert take_all(line) == ["a2"]


def test_a_served_conversation_goes_to_the_back_of_the_line():
    line, jobs = fill("a1", "a2", "b1", "c1")
    assert line.take() is jobs["a1"]
    line.finish(jobs["a1"])
    assert take_all(line) == ["b1", "c1", "a2"]


def test_a_job_put_back_is_first_in_its_conversation_and_at_its_old_turn():
    line, jobs = fill("a1", "a2", "b1", "c1")
    line.take()
    line.take()
    line.put_back(jobs["b1"])
    line.put_back(jobs["a1"])
    assert take_all(line) == ["a1", "b1", "c1"]


def test_a_removed_job_leaves_its_conversations_turn_to_the_next_one():
    line, jobs = fill("a1", "a2", "b1")
    line.remove(jobs["a1"])
    assert take_all(line) == ["a2", "b1"]


def test_a_conversation_whose_last_job_was_removed_is_forgotten():
    line, jobs = fill("a1", "b1")
    line.remove(jobs["a1"])
    assert len(line) == 1
    assert take_all(line) == ["b1"]
    line.finish(jobs["b1"])
    assert not line._conversations


def test_places_equal_the_order_in_which_jobs_are_taken_one_by_one():
    line, _ = fill("a1", "a2", "a3", "b1", "c1", "c2", "d1")
    places = {name: place.ahead for name, place in line.places().items()}
    order = []
    while line.can_take:
        taken = line.take()
        order.append(taken.exchange_id)
        line.finish(taken)
    assert [places[name] for name in order] == list(range(len(order)))


def test_a_job_behind_a_running_one_of_its_own_counts_it_and_lets_the_others_go_first():
    line, _ = fill("a1", "a2", "b1", "b2")
    line.take()
    assert line.places()["a2"] == Place(ahead=1, ahead_in_conversation=1)
    assert line.places()["b1"] == Place(ahead=0, ahead_in_conversation=0)

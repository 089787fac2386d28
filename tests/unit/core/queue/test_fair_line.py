from __future__ import annotations

from core.queue.fair_line import FairLine, Place
from core.queue.jobs import ReplyJob


def job(exchange_id, conversation_id, user_id="somebody"):
    return ReplyJob(exchange_id, conversation_id, messages=(), user_id=user_id)


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


def of_people(**jobs):
    """A line with the jobs of people; the letter of a job is its conversation."""
    line = FairLine()
    added = {name: job(name, name[0], person) for person, names in jobs.items() for name in names.split()}
    for waiting in added.values():
        line.add(waiting)
    return line, added


def take_one_by_one(line):
    """Each job ends before the next is taken."""
    order = []
    while line.can_take:
        taken = line.take()
        order.append(taken.exchange_id)
        line.finish(taken)
    return order


def test_people_take_turns_however_many_conversations_they_have():
    line, _ = of_people(ann="a1 b1 c1 d1", bob="e1", eve="f1 f2")
    assert take_one_by_one(line) == ["a1", "e1", "f1", "b1", "f2", "c1", "d1"]


def test_who_comes_later_waits_for_one_job_of_each_person_not_for_all():
    line, _ = of_people(ann="a1 b1 c1 d1")
    line.take()
    line.add(job("e1", "e", "bob"))
    assert [line.take().exchange_id, line.take().exchange_id] == ["b1", "e1"]


def test_the_conversations_of_one_person_take_turns():
    line, _ = of_people(ann="a1 a2 b1 b2")
    assert take_one_by_one(line) == ["a1", "b1", "a2", "b2"]


def test_a_conversation_of_two_people_stays_in_order():
    line, jobs = of_people(ann="a1", bob="a2")
    assert line.take() is jobs["a1"]
    assert not line.can_take
    line.finish(jobs["a1"])
    assert line.take() is jobs["a2"]


def test_a_job_put_back_gives_its_person_the_old_turn_again():
    line, jobs = of_people(ann="a1 b1", bob="c1")
    line.take()
    line.put_back(jobs["a1"])
    assert take_one_by_one(line) == ["a1", "c1", "b1"]


def test_places_of_people_equal_the_order_in_which_their_jobs_are_taken():
    line, _ = of_people(ann="a1 b1 c1 a2", bob="e1 e2", eve="f1")
    places = {name: place.ahead for name, place in line.places().items()}
    order = take_one_by_one(line)
    assert [places[name] for name in order] == list(range(len(order)))


def test_nothing_is_kept_of_people_who_wait_for_nothing():
    line, jobs = of_people(ann="a1 b1", bob="c1")
    line.remove(jobs["c1"])
    assert line.waiting_of("bob") == 0
    assert line.waiting_of("ann") == 2
    take_one_by_one(line)
    assert not line._people
    assert not line._conversations
    assert not line._ready

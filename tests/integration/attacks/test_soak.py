"""After many requests, of which some are stopped or left, nothing of them is held. `make soak` sends 10,000."""

from __future__ import annotations

from tests.running.soak import soak


async def test_memory_descriptors_tasks_slots_and_places_in_the_queue_come_back(tmp_path):
    (before, after), ends = await soak(tmp_path, parts=(16, 40))
    assert ends.total() == 56
    assert before.is_idle and after.is_idle  # connections, replies, adapters in use
    assert after.descriptors <= before.descriptors + 8  # the database opens its readers when they are wanted
    assert after.tasks <= before.tasks + 8  # some end just now
    assert after.memory_mib < before.memory_mib + 40
    whole = {"whole 200", "streamed 200", "stopped: cancelled", "refused 400"}
    left = {"left while streamed", "left while waiting", "left amid the body"}
    assert whole | left <= set(ends) <= whole | left | {"stopped: stop", "stopped: length"}

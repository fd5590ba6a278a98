"""The queue against a model of it, and the promises that workers rely on."""

import asyncio
import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from embedding_operator.kube.workqueue import QueueShutDown, WorkQueue

from .timeless import TimelessLoop

KEYS = st.sampled_from("abcde")


def run(coroutine):
    loop = TimelessLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def take(queue):
    """A key if one is ready, else None."""
    getter = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    if getter.done():
        return getter.result()
    getter.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await getter
    return None


class QueueMachine(RuleBasedStateMachine):
    """Does anything in any order, and compares with lists and sets that do the same plainly."""

    def __init__(self):
        super().__init__()
        self.loop = TimelessLoop()
        self.queue = WorkQueue(base_delay=1, max_delay=16, random_source=lambda: 0.0)
        self.waiting, self.dirty, self.busy = [], set(), set()
        self.due, self.failures, self.sequence = {}, {}, 0

    def teardown(self):
        self.loop.close()

    def run(self, function, *args):
        async def call():
            return function(*args)

        return self.loop.run_until_complete(call())

    def model_add(self, key):
        if key not in self.dirty:
            self.dirty.add(key)
            if key not in self.busy:
                self.waiting.append(key)

    def model_add_after(self, key, delay):
        due = self.loop.now + delay
        if key not in self.due or due < self.due[key][0]:
            self.sequence += 1
            self.due[key] = (due, self.sequence)

    @rule(key=KEYS)
    def add(self, key):
        self.run(self.queue.add, key)
        self.model_add(key)

    @rule(key=KEYS, delay=st.integers(1, 20))
    def add_after(self, key, delay):
        self.run(self.queue.add_after, key, delay)
        self.model_add_after(key, delay)

    @rule(key=KEYS, delay=st.integers(-2, 0))
    def add_now(self, key, delay):
        self.run(self.queue.add_after, key, delay)
        self.model_add(key)

    @rule(key=KEYS, at_least=st.sampled_from([0, 0, 5]))
    def fail(self, key, at_least):
        count = self.failures.get(key, 0)
        expected = max(min(2**count, 16), at_least)
        delay = self.run(lambda: self.queue.add_rate_limited(key, at_least=at_least))
        assert delay == expected
        self.failures[key] = count + 1
        self.model_add_after(key, expected)

    @rule(key=KEYS)
    def forget(self, key):
        self.queue.forget(key)
        self.failures.pop(key, None)

    @rule()
    def get(self):
        key = self.loop.run_until_complete(take(self.queue))
        expected = self.waiting.pop(0) if self.waiting else None
        assert key == expected
        if key is not None:
            self.dirty.discard(key)
            self.busy.add(key)

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def done(self, data):
        key = data.draw(st.sampled_from(sorted(self.busy)))
        self.run(self.queue.done, key)
        self.busy.discard(key)
        if key in self.dirty:
            self.waiting.append(key)

    @rule(seconds=st.integers(1, 30), late=st.booleans())
    def pass_time(self, seconds, late):
        if late:  # something else kept the event loop busy, and all timers come at once
            self.loop.now += seconds
            seconds = 0.1
        self.loop.run_until_complete(asyncio.sleep(seconds))
        ready = sorted((due, key) for key, due in self.due.items() if due[0] <= self.loop.now)
        for _, key in ready:
            del self.due[key]
            self.model_add(key)

    @invariant()
    def same_as_the_model(self):
        assert len(self.queue) == len(self.waiting)
        assert self.queue.delayed == len(self.due)
        assert self.queue.processing == len(self.busy)
        assert all(self.queue.failures(key) == self.failures.get(key, 0) for key in "abcde")


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)


@settings(max_examples=60, deadline=None)
@given(
    adds=st.lists(st.tuples(st.integers(0, 20), KEYS), min_size=1, max_size=40),
    work=st.lists(st.integers(0, 5), min_size=1, max_size=10),
    workers=st.integers(1, 4),
)
def test_no_news_is_lost_and_no_key_has_two_workers(adds, work, workers):
    """Each add is followed by a reconcile that begins after it; never two at once for a key."""

    async def scenario():
        loop = asyncio.get_running_loop()
        queue = WorkQueue()
        added, begun, busy, ticks = {}, {}, set(), iter(range(10**6))
        efforts = iter(work * 100)

        async def worker():
            with contextlib.suppress(QueueShutDown):
                while True:
                    key = await queue.get()
                    assert key not in busy
                    busy.add(key)
                    begun[key] = next(ticks)
                    await asyncio.sleep(next(efforts))
                    busy.discard(key)
                    queue.done(key)

        tasks = [asyncio.create_task(worker()) for _ in range(workers)]
        for at, key in sorted(adds):
            await asyncio.sleep(at - loop.time())
            added[key] = next(ticks)
            queue.add(key)
        await queue.drained()
        queue.shut_down()
        await asyncio.gather(*tasks)
        assert all(begun[key] > tick for key, tick in added.items())
        assert not busy

    run(scenario())


def test_backoff_doubles_up_to_its_limit_and_forget_starts_over():
    async def scenario():
        queue = WorkQueue(random_source=lambda: 0.0)
        delays = [queue.add_rate_limited("a") for _ in range(2000)]
        assert delays[:4] == [0.05, 0.1, 0.2, 0.4]
        assert max(delays) == delays[-1] == 300.0
        queue.forget("a")
        assert queue.add_rate_limited("a") == 0.05

    run(scenario())


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 30))
def test_jitter_only_shortens_the_wait_and_never_much(chance, failures):
    async def scenario():
        queue = WorkQueue(random_source=lambda: chance)
        for _ in range(failures):
            queue.add_rate_limited("a")
        longest = min(0.05 * 2**failures, 300.0)
        assert 0.8 * longest <= queue.add_rate_limited("a") <= longest

    run(scenario())


def test_many_earlier_delays_do_not_grow_the_heap():
    async def scenario():
        queue = WorkQueue()
        for delay in range(10_000, 0, -1):
            queue.add_after("a", delay)
        assert queue.delayed == 1
        assert len(queue._heap) < 100
        await asyncio.sleep(1)
        assert await queue.get() == "a"
        assert queue.delayed == 0

    run(scenario())


def test_a_delay_that_was_overtaken_does_not_come_true_later():
    """The key's first delay lies behind another key's when the event loop wakes up late for both."""

    async def scenario():
        queue, loop = WorkQueue(), asyncio.get_running_loop()
        for key, delay in (("a", 10), ("a", 1), ("b", 3)):
            queue.add_after(key, delay)
        await asyncio.sleep(2)
        assert await take(queue) == "a"
        queue.done("a")
        queue.add_after("a", 40)
        loop.now += 12
        await asyncio.sleep(0.1)
        assert await take(queue) == "b"
        assert await take(queue) is None

    run(scenario())


def test_a_worker_that_is_cancelled_while_being_woken_passes_the_wake_up_on():
    async def scenario():
        queue = WorkQueue()
        first, second = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
        await asyncio.sleep(0)
        queue.add("a")  # wakes the first
        first.cancel()
        assert await second == "a"
        assert first.cancelled()

    run(scenario())


async def test_what_is_dropped_is_not_handed_out_unless_it_is_added_again() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("a", "b", "c"):
        queue.add(key)
    assert await queue.get() == "a"
    queue.add("a")  # while it is worked on
    queue.drop(["a", "b", "nobody"])
    assert queue.waiting() == ["c"]
    queue.add("b")
    assert [await queue.get(), await queue.get()] == ["c", "b"]
    for key in ("a", "b", "c"):
        queue.done(key)
    assert await queue.get() == "a"
    queue.done("a")
    queue.add("d")
    queue.drop(["d"])
    await queue.drained()

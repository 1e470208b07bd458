#!/usr/bin/env python3
"""demos/producer_consumer prints what the same program prints in Python's own asyncio.

    same_as_in_python_test.py PRODUCER_CONSUMER

Here asyncio runs in virtual time too: its selector never waits, but moves the clock. What asyncio leaves open, the order
of equal deadlines, is made the order in which they were set.
"""

import asyncio
import contextlib
import io
import math
import random
import selectors
import sys

from virtual_time import expect_output


class VirtualClock(selectors.DefaultSelector):
    now = 0.0

    def select(self, timeout=None):
        if timeout is None or timeout > 0:
            assert timeout is not None, "nothing can ever happen any more"
            self.now = math.ceil(self.now + timeout)
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.clock = VirtualClock()
        self.timers_set = 0
        super().__init__(self.clock)

    def time(self):
        return self.clock.now

    def call_at(self, when, callback, *args, context=None):
        # All pauses are whole seconds. Each timer comes a little before its second, and behind those set earlier; the
        # clock stops at whole seconds only, so that all of one second come in one turn.
        self.timers_set += 1
        return super().call_at(when - 0.1 + self.timers_set * 1e-6, callback, *args, context=context)


def tell(line):
    print(f"{asyncio.get_running_loop().time():6.2f}  {line}")


async def pause(who):
    seconds = random.randint(0, 10)
    tell(f"{who} sleeps for {seconds} seconds")
    await asyncio.sleep(seconds)


async def produce(number, queue):
    for i in range(random.randint(0, 10)):
        await pause(f"Producer {number}")
        await queue.put((f"{number}.{i}", asyncio.get_running_loop().time()))
        tell(f"Producer {number} added <{number}.{i}> to the queue")


async def consume(number, queue):
    while True:
        await pause(f"Consumer {number}")
        name, put_in = await queue.get()
        waited = asyncio.get_running_loop().time() - put_in
        tell(f"Consumer {number} got element <{name}> after {waited:.2f} seconds")
        queue.task_done()


async def run(producer_count, consumer_count):
    queue = asyncio.Queue()
    producers = [asyncio.create_task(produce(i, queue)) for i in range(producer_count)]
    consumers = [asyncio.create_task(consume(i, queue)) for i in range(consumer_count)]
    await asyncio.gather(*producers)
    tell(f"the producers are done; {queue.qsize()} in the queue")
    await queue.join()
    tell("every item is done: the consumers are cancelled")
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    now = asyncio.get_running_loop().time()
    print(f"Program completed in {now:.2f} seconds; {queue.qsize()} items are left in the queue.")


def told_in_python(producer_count, consumer_count):
    random.seed(444)
    loop = VirtualLoop()
    with contextlib.redirect_stdout(io.StringIO()) as told:
        loop.run_until_complete(run(producer_count, consumer_count))
    loop.close()
    return told.getvalue()


def main():
    for producers, consumers in ((5, 10), (1, 1), (3, 1), (1, 3), (7, 2), (30, 40), (100, 100)):
        expect_output(told_in_python(producers, consumers), sys.argv[1], "-p", str(producers), "-c", str(consumers),
                      "--kernel", "simulated")


if __name__ == "__main__":
    main()

"""loop_asyncio.py COUNT ADDRESS [uvloop]: so many connections at once through asyncio, or uvloop if
asked for; says how many were answered, how often the loop ticked meanwhile, and its longest gap in
milliseconds."""

import asyncio
import sys
import time

if sys.argv[3:] == ["uvloop"]:
    import uvloop

    uvloop.install()


async def ask(address):
    reader, writer = await asyncio.open_connection(address, 80)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return b"hello" in answer


async def main(count, address):
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    answers = await asyncio.gather(*map(ask, [address] * count))
    ticking.cancel()
    gap = max(after - before for before, after in zip(ticks, ticks[1:]))
    print(f"{sum(answers)} {len(ticks)} {gap * 1000:.1f}")


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

"""loop_asyncio.py COUNT ADDRESS PORT [uvloop]: so many connections at once through asyncio, or uvloop if
asked for. Says how many were answered, how often the loop ticked meanwhile, its longest gap and how
long all took, in milliseconds."""

import asyncio
import sys
import time

if sys.argv[4:] == ["uvloop"]:
    import uvloop

    uvloop.install()


async def ask(address, port):
    reader, writer = await asyncio.open_connection(address, port)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return b"hello" in answer


async def main(count, address, port):
    ticks = []

    async def tick():
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.001)

    ticking = asyncio.create_task(tick())
    answers = await asyncio.gather(*(ask(address, port) for _ in range(count)))
    ticking.cancel()
    gap = max(after - before for before, after in zip(ticks, ticks[1:]))
    total = time.monotonic() - ticks[0]
    print(f"{sum(answers)} {len(ticks)} {gap * 1000:.1f} {total * 1000:.1f}")


asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))

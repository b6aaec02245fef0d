"""Opens N connections at once in one event loop; prints how many fetched the greeting."""

import asyncio
import sys


async def fetch(number):
    reader, writer = await asyncio.open_connection(f"n{number}.wild.test", 80)
    writer.write(b"GET / HTTP/1.0\r\n\r\n")
    reply = await reader.read()
    writer.close()
    await writer.wait_closed()
    return reply.endswith(b"\r\n\r\nhello from the world\n")


async def main(count):
    whole = await asyncio.gather(*map(fetch, range(count)))
    print(f"{sum(whole)} of {count}")


asyncio.run(main(int(sys.argv[1])))

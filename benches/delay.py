#!/usr/bin/env python3
"""A proxy that gives on each byte 10 ms later, in both directions.

    benches/delay.py HOST PORT TARGET      from one port of HOST to another one
"""
import asyncio
import sys

DELAY = 0.01
CHUNK = 1 << 20


async def pump(reader, writer):
    loop, queue = asyncio.get_running_loop(), asyncio.Queue()

    async def late():
        while (item := await queue.get()) is not None:
            at, data = item
            await asyncio.sleep(max(0, at - loop.time()))
            writer.write(data)
            await writer.drain()
        writer.close()

    task = asyncio.create_task(late())
    try:
        while data := await reader.read(CHUNK):
            await queue.put((loop.time() + DELAY, data))
    except OSError:
        pass
    await queue.put(None)
    await task


async def main():
    host, port, target = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

    async def one(reader, writer):
        there, back = await asyncio.open_connection(host, target, limit=CHUNK)
        await asyncio.gather(pump(reader, back), pump(there, writer), return_exceptions=True)

    server = await asyncio.start_server(one, host, port, limit=CHUNK)
    await server.serve_forever()


asyncio.run(main())

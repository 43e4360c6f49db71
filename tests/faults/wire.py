"""HTTP/1.1 for clients that misbehave: a connection is used as long as it lasts, and nothing is ever sent twice."""

import asyncio
import json

HEAD_MAX = 64 * 1024


class Lost(Exception):
    """The connection ended before the answer did. `since` is when it was opened."""

    def __init__(self, since):
        super().__init__("lost")
        self.since = since


class Wire:
    def __init__(self, port, token):
        self.port, self.token = port, token
        self.reader = self.writer = None
        self.since = 0.0
        self.status, self.headers, self.last_event = 0, {}, None

    def close(self):
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None

    async def request(self, verb, headers, body=b""):
        """The messages of the answer as they come. `status` and `headers` are there from the first one on."""
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        try:
            if self.writer is None:
                self.since = asked_at
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024 * 1024)
            all_headers = {
                "host": f"127.0.0.1:{self.port}",
                "authorization": f"Bearer {self.token}",
                "accept": "application/json, text/event-stream",
                "content-type": "application/json",
                "content-length": str(len(body)),
            } | headers
            head = "".join(f"{name}: {value}\r\n" for name, value in all_headers.items())
            self.writer.write(f"{verb} /mcp HTTP/1.1\r\n{head}\r\n".encode() + body)
            await self.writer.drain()
            await self.head()
            if "event-stream" in self.headers.get("content-type", ""):
                async for message in self.events():
                    yield message
            else:
                whole = b"".join([part async for part in self.parts()])
                if whole:
                    yield json.loads(whole)
        except (OSError, EOFError, ValueError) as error:
            self.close()
            raise Lost(self.since) from error
        except BaseException:
            # Left in the middle, it cannot be used again.
            self.close()
            raise
        if self.headers.get("connection") == "close":
            self.close()

    async def head(self):
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}

    async def parts(self):
        """The body, in pieces."""
        if self.headers.get("transfer-encoding") == "chunked":
            while True:
                size = int(await self.reader.readuntil(b"\r\n"), 16)
                part = await self.reader.readexactly(size + 2)
                if not size:
                    return
                yield part[:-2]
        length = int(self.headers.get("content-length", 0))
        if length:
            yield await self.reader.readexactly(length)

    async def events(self):
        text = ""
        async for part in self.parts():
            text += part.decode()
            while "\n\n" in text:
                event, _, text = text.partition("\n\n")
                fields = [line.partition(":")[::2] for line in event.split("\n")]
                self.last_event = next((value.strip() for name, value in fields if name == "id"), self.last_event)
                data = "\n".join(value.strip() for name, value in fields if name == "data")
                if data:
                    yield json.loads(data)

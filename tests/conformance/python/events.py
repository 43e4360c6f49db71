"""Events kept for a client that comes back: one list, the newest thousand."""

from collections import deque

from mcp.server.streamable_http import EventMessage, EventStore


class Replay(EventStore):
    def __init__(self):
        self.events = deque(maxlen=1000)
        self.count = 0

    async def store_event(self, stream_id, message):
        self.count += 1
        event_id = f"event-{self.count}"
        self.events.append((event_id, stream_id, message))
        return event_id

    async def replay_events_after(self, last_event_id, send_callback):
        ids = [event_id for event_id, _, _ in self.events]
        if last_event_id not in ids:
            return None
        later = list(self.events)[ids.index(last_event_id) :]
        stream = later[0][1]
        for event_id, stream_id, message in later[1:]:
            if stream_id == stream and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream

"""Clients of either era, over stdio, HTTP and HTTP+SSE, that answer what they are asked as an exchange's script says."""

import base64
import http.client
import json
import queue
import subprocess
import threading

LEGACY, MODERN = "2025-11-25", "2026-07-28"
META = "io.modelcontextprotocol/"
INFO = {"name": "parity", "version": "1"}
CAPABILITIES = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}
# What a client of an older revision can declare.
OLDER = {"2025-06-18": {"elicitation": {}, "sampling": {}, "roots": {}}}
OLDEST = {"sampling": {}, "roots": {}}
SECONDS = 30
ROUNDS_MAX = 12
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def header(value):
    """A header cannot carry all that a name can."""
    is_plain = value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?base64?")
    return value if is_plain else f"=?base64?{base64.b64encode(value.encode()).decode()}?="


class Heard:
    """What a client got of one exchange."""

    def __init__(self, script):
        self.script, self.answer = list(script), None
        self.notifications, self.questions = [], []

    def asked(self, question):
        """Notes a question and gives the answer: the next of the script for its method."""
        self.questions.append({"method": question["method"], "params": question.get("params", {})})
        for at, step in enumerate(self.script):
            if step["to"] == question["method"]:
                return self.script.pop(at)["say"]
        return {"action": "cancel"}


class Http:
    def __init__(self, address, token):
        self.host, self.port = address.split("//")[1].split("/")[0].split(":")
        self.token, self.connection = token, None

    def post(self, message, headers, token=None):
        """Messages that come back, one by one; a status other than 200 is one, too, if it has no body of JSON-RPC."""
        for attempt in (0, 1):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(self.host, int(self.port), timeout=SECONDS)
            plain = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
            plain["authorization"] = "Bearer " + (token or self.token)
            try:
                self.connection.request("POST", "/mcp", json.dumps(message), plain | headers)
                reply = self.connection.getresponse()
                break
            except (ConnectionError, http.client.HTTPException):
                self.connection = None
                if attempt:
                    raise
        self.headers = reply.headers
        if "event-stream" in reply.headers.get("content-type", ""):
            data = []
            while line := reply.readline():
                line = line.decode().rstrip("\r\n")
                if line.startswith("data:"):
                    data.append(line[5:].lstrip())
                elif not line and any(data):
                    yield json.loads("\n".join(data))
                    data = []
            return
        body = reply.read()
        if body:
            yield json.loads(body)
        elif reply.status != 202:
            yield {"status": reply.status}


class Pipe:
    def __init__(self, command):
        self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines, self.lock = queue.Queue(), threading.Lock()
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.child.stdout:
            self.lines.put(json.loads(line))

    def send(self, message, _token=None):
        with self.lock:
            self.child.stdin.write(json.dumps(message) + "\n")
            self.child.stdin.flush()

    def receive(self):
        return self.lines.get(timeout=SECONDS)

    def close(self):
        self.child.stdin.close()
        self.child.wait(timeout=SECONDS)


class Sse:
    """HTTP+SSE, the transport of 2024-11-05: one stream of all that comes, and a place to post to that its first event names."""

    def __init__(self, address, token):
        self.host, self.port = address.split("//")[1].split("/")[0].split(":")
        self.token, self.messages, self.place = token, queue.Queue(), queue.Queue()
        stream = http.client.HTTPConnection(self.host, int(self.port))
        stream.request("GET", "/sse", headers={"accept": "text/event-stream", "authorization": f"Bearer {token}"})
        reply = stream.getresponse()
        if reply.status != 200:
            raise ConnectionError(f"/sse: {reply.status} {reply.read()}")
        threading.Thread(target=self.read, args=(stream, reply), daemon=True).start()
        self.target = self.place.get(timeout=SECONDS)

    def read(self, stream, reply):
        kind, data = "message", []
        # The connection belongs to whoever reads it.
        while stream and (line := reply.readline()):
            line = line.decode().rstrip("\r\n")
            if line.startswith("event:"):
                kind = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].lstrip())
            elif not line and data:
                said, kind, data = (kind, "\n".join(data)), "message", []
                (self.place.put if said[0] == "endpoint" else lambda text: self.messages.put(json.loads(text)))(said[1])

    def send(self, message, token=None):
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=SECONDS)
        headers = {"content-type": "application/json", "authorization": "Bearer " + (token or self.token)}
        connection.request("POST", self.target, json.dumps(message), headers)
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        if reply.status != 202:
            self.messages.put(json.loads(body) if body else {"status": reply.status})

    def receive(self):
        return self.messages.get(timeout=SECONDS)


class Client:
    def __init__(self, era, wire, revision=LEGACY, hear=lambda _came, _asked: None):
        """`hear` gets every message that comes, with the request it came for."""
        self.era, self.wire, self.last, self.hear = era, wire, 0, hear
        self.session = {}
        if era == "legacy":
            declared = CAPABILITIES if revision == LEGACY else OLDER.get(revision, OLDEST)
            opening = {"protocolVersion": revision, "capabilities": declared, "clientInfo": INFO}
            self.converse({"jsonrpc": "2.0", "id": self.next(), "method": "initialize", "params": opening}, Heard([]), {})
            if isinstance(wire, Http):
                self.session = {"mcp-session-id": wire.headers["mcp-session-id"], "mcp-protocol-version": revision}
            self.tell({"jsonrpc": "2.0", "method": "notifications/initialized"})
            self.exchange({"method": "logging/setLevel", "params": {"level": "info"}})

    def next(self):
        self.last += 1
        return self.last

    def exchange(self, asked):
        """One exchange with all its rounds."""
        heard = Heard(asked.get("answers", []))
        params = dict(asked.get("params", {}))
        if asked.get("progress"):
            params["_meta"] = {"progressToken": "p"}
        for _ in range(ROUNDS_MAX):
            self.round(asked, params, heard)
            result = heard.answer.get("result", {})
            if self.era == "legacy" or result.get("resultType") != "input_required":
                return heard
            given = {key: heard.asked(question) for key, question in result.get("inputRequests", {}).items()}
            params = params | {"inputResponses": given, "requestState": result["requestState"]}
        return heard

    def round(self, asked, params, heard):
        headers = dict(self.session)
        if self.era == "modern":
            method = asked["method"]
            own = {META + "protocolVersion": MODERN, META + "clientInfo": INFO, META + "clientCapabilities": CAPABILITIES}
            params = params | {"_meta": params.get("_meta", {}) | own | {META + "logLevel": "info"}}
            headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
            if method in NAMED:
                headers["mcp-name"] = header(params[NAMED[method]])
        message = {"jsonrpc": "2.0", "id": self.next(), "method": asked["method"], "params": params}
        heard.answer = self.converse(message, heard, headers, asked.get("token"))

    def converse(self, message, heard, headers, token=None):
        if isinstance(self.wire, Http):
            answer = None
            # Read to its end, so that the connection can be used again.
            for came in self.wire.post(message, headers, token):
                answer = self.judge(came, message, heard) or answer
            return answer
        self.wire.send(message, token)
        while True:
            answer = self.judge(self.wire.receive(), message, heard)
            if answer is not None:
                return answer

    def judge(self, came, message, heard):
        self.hear(came, message)
        if "method" not in came:
            return came if came.get("id", message["id"]) == message["id"] else None
        if "id" not in came:
            heard.notifications.append(came)
            return None
        self.tell({"jsonrpc": "2.0", "id": came["id"], "result": heard.asked(came)})
        return None

    def tell(self, message):
        if isinstance(self.wire, Http):
            # Beside the stream that is being read.
            aside = Http(f"http://{self.wire.host}:{self.wire.port}/", self.wire.token)
            list(aside.post(message, self.session))
            aside.connection.close()
        else:
            self.wire.send(message)

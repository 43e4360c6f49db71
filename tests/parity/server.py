#!/usr/bin/env python3
"""A server that does the same in either era, over stdio, HTTP or HTTP+SSE: `server.py legacy|modern stdio|http|sse
[REVISION] [TRANSCRIPT]`. The fault run has its own
tools and faults on it (`tests/faults/upstream.py`).

A tool that asks is a generator of rounds. To a legacy client each question is a request of its own; for a modern one the state
of the round holds the answers so far, and the tool is played up to where it was."""

import base64
import json
import os
import queue
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LEGACY, MODERN = "2025-11-25", "2026-07-28"
META = "io.modelcontextprotocol/"
CAPABILITIES = {"tools": {}, "prompts": {}, "resources": {}, "completions": {}, "logging": {}}
FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


class Failed(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


class Cut(Exception):
    """The connection ends here, after these bytes."""

    def __init__(self, said=b""):
        super().__init__("cut")
        self.said = said


def elicit(message="Who are you? Write to ada@example.com"):
    return {"method": "elicitation/create", "params": {"message": message, "requestedSchema": FORM}}


def elicit_url():
    return {"method": "elicitation/create", "params": {"mode": "url", "message": "Open it", "url": "https://example.com/x"}}


def sample():
    text = {"type": "text", "text": "Ask ada@example.com"}
    return {"method": "sampling/createMessage", "params": {"messages": [{"role": "user", "content": text}], "maxTokens": 5}}


def roots():
    return {"method": "roots/list", "params": {}}


def text(value, **more):
    return {"content": [{"type": "text", "text": value if isinstance(value, str) else json.dumps(value)}], **more}


def echo(arguments, _say):
    return text(arguments, structuredContent={"got": arguments})
    yield


def danger(arguments, _say):
    return text("done: " + json.dumps(arguments))
    yield


def broken(arguments, _say):
    return text("it broke for " + arguments.get("who", "nobody"), isError=True)
    yield


def error(arguments, _say):
    raise Failed(arguments.get("code", -32603), arguments.get("message", "no"), arguments.get("data"))
    yield


def notify(arguments, say):
    for step in range(arguments.get("steps", 2)):
        say("notifications/progress", {"progress": step + 1, "total": 9, "message": f"step {step} for ada@example.com"})
    for line in arguments.get("lines", []):
        say("notifications/message", {"level": "warning", "logger": "fixture", "data": line})
    return text("told")
    yield


def ask(arguments, _say):
    said = yield {"who": elicit(arguments.get("message", elicit()["params"]["message"]))}
    return text({"said": said["who"]})


def ask_link(_arguments, _say):
    said = yield {"link": elicit_url()}
    return text({"said": said["link"]})


def ask_twice(_arguments, _say):
    first = yield {"one": elicit("first")}
    second = yield {"two": elicit("second")}
    return text({"first": first["one"], "second": second["two"]})


def ask_model(_arguments, _say):
    said = yield {"model": sample()}
    return text({"said": said["model"]})


def ask_roots(_arguments, _say):
    said = yield {"roots": roots()}
    return text({"said": said["roots"]})


def ask_all(_arguments, _say):
    said = yield {"a": elicit("all"), "b": sample(), "c": roots()}
    return text({"said": [said["a"], said["b"], said["c"]]})


TOOLS = {f.__name__: f for f in [echo, danger, broken, error, notify, ask, ask_link, ask_twice, ask_model, ask_roots, ask_all]}


def call(params, say):
    if params.get("name") not in TOOLS:
        raise Failed(-32602, "unknown tool")
    return (yield from TOOLS[params["name"]](params.get("arguments", {}), say))


def prompt(params, _say):
    if params["name"] == "interview":
        said = yield {"who": elicit("for the prompt")}
        return {"messages": [{"role": "user", "content": {"type": "text", "text": json.dumps(said["who"])}}]}
    words = json.dumps(params.get("arguments", {}))
    return {"description": "to ada@example.com", "messages": [{"role": "user", "content": {"type": "text", "text": words}}]}


class Server:
    def __init__(self, era, revision=LEGACY, transcript=None):
        self.era, self.revision = era, revision
        self.transcript = open(transcript, "a", buffering=1) if transcript else None

    def note(self, message, answers=None):
        """What came, and the method of the question it answers."""
        if self.transcript:
            self.transcript.write(json.dumps({"answers": answers, "message": message}) + "\n")

    def answer(self, message, say, ask):
        """The result of a request. `ask` puts a legacy round's questions and waits."""
        method, params = message["method"], message.get("params", {})
        if method == "initialize" and self.era == "legacy":
            info = {"name": "parity", "version": "1"}
            return {"protocolVersion": self.revision, "capabilities": CAPABILITIES, "serverInfo": info}
        if method == "server/discover" and self.era == "modern":
            about = {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, "ttlMs": 0, "cacheScope": "private"}
            return about | {"resultType": "complete", "_meta": {META + "serverInfo": {"name": "parity", "version": "1"}}}
        if self.era == "modern" and params.get("_meta", {}).get(META + "protocolVersion") != MODERN:
            raise Failed(-32602, "not modern")
        run = {"tools/call": call, "prompts/get": prompt}.get(method)
        result = self.rounds(run, params, say, ask) if run else self.plain(method, params)
        if self.era == "modern":
            result.setdefault("resultType", "complete")
            if method.endswith("/list") or method == "resources/read":
                result |= {"ttlMs": 0, "cacheScope": "private"}
        return result

    def plain(self, method, params):
        if method == "tools/list":
            return {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in TOOLS]}
        if method == "prompts/list":
            return {"prompts": [{"name": "greet"}, {"name": "interview"}]}
        if method == "resources/list":
            return {"resources": [{"uri": "test://one", "name": "one"}]}
        if method == "resources/templates/list":
            return {"resourceTemplates": [{"uriTemplate": "test://r/{n}", "name": "r"}]}
        if method == "resources/read":
            uri = params["uri"]
            if uri.endswith("missing"):
                code = -32602 if self.era == "modern" else -32002
                raise Failed(code, "no such resource of ada@example.com", {"uri": uri})
            return {"contents": [{"uri": uri, "text": f"{uri} of ada@example.com"}]}
        if method == "completion/complete":
            return {"completion": {"values": [params["argument"]["value"] + "!"]}}
        if method in ("ping", "logging/setLevel"):
            return {}
        raise Failed(-32601, "method not found")

    def rounds(self, run, params, say, ask):
        state = json.loads(base64.b64decode(params["requestState"])) if "requestState" in params else []
        quiet = (lambda *_: None) if state else say
        steps = run(params, quiet)
        try:
            asked = next(steps)
            for said in state:
                asked = steps.send(said)
            if self.era == "legacy":
                while True:
                    asked = steps.send(ask(asked))
            given = params.get("inputResponses", {}) if "requestState" in params else {}
            if all(key in given for key in asked):
                state = state + [{key: given[key] for key in asked}]
                asked = steps.send(state[-1])
        except StopIteration as done:
            return done.value
        sealed = base64.b64encode(json.dumps(state).encode()).decode()
        return {"resultType": "input_required", "inputRequests": asked, "requestState": sealed}

    def session(self):
        """The id of a new session."""
        return "parity"

    def turned_away(self, _message, _headers):
        """Over HTTP: the status, and maybe an answer, instead of looking at the message."""
        return None

    def handle(self, message, send, ask_one):
        token = message.get("params", {}).get("_meta", {}).get("progressToken")

        def say(method, params):
            if method == "notifications/progress":
                if token is None:
                    return
                params = {"progressToken": token} | params
            send({"jsonrpc": "2.0", "method": method, "params": params})

        def ask(questions):
            waiting = {key: ask_one(question) for key, question in questions.items()}
            answers = {key: place.get(timeout=60) for key, place in waiting.items()}
            return {key: answer.get("result", {"error": answer.get("error", {}).get("code")}) for key, answer in answers.items()}

        try:
            return {"jsonrpc": "2.0", "id": message["id"], "result": self.answer(message, say, ask)}
        except Failed as failed:
            return {"jsonrpc": "2.0", "id": message["id"], "error": failed.body}


class Asking:
    """Questions of ours that wait for their answers."""

    def __init__(self, note):
        self.lock, self.last, self.places, self.note = threading.Lock(), 0, {}, note

    def put(self, send):
        def ask_one(question):
            place = queue.Queue()
            with self.lock:
                self.last += 1
                self.places[self.last] = place, question["method"]
                mine = self.last
            send({"jsonrpc": "2.0", "id": mine} | question)
            return place

        return ask_one

    def take(self, answer):
        with self.lock:
            place, method = self.places.pop(answer.get("id"), (None, None))
        self.note(answer, method)
        if place:
            place.put(answer)


def stdio(server):
    lock, asking = threading.Lock(), Asking(server.note)

    def send(message):
        with lock:
            sys.stdout.write(json.dumps(message) + "\n")
            sys.stdout.flush()

    def answer(message):
        try:
            send(server.handle(message, send, asking.put(send)))
        except Cut as cut:
            with lock:
                os.write(1, cut.said)
                os._exit(1)

    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            asking.take(message)
            continue
        server.note(message)
        if "id" in message:
            threading.Thread(target=answer, args=(message,), daemon=True).start()


def http(server, port=0):
    asking = Asking(server.note)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def empty(self, status):
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_GET(self):
            self.empty(405)

        def do_DELETE(self):
            self.empty(200)

        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            away = server.turned_away(message, self.headers)
            if away:
                return self.whole(*away) if away[1] else self.empty(away[0])
            if "method" not in message:
                asking.take(message)
                return self.empty(202)
            server.note(message)
            if "id" not in message:
                return self.empty(202)
            begun = []

            def send(said):
                if not begun:
                    begun.append(True)
                    self.send_response(200)
                    self.send_header("content-type", "text/event-stream")
                    self.send_header("connection", "close")
                    self.close_connection = True
                    self.end_headers()
                self.wfile.write(b"data: " + json.dumps(said).encode() + b"\n\n")
                self.wfile.flush()

            try:
                answer = server.handle(message, send, asking.put(send))
            except Cut as cut:
                self.close_connection = True
                if cut.said and not begun:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n")
                return self.wfile.write(cut.said)
            if begun:
                return send(answer)
            is_unknown = server.era == "modern" and answer.get("error", {}).get("code") == -32601
            session = {"mcp-session-id": server.session()} if message["method"] == "initialize" else {}
            self.whole(404 if is_unknown else 200, answer, session)

        def whole(self, status, answer, headers=None):
            body = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in ({"content-type": "application/json", "content-length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    class Listening(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *_):
            """A peer that has gone is no news."""

    listening = Listening(("127.0.0.1", port), Handler)
    print(listening.server_port, flush=True)
    listening.serve_forever()


def sse(server):
    """HTTP+SSE: all that is said goes into the stream of its session."""
    asking, streams = Asking(server.note), {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_):
            pass

        def do_GET(self):
            said = queue.Queue()
            streams[str(len(streams))] = said
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            self.close_connection = True
            self.wfile.write(f"event: endpoint\ndata: /messages?sessionId={len(streams) - 1}\n\n".encode())
            while (message := said.get()) is not None:
                # Bytes are what a server says that dies over it.
                self.wfile.write(message if isinstance(message, bytes) else b"event: message\ndata: " + json.dumps(message).encode() + b"\n\n")

        def do_POST(self):
            message = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = streams[self.path.split("sessionId=")[1]]
            self.send_response(202)
            self.send_header("content-length", "0")
            self.end_headers()
            if "method" not in message:
                return asking.take(message)
            server.note(message)
            if "id" in message:
                threading.Thread(target=self.answer, args=(message, said), daemon=True).start()

        @staticmethod
        def answer(message, said):
            try:
                said.put(server.handle(message, said.put, asking.put(said.put)))
            except Cut as cut:
                said.put(cut.said)
                said.put(None)

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    print(listening.server_port, flush=True)
    listening.serve_forever()


if __name__ == "__main__":
    {"stdio": stdio, "http": http, "sse": sse}[sys.argv[2]](Server(sys.argv[1], *sys.argv[3:]))

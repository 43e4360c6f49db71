"""What everybody does, in order, what they see of each other, and what is written down of it."""

import contextlib
import json
import re
import secrets
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass

import clients
from person import FORBIDDEN, Person, Refused

RANKS = ("reader", "operator", "admin")
# As in sluice.toml.
TICKETS = 3
# So many that to search among them takes a while.
FILES = 6000
UNKNOWN, TOO_MANY = -32602, 4290
# Of no form that redact knows: nothing but arguments that are not written down keeps it out of a log.
CANARY = f"canary{secrets.token_hex(8)}"


@dataclass
class Result:
    """One check, with the plugins that answer for it."""

    name: str
    by: set
    is_good: bool


def expected(readme):
    """The table there: what each rank sees, with TENANT for the caller's own."""
    sees = {rank: set() for rank in RANKS}
    for row in readme.read_text().splitlines():
        server, _, *cells = [cell.strip() for cell in row.strip("|").split("|")] if row.count("|") == 6 else ["", ""]
        for at, cell in enumerate(cells):
            for rank in RANKS[at:]:
                sees[rank] |= {f"{server}_{tool}" for tool in re.findall(r"`([^`]+)`", cell)}
    return sees


def check(is_so, what):
    if not is_so:
        raise AssertionError(what)


async def refused(code, call):
    try:
        said = await call
    except Refused as error:
        check(error.code == code, f"refused with {error}, not {code}")
        return
    raise AssertionError(f"answered: {said}")


class Story:
    def __init__(self, place, is_quiet):
        self.place, self.is_quiet = place, is_quiet
        self.results, self.typescript_calls = [], []
        self.sees = expected(place.home / "README.md")
        self.people = {name: Person(name, who["org"], who["roles"][0], place.url) for name, who in place.people.items()}
        # He asks for all that there is, whatever his client was told to ask for.
        self.people["rene"].asks_for = "mcp mcp:write mcp:admin"

    async def run(self):
        ada, otto, rosa, gil, olga, rene = self.people.values()
        async with contextlib.AsyncExitStack() as all_of_them:
            for person in self.people.values():
                await self.attempt(f"{person} comes with nothing", set(), self.from_nothing(person, all_of_them))
                answerable = {"rbac", *(["read-only"] if person.role == "admin" else []), *(["pin"] if person is ada else [])}
                await self.attempt(f"{person} lists", answerable, self.lists(person))
                await self.attempt(f"{person} reads", set(), self.reads(person))
            for person in (ada, otto, gil):
                await self.attempt(f"{person} writes: 403, more scope, written", set(), self.writes(person))
            for person in (ada, gil):
                await self.attempt(f"{person} deletes: 403, more scope, gone", set(), self.deletes(person))
            await self.attempt(f"{olga} writes, and her provider gives her no more", set(), self.in_vain(olga))
            for person in self.people.values():
                await self.attempt(f"{person} calls what is not shown", {"rbac"}, self.hidden(person))
            await self.attempt(f"{rene} writes with every scope there is", {"rbac"}, self.scope_alone(rene))
            await self.attempt(f"{rosa} says that globex's folder is her root", {"rbac"}, self.roots(rosa))
            await self.attempt(f"{ada} writes into the handbook", {"read-only"}, self.handbook(ada))
            await self.attempt(f"{ada} calls what acme has not approved, {gil} does, too", {"pin"}, self.pins(ada, gil))
            await self.attempt("acme's tickets are used up", {"rate-limit"}, self.limit([otto, ada]))
            await self.attempt("globex's are not", set(), self.other_limit(gil))
            await self.attempt("whose address the desk's list shows", {"redact"}, self.addresses())
            await self.attempt("what nobody sees in the handbook", {"guard"}, self.unseen(rosa))
            await self.attempt("gil with another client, of the other era", set(), self.typescript(gil))
            await self.attempt("a session in other hands", set(), self.session(gil, ada))
        await self.attempt("what rosa would see, asked beforehand", {"rbac"}, self.beforehand(rosa))
        await self.attempt("every call is in the audit log", set(), self.audited())
        await self.attempt("nothing that was said is written down", set(), self.unwritten())
        return self.results

    async def attempt(self, name, by, doing):
        try:
            said, is_good = await doing, True
        except Exception as error:  # a failure says what was wrong and does not stop the others
            said, is_good = repr(error), False
        if not self.is_quiet:
            print(f"  {'ok    ' if is_good else 'FAILED'}  {name}: {said}", flush=True)
        self.results.append(Result(name, by, is_good))

    async def from_nothing(self, person, all_of_them):
        await person.come(all_of_them)
        news = person.news()
        check([kind for kind, _ in news] == [401, "metadata", "metadata", "registered", "authorize", "token"], news)
        (_, challenge), *_, (_, asked), (_, token) = news
        place = self.place.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp")
        check(f'resource_metadata="{place}"' in challenge, challenge)
        check(asked == "mcp", asked)
        return f"401, metadata of both, a token for {token}"

    def shown(self, person):
        own = {tool.replace("TENANT", person.tenant) for tool in self.sees[person.role]}
        return own if person.tenant == "globex" else own - {"desk_export_tickets"}

    async def lists(self, person):
        tools = await person.tools()
        missing, beyond = self.shown(person) - tools, tools - self.shown(person)
        check(not missing and not beyond, f"missing {sorted(missing)}, beyond {sorted(beyond)}")
        return f"{len(tools)} tools, as the README has them"

    async def reads(self, person):
        said = await person.call(f"{person.tenant}-files_read_text_file", path="notes.md")
        check(said == (self.place.home / "data" / person.tenant / "notes.md").read_text(), said)
        check("Europe/Berlin" in await person.call("clock_get_current_time", timezone="Europe/Berlin"), "no time")
        return said.strip()

    async def hidden(self, person):
        """What the other tenant has, what no role has, and what the next role has."""
        other = next(someone.tenant for someone in self.people.values() if someone.tenant != person.tenant)
        tools = [f"{other}-files_read_text_file", f"{other}-memory_read_graph", "lab_get-env"]
        tools += sorted(self.shown(self.like(person, "admin")) - self.shown(person))
        tools += [f"{other}-files_write_file", "desk_close_ticket"] if person.role == "reader" else []
        person.news()
        for tool in tools:
            await refused(UNKNOWN, person.call(tool))
        news = person.news()
        check(not news, news)
        return f"{len(tools)} tools are unknown, whatever scope it has, and none is asked for"

    def like(self, person, role):
        return Person(person.name, person.tenant, role, person.url)

    async def writes(self, person):
        file = self.place.home / "data" / person.tenant / f"{person.name}.md"
        person.news()
        await person.call(f"{person.tenant}-files_write_file", path=file.name, content=CANARY)
        check(file.read_text() == CANARY, file.read_text())
        return self.stepped_up(person, "mcp mcp:write")

    async def deletes(self, person):
        memory = f"{person.tenant}-memory"
        entity = {"name": CANARY, "entityType": "test", "observations": []}
        await person.call(f"{memory}_create_entities", entities=[entity])
        check(CANARY in await person.call(f"{memory}_read_graph"), "the control: it is there")
        person.news()
        await person.call(f"{memory}_delete_entities", entityNames=[CANARY])
        check(CANARY not in await person.call(f"{memory}_read_graph"), "it is there still")
        return self.stepped_up(person, "mcp mcp:write mcp:admin")

    def stepped_up(self, person, scope):
        news = person.news()
        check([kind for kind, _ in news] == [403, "authorize", "token"], news)
        challenge, asked, token = (what for _, what in news)
        check('error="insufficient_scope"' in challenge, challenge)
        check(set(asked.split()) == set(token.split()) == set(scope.split()), f"asked for {asked}, has {token}")
        return f"403, then a token for {token}"

    async def in_vain(self, person):
        tool = f"{person.tenant}-files_write_file"
        person.news()
        await refused(FORBIDDEN, person.call(tool, path=f"{person.name}.md", content=CANARY))
        news = person.news()
        check([kind for kind, _ in news] == [403, "authorize", "token", 403], news)
        check(news[2][1] == "mcp", news[2])
        check(not (self.place.home / "data" / person.tenant / f"{person.name}.md").exists(), "it is written")
        return "403, a token for mcp again, 403; nothing is written"

    async def scope_alone(self, person):
        scope = person.kept["tokens"].scope
        check(set(scope.split()) == set(person.asks_for.split()), f"the control: his token is for {scope}")
        await refused(UNKNOWN, person.call(f"{person.tenant}-files_write_file", path=f"{person.name}.md", content=CANARY))
        await refused(UNKNOWN, person.call("lab_echo", message=CANARY))
        return f"a token for {scope}, and the tools are unknown"

    async def roots(self, person):
        """A server hears of roots once it is started, so her first call is one that takes long enough to be asked in."""
        data = self.place.home / "data"
        for at in range(FILES):
            (data / person.tenant / "many" / str(at % 40)).mkdir(parents=True, exist_ok=True)
            (data / person.tenant / "many" / str(at % 40) / str(at)).touch()
        slow = {"name": f"{person.tenant}-files_search_files", "arguments": {"path": str(data / person.tenant), "pattern": "**/none*"}}
        first = self.ask(person, slow)
        if first["resultType"] == "input_required":
            answers = {key: {"roots": [{"uri": (data / "globex").as_uri()}]} for key in first["inputRequests"]}
            self.ask(person, {**slow, "inputResponses": answers, "requestState": first["requestState"]})
        theirs = self.ask(person, {"name": f"{person.tenant}-files_read_text_file", "arguments": {"path": str(data / "globex" / "notes.md")}})
        check(theirs.get("isError"), f"reads {theirs}")
        check(first["resultType"] == "complete", f"was asked: {first}")
        return "nobody asks her, and the folder stays another's"

    def ask(self, person, params):
        """A call by a client of the modern era that has roots."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": clients.MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "x", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": {"roots": {}},
        }
        headers = {"MCP-Protocol-Version": clients.MODERN, "Mcp-Method": "tools/call", "Mcp-Name": params["name"]}
        status, _, body = self.post(person.token, "tools/call", {**params, "_meta": meta}, headers)
        result = json.loads(body)["result"]
        person.calls.append((params["name"], "asked" if result["resultType"] == "input_required" else "answered"))
        check(status == 200, f"{status}")
        return result

    async def handbook(self, person):
        await refused(UNKNOWN, person.call("handbook_write_file", path="more.md", content=CANARY))
        return "unknown, also to an admin"

    async def pins(self, acme, globex):
        await globex.call("desk_export_tickets", url="https://globex.example")
        await refused(UNKNOWN, acme.call("desk_export_tickets", url="https://acme.example"))
        return f"answered to {globex}, unknown to {acme}"

    async def limit(self, people):
        for at in range(TICKETS):
            person = people[at % len(people)]
            await person.call("desk_open_ticket", title=CANARY, contact=f"{person.name}@acme.example")
        for person in people:
            await refused(TOO_MANY, person.call("desk_open_ticket", title=CANARY, contact=f"{person.name}@acme.example"))
        return f"{TICKETS} by two people, and then none by either"

    async def other_limit(self, person):
        await person.call("desk_open_ticket", title=CANARY, contact="gil@globex.example")
        return "opened"

    async def addresses(self):
        seen = {}
        for name in ("otto", "ada", "rosa", "gil", "rene"):
            listed = await self.people[name].call("desk_list_tickets")
            seen[name] = set(re.findall(r"\w+@\w+\.example", listed)), len(set(re.findall(r"\[email:\w+\]", listed)))
        own = {name: set() if name in ("rosa", "rene") else {f"{name}@{self.people[name].tenant}.example"} for name in seen}
        check({name: addresses for name, (addresses, _) in seen.items()} == own, seen)
        # Three opened tickets, and each has a token of their own for each address.
        check({name: tokens for name, (_, tokens) in seen.items()} == {"otto": 2, "ada": 2, "rosa": 3, "gil": 2, "rene": 3}, seen)
        return "to each their own, and tokens for the others'"

    async def unseen(self, person):
        there = (self.place.home / "data" / "handbook" / "travel.md").read_text()
        said = await person.call("handbook_read_text_file", path="travel.md")
        check(self.place.unseen in there, "the control: it is in the file")
        check(said == there.replace(self.place.unseen, ""), ascii(said))
        return f"{said.strip()}"

    async def typescript(self, person):
        """From nothing again, with the SDK's own OAuth."""
        read, write = (f"{person.tenant}-files_{tool}" for tool in ("read_text_file", "write_file"))
        wanted = {read: {"path": "notes.md"}, write: {"path": "ts.md", "content": CANARY}}
        told = json.dumps({"url": person.url, "calls": wanted, "person": person.name})
        done = subprocess.run(
            ["node", clients.HERE / "clients" / "typescript_oauth.mjs", told],
            cwd=self.place.npm,
            capture_output=True,
            text=True,
            timeout=clients.CLIENT_SECONDS,
        )
        check(done.returncode == 0, f"the client failed:\n{done.stderr[-3000:]}")
        report = json.loads(done.stdout.strip().splitlines()[-1])
        kinds = [next(iter(step)) for step in report["steps"]]
        check(kinds == ["status", "authorize", "called", "status", "authorize", "called"], report["steps"])
        check([step["status"] for step in report["steps"] if "status" in step] == [401, 403], report["steps"])
        check((self.place.home / "data" / person.tenant / "ts.md").read_text() == CANARY, "nothing is written")
        self.typescript_calls = [(person.name, *call) for call in ((read, "answered"), (write, "refused"), (write, "answered"))]
        return f"{report['sdk']}: 401, token, call, 403, token, call"

    async def session(self, owner, other):
        params = {"protocolVersion": clients.LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "0"}}
        status, headers, _ = self.post(owner.token, "initialize", params)
        check(status == 200, f"the control: {status}")
        session = {"Mcp-Session-Id": headers["Mcp-Session-Id"], "MCP-Protocol-Version": clients.LEGACY}
        check(self.post(owner.token, "ping", {}, session)[0] == 200, "the control: it is its owner's")
        status, *_ = self.post(other.token, "ping", {}, session)
        check(status == 404, f"{other} hears {status}")
        return f"{owner}'s session: 404 for {other}"

    def post(self, token, method, params, more=None):
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.place.url, body, headers | (more or {})), timeout=30) as response:
                return response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read()

    async def beforehand(self, person):
        """`sluice access` has no token to look at, only words; it says what she saw when she came."""
        words = ["--as", person.name, "--tenant", person.tenant, "--role", person.role, "--authority", "auth-jwt"]
        said = self.place.run("access", *words)
        tools = set(re.findall(r"^  sees +(\S+)", said.partition("\nprompts")[0], re.MULTILINE))
        check(tools == self.shown(person), f"of {person}: {sorted(tools ^ self.shown(person))}")
        return f"the {len(tools)} tools that {person} lists"

    async def audited(self):
        """Each call once, with who called, of which tenant, and how it ended; and those that were answered with what every filter said."""
        lines = [json.loads(line) for line in self.place.audit.read_text().splitlines()]
        calls = [line for line in lines if line.get("method") == "tools/call"]
        made = Counter((person.name, *call) for person in self.people.values() for call in person.calls)
        made += Counter(self.typescript_calls)
        written = Counter((line["principal"], line["name"], line["outcome"]) for line in calls)
        check(written == made, f"written and not made {written - made}, made and not written {made - written}")
        for line in calls:
            who = self.people[line["principal"]]
            check(line["tenant"] == who.tenant and line["authority"] == "auth-jwt", line)
            if line["outcome"] == "answered":
                judges = [verdict["plugin"] for verdict in line["verdicts"]]
                check(judges[0] == "auth-jwt" and line["upstream"] in line["name"], line)
        ends = Counter(line["outcome"] for line in calls)
        return f"{len(calls)} calls: {', '.join(f'{count} {end}' for end, count in sorted(ends.items()))}"

    async def unwritten(self):
        written = self.place.log.read_text(errors="replace") + self.place.audit.read_text(errors="replace")
        check("desk_open_ticket" in written, "the control: there is something to look in")
        secret = [CANARY, self.place.salt, "@acme.example", "@globex.example"]
        secret += [part for person in self.people.values() for part in person.token.split(".")]
        for text in secret:
            check(text not in written, f"{text} is written down")
        return f"{len(secret)} texts in {len(written)} bytes of log and audit"

"""The conformance fixture on the official Python SDK: every tool, resource and prompt that the official suite
calls, in both eras, over Streamable HTTP.

`server.py [PORT]` listens on loopback and prints its URL on one line; port 0 takes a free one.
"""

import asyncio
import hashlib
import hmac
import json
import socket
import sys
import warnings
from pathlib import Path

import mcp_types as types
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError, MCPDeprecationWarning
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from events import Replay

warnings.simplefilter("ignore", MCPDeprecationWarning)

FIXTURE = json.loads((Path(__file__).parent.parent / "fixture.json").read_text())
TOOLS = {tool["name"]: tool for tool in FIXTURE["tools"]}
KEY = b"a key of the fixture, not a secret"
PAUSE = 0.05
MOST_ROUNDS = 10
INVALID_PARAMS = -32602
MISSING_CAPABILITY = -32021
OF_METHOD = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
ANSWER = {
    "elicitation/create": types.ElicitResult,
    "sampling/createMessage": types.CreateMessageResult,
    "roots/list": types.ListRootsResult,
}

bus = InMemorySubscriptionBus()


def text(answer):
    return types.CallToolResult(content=[types.TextContent(type="text", text=answer)])


def declared(ctx):
    """The names of the capabilities that this request's client declared."""
    capabilities = ctx.session.client_capabilities
    return set(capabilities.model_dump(exclude_none=True)) if capabilities else set()


# Multi-round requests: a call is answered with questions until every answer is there.


def seal(name, current):
    plain = f"{name} {current}"
    return f"{plain} {hmac.new(KEY, plain.encode(), hashlib.sha256).hexdigest()}"


def opened(name, state):
    """The round that a sealed state stands for. A state that was changed, or made for another tool, is refused."""
    current = state.split(" ")[1] if state.count(" ") == 2 else ""
    if not current.isdigit() or not hmac.compare_digest(seal(name, current).encode(), state.encode()):
        raise MCPError(INVALID_PARAMS, "requestState failed its integrity check")
    return int(current)


def fits(question, answer):
    """Whether an answer has the shape that its question asks for."""
    answer = answer.model_dump(by_alias=True) if hasattr(answer, "model_dump") else answer
    if not isinstance(answer, dict):
        return False
    if question["method"] == "elicitation/create":
        return answer.get("action") == "accept" and isinstance(answer.get("content"), dict)
    if question["method"] == "sampling/createMessage":
        return bool(answer.get("role")) and bool(answer.get("content"))
    return isinstance(answer.get("roots"), list)


def turn(name, params, able):
    """The next questions for `name`, or its last word as text."""
    script = FIXTURE["rounds"][name]

    def askable(questions):
        return {key: question for key, question in questions.items() if OF_METHOD[question["method"]] in able}

    stateful = script.get("state", False)
    current = opened(name, params.request_state) if stateful and params.request_state else 0
    responses = params.input_responses
    if responses is not None:
        asked = askable(script["rounds"][current])
        current += all(fits(question, responses.get(key)) for key, question in asked.items())
    if current == len(script["rounds"]):
        return script["done"]
    questions = askable(script["rounds"][current])
    if not questions:
        needed = {OF_METHOD[question["method"]]: {} for question in script["rounds"][current].values()}
        raise missing(needed)
    result = {"resultType": "input_required", "inputRequests": questions}
    if stateful:
        result["requestState"] = seal(name, current)
    return types.InputRequiredResult.model_validate(result)


def conversing(handler):
    """Takes one turn with a modern client, which comes back with its answers. A legacy client gives them during the
    call, so all turns are taken in it: as many as a modern client would take before it gave up. One more question is an
    error of the SDK. Answers that came with a legacy call do not count: that era has no such thing, and a proxy must not
    get by with it.
    """

    async def answer(ctx, params):
        if ctx.session.protocol_version in MODERN_PROTOCOL_VERSIONS:
            return await handler(ctx, params)
        said = {"input_responses": None, "request_state": None}
        for _ in range(MOST_ROUNDS):
            result = await handler(ctx, params.model_copy(update=said))
            if not isinstance(result, types.InputRequiredResult):
                return result
            answers = await asyncio.gather(*(ask(ctx, question) for question in result.input_requests.values()))
            said = {"input_responses": dict(zip(result.input_requests, answers)), "request_state": result.request_state}
        return await handler(ctx, params.model_copy(update=said))

    return answer


async def ask(ctx, question):
    """A legacy client's answer, or `None` when it is not of the question's kind."""
    # `list_roots` of the session cannot name the call it belongs to, so all three go out this way.
    call = ServerMessageMetadata(related_request_id=ctx.request_id)
    try:
        return await ctx.session.send_request(question, ANSWER[question.method], metadata=call)
    except ValidationError:
        return None


def one_question(method, asked, params, tell):
    """Asks one question and tells what the answer is: a refusal is one too."""
    answer = (params.input_responses or {}).get("answer")
    if isinstance(answer, ANSWER[method]):
        return text(tell(answer))
    return types.InputRequiredResult(input_requests={"answer": {"method": method, "params": asked}})


def missing(needed):
    return MCPError(MISSING_CAPABILITY, "Missing required client capability", {"requiredCapabilities": needed})


# Tools that say something before their result.


async def log(ctx, *messages):
    for message in messages:
        await ctx.session.send_log_message("info", message, related_request_id=ctx.request_id)
        await asyncio.sleep(PAUSE)


async def tool_with_logging(ctx, params):
    await log(ctx, "Tool execution started", "Tool processing data", "Tool execution completed")
    return text("Three messages were logged.")


async def logging_tool(ctx, params):
    await log(ctx, "The tool ran")
    return text("Done.")


async def tool_with_progress(ctx, params):
    for step in (0, 50, 100):
        await ctx.session.report_progress(step, 100)
        await asyncio.sleep(PAUSE)
    return text("Progress went from 0 to 100.")


async def reconnection(ctx, params):
    """Ends the stream of this call; the result is then waiting for the client that comes back."""
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await asyncio.sleep(PAUSE)
    return text("The result came after the reconnection.")


async def sampling(ctx, params):
    if "sampling" not in declared(ctx):
        raise missing({"sampling": {}})
    content = {"type": "text", "text": (params.arguments or {}).get("prompt", "")}
    asked = {"messages": [{"role": "user", "content": content}], "maxTokens": 100}
    return one_question("sampling/createMessage", asked, params, lambda answer: f"LLM response: {answer.content}")


async def elicitation(ctx, params):
    if "elicitation" not in declared(ctx):
        failed = text("The client cannot ask its user.")
        failed.is_error = True
        return failed
    asked = {"message": (params.arguments or {}).get("message", ""), **FIXTURE["questions"][params.name]}

    def tell(answer):
        return f"Elicitation completed: action={answer.action}, content={json.dumps(answer.content)}"

    return one_question("elicitation/create", asked, params, tell)


async def missing_capability(ctx, params):
    raise missing({"sampling": {}})


async def trigger_tool_change(ctx, params):
    await bus.publish(ToolsListChanged())
    return text("Announced.")


async def trigger_prompt_change(ctx, params):
    await bus.publish(PromptsListChanged())
    return text("Announced.")


LIVE = {
    "test_tool_with_logging": tool_with_logging,
    "test_logging_tool": logging_tool,
    "test_tool_with_progress": tool_with_progress,
    "test_reconnection": reconnection,
    "test_sampling": sampling,
    "test_missing_capability": missing_capability,
    "test_trigger_tool_change": trigger_tool_change,
    "test_trigger_prompt_change": trigger_prompt_change,
    **{name: elicitation for name in FIXTURE["questions"]},
}


# The SDK's handlers.


async def list_tools(ctx, params):
    return types.ListToolsResult.model_validate({"tools": FIXTURE["tools"]})


@conversing
async def call_tool(ctx, params):
    name, able = params.name, declared(ctx)
    if name in FIXTURE["results"]:
        return types.CallToolResult.model_validate(FIXTURE["results"][name])
    if name == "test_streaming_elicitation" and "elicitation" not in able:
        return text("Nobody to ask, so: hello!")
    if name in FIXTURE["rounds"]:
        step = turn(name, params, able)
        return text(step) if isinstance(step, str) else step
    if name in LIVE:
        return await LIVE[name](ctx, params)
    raise MCPError(INVALID_PARAMS, f"Unknown tool: {name}")


async def list_resources(ctx, params):
    return types.ListResourcesResult.model_validate({"resources": FIXTURE["resources"]})


async def list_resource_templates(ctx, params):
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": FIXTURE["resourceTemplates"]})


async def read_resource(ctx, params):
    uri = str(params.uri)
    contents = FIXTURE["contents"].get(uri)
    if contents is None and uri.startswith("test://template/") and uri.endswith("/data"):
        found = uri.removeprefix("test://template/").removesuffix("/data")
        body = json.dumps({"id": found, "templateTest": True, "data": f"Data for ID: {found}"})
        contents = {"contents": [{"uri": uri, "mimeType": "application/json", "text": body}]}
    if contents is None:
        raise MCPError(INVALID_PARAMS, "Resource not found", {"uri": uri})
    return types.ReadResourceResult.model_validate(contents)


async def list_prompts(ctx, params):
    return types.ListPromptsResult.model_validate({"prompts": FIXTURE["prompts"]})


@conversing
async def get_prompt(ctx, params):
    if params.name in FIXTURE["rounds"]:
        step = turn(params.name, params, declared(ctx))
        if not isinstance(step, str):
            return step
        said = {"messages": [{"role": "user", "content": {"type": "text", "text": step}}]}
        return types.GetPromptResult.model_validate(said)
    if params.name not in FIXTURE["messages"]:
        raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.name}")
    filled = json.dumps(FIXTURE["messages"][params.name])
    for argument, value in (params.arguments or {}).items():
        filled = filled.replace("{" + argument + "}", json.dumps(value)[1:-1])
    return types.GetPromptResult.model_validate_json(filled)


async def complete(ctx, params):
    values = {"values": ["test", "testing"], "total": 2, "hasMore": False}
    return types.CompleteResult.model_validate({"completion": values})


async def accept(ctx, params):
    return types.EmptyResult()


def main():
    server = Server(
        "conformance-python",
        version="0.1.0",
        get_tool_input_schema=lambda name: TOOLS.get(name, {}).get("inputSchema"),
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_resource_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=accept,
        on_unsubscribe_resource=accept,
        on_subscriptions_listen=ListenHandler(bus),
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
        on_set_logging_level=accept,
    )
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0))
    app = server.streamable_http_app(event_store=Replay(), retry_interval=500)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()

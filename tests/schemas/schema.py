"""The official schemas of all revisions, and what is wrong with a message by them.

`official/` holds `schema.json` of each revision as published; `defects.json` what a schema says in contradiction to its
specification, each with the reason."""

import functools
import json
from pathlib import Path

from jsonschema import validators
from jsonschema.exceptions import best_match

HERE = Path(__file__).resolve().parent
REVISIONS = sorted(file.stem for file in (HERE / "official").glob("*.json"))
MODERN_META = "io.modelcontextprotocol/protocolVersion"


@functools.cache
def schema(revision):
    return json.loads((HERE / "official" / f"{revision}.json").read_text())


def definitions(revision):
    whole = schema(revision)
    return whole.get("$defs") or whole["definitions"]


@functools.cache
def validator(revision, name):
    whole = schema(revision)
    place = "$defs" if "$defs" in whole else "definitions"
    return validators.validator_for(whole)({**whole, "$ref": f"#/{place}/{name}"})


@functools.cache
def named(revision, method, ending):
    """The definition that a request or a notification of this method has."""
    for name, found in definitions(revision).items():
        says = found.get("properties", {}).get("method", {}).get("const")
        if says == method and name.endswith(ending):
            return name
    return None


def members(revision, union):
    return [found["$ref"].rsplit("/", 1)[-1] for found in definitions(revision).get(union, {}).get("anyOf", [])]


def answered(revision, method):
    """What defines the answer to a method: a definition of the whole message, or of its result."""
    request = named(revision, method, "Request")
    if request is None:
        return None, None
    result = request.removesuffix("Request") + "Result"
    if f"{result}Response" in definitions(revision):
        return f"{result}Response", None
    return None, result if result in definitions(revision) else "EmptyResult"


def wrong(message, revision, to, answers=None):
    """What is wrong with a message to a "client" or a "server"; none when nothing is. `answers` is the method of the request
    that a response belongs to."""
    if "method" in message:
        is_request = "id" in message
        name = named(revision, message["method"], "Request" if is_request else "Notification")
        sender = "Server" if to == "client" else "Client"
        if name is None or name not in members(revision, sender + ("Request" if is_request else "Notification")):
            return f"{revision} has no {message['method']} to a {to}"
        return judged(message, revision, name) or judged(message, revision, "JSONRPCRequest" if is_request else "JSONRPCNotification")
    if "error" in message:
        name = "JSONRPCError" if "JSONRPCError" in definitions(revision) else "JSONRPCErrorResponse"
        return judged(message, revision, name)
    whole, result = answered(revision, answers)
    if whole:
        return judged(message, revision, whole)
    if result is None:
        return f"{revision} has no answer to {answers}"
    return judged(message, revision, "JSONRPCResponse") or judged(message["result"], revision, result)


def judged(value, revision, name):
    error = best_match(validator(revision, name).iter_errors(value))
    return error and f"{revision} {name}: {'/'.join(map(str, error.absolute_path)) or 'the whole'}: {error.message}"


def spoken(message, negotiated):
    """The revision a message to a server is in: its own word, if it has one."""
    params = message.get("params", {})
    if message.get("method") == "initialize":
        return params["protocolVersion"]
    return params.get("_meta", {}).get(MODERN_META, negotiated)

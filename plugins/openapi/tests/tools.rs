//! Documents as tools, and calls of those as requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_openapi::{OpenApi, json as reading};
use sluice_sdk::fetch::{Error, Place, Response};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

fn document() -> Value {
    json!({
        "openapi": "3.0.3",
        "paths": {
            "/pets": {
                "parameters": [{"name": "trace", "in": "header", "schema": {"type": "string"}}],
                "get": {
                    "operationId": "listPets",
                    "tags": ["pets"],
                    "summary": "Lists pets",
                    "description": "All of them.",
                    "parameters": [
                        {"name": "limit", "in": "query", "description": "How many", "schema": {"type": "integer", "maximum": 100}},
                        {"name": "tags[]", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                        {"name": "filter", "in": "query", "style": "deepObject", "explode": true, "schema": {"type": "object"}},
                        {"name": "where", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}},
                        {"name": "free", "in": "query", "schema": {"type": "object"}},
                        {"name": "Authorization", "in": "header", "required": true, "schema": {"type": "string"}},
                        {"name": "session", "in": "cookie", "schema": {"type": "string"}},
                    ],
                    "responses": {"200": {"description": "", "content": {"application/json": {"schema": {
                        "type": "array", "items": {"$ref": "#/components/schemas/Pet"}}}}}},
                },
                "post": {
                    "operationId": "pets/create",
                    "tags": ["pets", "write"],
                    "requestBody": {"$ref": "#/components/requestBodies/Pet"},
                    "responses": {"201": {"$ref": "#/components/responses/Pet"}, "default": {"description": "what went wrong"}},
                },
            },
            "/pets/{id}": {
                "get": {
                    "parameters": [{"$ref": "#/components/parameters/id"}, {"name": "id", "in": "query", "schema": {}}],
                    "responses": {"200": {"$ref": "#/components/responses/Pet"}},
                },
                "delete": {
                    "operationId": "deletePet",
                    "tags": ["write"],
                    "deprecated": true,
                    "parameters": [{"$ref": "#/components/parameters/id"}],
                    "responses": {"204": {"description": ""}},
                },
            },
            "/login": {"post": {
                "operationId": "login",
                "requestBody": {"required": true, "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}},
                "responses": {},
            }},
        },
        "components": {
            "parameters": {"id": {"name": "id", "in": "path", "required": true, "schema": {"type": "string", "description": "Whose"}}},
            "requestBodies": {"Pet": {"required": true, "content": {
                "multipart/form-data": {}, "application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
            "responses": {"Pet": {"description": "", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}},
            "schemas": {"Pet": {
                "type": "object",
                "required": ["id", "name"],
                "properties": {
                    "id": {"type": "integer", "readOnly": true},
                    "name": {"type": "string", "nullable": true},
                    "parent": {"$ref": "#/components/schemas/Pet"},
                },
            }},
        },
    })
}

fn settings(api: Value) -> Value {
    json!({"apis": {"pets": api}, "document_pets": document()})
}

fn plugin(api: Value) -> OpenApi {
    testing::plugin(&settings(api).to_string()).unwrap()
}

fn plain() -> OpenApi {
    plugin(json!({"base_url": "https://api.example.com/v1/"}))
}

fn tools(plugin: &OpenApi, viewer: &FakeViewer) -> Vec<Value> {
    let answer = plugin.on_catalog(viewer, ListKind::Tools, &[]);
    // The host takes no definition that has a name twice.
    let is_strict = |definition: &String| reading::is_strict(&reading::read(definition).unwrap(), 100_000);
    assert!(answer.added.iter().all(is_strict));
    answer.added.iter().map(|definition| serde_json::from_str(definition).unwrap()).collect()
}

fn names(api: Value) -> Vec<String> {
    tools(&plugin(api), &FakeViewer::of(1)).iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn tool(plugin: &OpenApi, name: &str) -> Value {
    tools(plugin, &FakeViewer::of(1)).into_iter().find(|tool| tool["name"] == name).unwrap()
}

/// Method, URL, headers and body.
type Request = (String, String, Vec<(String, String)>, String);

/// What a call sends, with secrets in clear. The answer is an object.
fn sent(plugin: &OpenApi, name: &str, arguments: &Value) -> Result<Request, String> {
    let kept = Rc::new(RefCell::new(None));
    let keep = kept.clone();
    testing::answer_fetches(move |sent| {
        let mut headers = sent.request.headers.clone();
        for (place, secret) in &sent.secrets {
            let secret = String::from_utf8_lossy(secret);
            headers.push(match place {
                Place::Header((name, prefix)) => (name.clone(), format!("{prefix}{secret}")),
                Place::Basic(user) => ("authorization".into(), format!("Basic {user}:{secret}")),
                Place::Form(_) => panic!("no form"),
            });
        }
        let body = String::from_utf8(sent.request.body.clone()).unwrap();
        *keep.borrow_mut() = Some((sent.request.method.clone(), sent.request.url.clone(), headers, body));
        Ok(Response {
            status: 200,
            headers: vec![("content-type".into(), "application/json".into())],
            body: b"{\"id\":1}".to_vec(),
            captured: vec![],
        })
    });
    let verdict = call(plugin, name, arguments);
    match (verdict, kept.borrow_mut().take()) {
        (Verdict::Reply(_), Some(sent)) => Ok(sent),
        (Verdict::Reject(no), None) => {
            assert!(no.as_tool_result && no.code == 4000, "{no:?}");
            Err(no.message)
        }
        other => panic!("{other:?}"),
    }
}

fn call(plugin: &OpenApi, name: &str, arguments: &Value) -> Verdict {
    let x = FakeExchange::new(&json!({"params": {"name": name, "arguments": arguments}}).to_string());
    plugin.on_request(&testing::head("tools/call").name(name), &x)
}

fn url(plugin: &OpenApi, name: &str, arguments: Value) -> Result<String, String> {
    sent(plugin, name, &arguments).map(|(_, url, _, _)| url)
}

#[test]
fn f090_operations_are_tools_with_schemas_and_hints() {
    let plugin = plain();
    let all: Vec<String> = tools(&plugin, &FakeViewer::of(1)).iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(all, ["listPets", "pets_create", "get_pets_id", "deletePet", "login"], "in the order of the document");

    let list = tool(&plugin, "listPets");
    assert_eq!((&list["title"], &list["description"]), (&json!("Lists pets"), &json!("Lists pets\n\nAll of them.")));
    assert_eq!(list["annotations"], json!({"readOnlyHint": true, "openWorldHint": true}));
    assert_eq!(list.get("outputSchema"), None, "a list is no object");
    let input = &list["inputSchema"];
    assert_eq!((&input["type"], &input["additionalProperties"], input.get("required")), (&json!("object"), &json!(false), None));
    assert_eq!(input["properties"]["limit"], json!({"description": "How many", "type": "integer", "maximum": 100}));
    let arguments: Vec<_> =
        input["properties"].as_object().unwrap().keys().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    assert_eq!(arguments, ["filter", "free", "limit", "tags__", "trace", "where"], "no cookie, no credential, letters that clients take");

    let create = tool(&plugin, "pets_create");
    let sent = json!({"type": "object", "required": ["name"],
        "properties": {"name": {"type": ["string", "null"]}, "parent": {"$ref": "#/$defs/Pet"}}});
    assert_eq!(create["inputSchema"]["properties"]["body"], json!({"$ref": "#/$defs/Pet"}));
    assert_eq!((&create["inputSchema"]["required"], &create["inputSchema"]["$defs"]["Pet"]), (&json!(["body"]), &sent));
    let output = &create["outputSchema"];
    assert_eq!((&output["type"], &output["required"]), (&json!("object"), &json!(["id", "name"])));
    assert_eq!(output["properties"]["parent"], json!({"$ref": "#/$defs/Pet"}));
    assert_eq!(output["$defs"]["Pet"]["properties"]["id"], json!({"type": "integer"}));
    assert_eq!(create["annotations"]["destructiveHint"], true, "nothing is known of a POST");

    let get = tool(&plugin, "get_pets_id");
    assert_eq!(get["inputSchema"]["properties"], json!({"id": {"type": "string", "description": "Whose"}, "query_id": {}}));
    assert_eq!(get["inputSchema"]["required"], json!(["id"]));
    let delete = tool(&plugin, "deletePet");
    assert_eq!(delete["description"], "Deprecated. DELETE /pets/{id}");
    assert_eq!((&delete["annotations"]["destructiveHint"], &delete["annotations"]["idempotentHint"]), (&json!(true), &json!(true)));
}

#[test]
fn a_description_stands_there_once() {
    for (version, schema, expected) in [
        ("3.1.0", json!({"$ref": "#/components/schemas/Pet", "description": "own"}), json!("own")),
        ("3.0.0", json!({"$ref": "#/components/schemas/Pet", "description": "own"}), json!("of the parameter")),
        ("3.1.0", json!({"description": "own"}), json!("own")),
        ("3.1.0", json!(true), json!("of the parameter")),
    ] {
        let mut config = settings(json!({"base_url": "https://a"}));
        config["document_pets"]["openapi"] = json!(version);
        config["document_pets"]["components"]["schemas"]["Pet"] = json!({"type": "string", "description": "referred to"});
        let parameter = json!({"name": "q", "in": "query", "description": "of the parameter", "schema": schema});
        config["document_pets"]["paths"] = json!({"/x": {"get": {"operationId": "x", "parameters": [parameter]}}});
        let plugin: OpenApi = testing::plugin(&config.to_string()).unwrap();
        assert_eq!(tool(&plugin, "x")["inputSchema"]["properties"]["q"]["description"], expected, "{version} {schema}");
    }
}

#[test]
fn operations_are_selected_and_named() {
    let with = |more: Value| {
        let mut api = json!({"base_url": "https://a"});
        api.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        api
    };
    assert_eq!(names(with(json!({"include": [{"methods": ["GET"]}]}))), ["listPets", "get_pets_id"]);
    assert_eq!(names(with(json!({"include": [{"tags": ["pets"]}, {"operations": ["login"]}]}))), ["listPets", "pets_create", "login"]);
    assert_eq!(names(with(json!({"include": [{"tags": ["pets"], "methods": ["POST"]}]}))), ["pets_create"], "all of one rule holds");
    assert_eq!(names(with(json!({"exclude": [{"paths": ["/pets*"]}]}))), ["login"]);
    assert_eq!(names(with(json!({"exclude": [{"operations": ["GET /pets/*", "l*", "pets*"]}], "prefix": "x_"}))), ["x_deletePet"]);
    let named = with(json!({"include": [{"methods": ["GET"]}], "names": {"listPets": "all", "GET /pets/{id}": "one"}, "prefix": "p_"}));
    assert_eq!(names(named), ["p_all", "p_one"]);
    let read_only = plugin(with(json!({"read_only": ["pets/*"]})));
    assert_eq!(tool(&read_only, "pets_create")["annotations"]["readOnlyHint"], true);
    assert!(
        tools(&plugin(with(json!({"output_schemas": false}))), &FakeViewer::of(1)).iter().all(|tool| tool.get("outputSchema").is_none())
    );
}

#[test]
fn f119_a_call_becomes_a_request_without_a_line_of_code() {
    let plugin = plain();
    let get = |arguments: Value| url(&plugin, "get_pets_id", arguments);
    assert_eq!(get(json!({"id": "a b"})).unwrap(), "https://api.example.com/v1/pets/a%20b");
    assert_eq!(get(json!({"id": 7, "query_id": true})).unwrap(), "https://api.example.com/v1/pets/7?id=true");
    let list = |arguments: Value| url(&plugin, "listPets", arguments).map(|url| url.replace("https://api.example.com/v1/pets", ""));
    assert_eq!(list(json!({})).unwrap(), "");
    assert_eq!(list(json!({"limit": null})).unwrap(), "");
    assert_eq!(list(json!({"limit": 3, "tags__": ["a&b", "c"]})).unwrap(), "?limit=3&tags%5B%5D=a%26b&tags%5B%5D=c");
    assert_eq!(list(json!({"filter": {"age": 3, "x&y": "z"}})).unwrap(), "?filter%5Bage%5D=3&filter%5Bx%26y%5D=z");
    assert_eq!(list(json!({"where": {"a": [1]}})).unwrap(), "?where=%7B%22a%22%3A%5B1%5D%7D");
    assert_eq!(list(json!({"free": {"k": "v"}})).unwrap(), "?k=v");

    let (method, url, headers, body) = sent(&plugin, "pets_create", &json!({"body": {"name": "é", "n": 1.10}, "trace": "t 1"})).unwrap();
    assert_eq!((method.as_str(), url.as_str()), ("POST", "https://api.example.com/v1/pets"));
    assert_eq!(body, json!({"name": "é", "n": 1.10}).to_string());
    for (name, value) in [("content-type", "application/json"), ("accept", "application/json, */*;q=0.5"), ("trace", "t 1")] {
        assert!(headers.contains(&(name.into(), value.into())), "{headers:?}");
    }
    let (_, _, headers, body) = sent(&plugin, "login", &json!({"body": {"user": "a&b", "x": [1, 2]}})).unwrap();
    assert_eq!(body, "user=a%26b&x=1&x=2");
    assert!(headers.contains(&("content-type".into(), "application/x-www-form-urlencoded".into())));
    // Behind `namespace`, with its prefix.
    assert!(sent(&plugin, "openapi_deletePet", &json!({"id": "1"})).unwrap().1.ends_with("/pets/1"));
}

#[test]
fn arguments_that_fit_nowhere_are_refused_in_words() {
    let plugin = plain();
    for (name, arguments, says) in [
        ("get_pets_id", json!({}), "what is missing: id"),
        ("get_pets_id", json!({"id": null}), "what is missing: id"),
        ("get_pets_id", json!({"id": ""}), "cannot be empty"),
        ("get_pets_id", json!({"id": ".."}), "cannot be \".\" or \"..\""),
        ("get_pets_id", json!({"id": "."}), "cannot be \".\""),
        ("get_pets_id", json!({"id": "7/../../admin"}), "nor have these between slashes"),
        ("get_pets_id", json!({"id": "..;x=1"}), "cannot be \".\""),
        ("get_pets_id", json!({"id": {"a": [1]}}), "\"id\" has lists or objects within"),
        ("get_pets_id", json!({"id": "x".repeat(9000)}), "8192 are the most"),
        ("listPets", json!({"other": 1}), "there is no argument \"other\"; there are: trace, limit, tags__, filter, where, free"),
        ("listPets", json!({"filter": 1}), "\"filter\" has to be an object"),
        ("listPets", json!({"free": {"limit": 1000}}), "which is another argument"),
        ("listPets", json!({"trace": "a\r\nx-evil: 1"}), "printable ASCII"),
        ("listPets", json!({"trace": "é"}), "printable ASCII"),
        ("login", json!({"body": {"a": {"b": 1}}}), "\"body\" has an object within"),
        ("login", json!({}), "what is missing: body"),
        ("login", json!([]), "no object"),
    ] {
        let why = sent(&plugin, name, &arguments).unwrap_err();
        assert!(why.contains(says) && why.len() < 300, "{name} {arguments}: {why}");
    }
}

#[test]
fn secrets_and_headers_go_along_unseen() {
    testing::reset();
    testing::set_secret("key", b"canary");
    let api =
        |auth: Value| json!({"base_url": "https://a", "auth": auth, "headers": {"X-Version": "2", "Trace": "own", "user-agent": "me"}});
    let bearer = plugin(api(json!([{"secret": "key", "header": "Authorization", "prefix": "Bearer "}])));
    let (_, _, headers, _) = sent(&bearer, "listPets", &json!({})).unwrap();
    for (name, value) in [("authorization", "Bearer canary"), ("x-version", "2"), ("trace", "own"), ("user-agent", "me")] {
        assert_eq!(headers.iter().filter(|(known, _)| known == name).collect::<Vec<_>>(), [&(name.into(), value.into())]);
    }
    assert!(sent(&bearer, "listPets", &json!({"trace": "mine"})).unwrap_err().contains("no argument"), "the operator's own");
    let basic = plugin(api(json!([{"secret": "key", "user": "me"}])));
    assert!(sent(&basic, "listPets", &json!({})).unwrap().2.contains(&("authorization".into(), "Basic me:canary".into())));
    for own in ["X-Version", "content-TYPE", "Accept"] {
        let given = plugin(json!({"base_url": "https://a", "headers": {own: "mine"}}));
        let headers = sent(&given, "pets_create", &json!({"body": {"name": "a"}})).unwrap().2;
        let name = own.to_ascii_lowercase();
        assert_eq!(
            headers.iter().filter(|(known, _)| *known == name).collect::<Vec<_>>(),
            [&(name.clone(), "mine".into())],
            "the operator's"
        );
    }
    let missing = plugin(api(json!([{"secret": "other", "header": "x-key"}])));
    let Verdict::Reject(no) = call(&missing, "listPets", &json!({})) else { panic!() };
    assert!(no.code == 5030 && !no.message.contains("other"), "{no:?}");
    assert!(testing::log_lines().iter().any(|line| line.fields.iter().any(|(_, value)| value == "pets")));
}

/// Names of headers have no case.
#[test]
fn no_header_is_sent_twice() {
    let header = |name: &str| json!({"name": name, "in": "header", "schema": {"type": "string"}});
    let mut config = settings(json!({"base_url": "https://a"}));
    config["document_pets"]["paths"] = json!({"/x": {
        "parameters": [header("X-Trace"), header("user-agent")],
        "get": {"operationId": "x", "parameters": [header("x-trace"), header("User-Agent"), {"name": "X-TRACE", "in": "query", "schema": {}}]},
    }});
    let plugin: OpenApi = testing::plugin(&config.to_string()).unwrap();
    let names = |headers: &[(String, String)]| headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    let arguments = json!({"x-trace": "1", "User-Agent": "me", "X-TRACE": "2"});
    let (_, url, headers, _) = sent(&plugin, "x", &arguments).unwrap();
    assert_eq!(url, "https://a/x?X-TRACE=2");
    assert_eq!(names(&headers), ["x-trace", "user-agent", "accept"]);
    let headers = sent(&plugin, "x", &json!({})).unwrap().2;
    assert_eq!(names(&headers), ["accept", "user-agent"]);
}

#[test]
fn an_api_that_does_not_answer_is_an_error_in_words() {
    let plugin = plain();
    for (error, code, says) in [
        (Error::Denied("no grant".into()), 5030, "cannot be called just now"),
        (Error::Unreachable("secret host".into()), 5020, "cannot be reached"),
        (Error::Timeout, 5040, "may have run"),
        (Error::TooLarge, 5020, "ask it for less"),
    ] {
        testing::answer_fetches(move |_| Err(error.clone()));
        let Verdict::Reject(no) = call(&plugin, "deletePet", &json!({"id": "1"})) else { panic!() };
        assert!(no.code == code && no.message.contains(says) && no.message.starts_with("DELETE /pets/{id}"), "{no:?}");
        assert!(!no.message.contains("secret"), "{no:?}");
    }
}

#[test]
fn f092_a_listener_groups_what_is_only_converted() {
    let mut config = settings(json!({"base_url": "https://a", "mode": "conversion-only", "tags": ["zoo"]}));
    config["listeners"] = json!([{"tags": ["zoo"], "when": {"http.header.x-team": ["keepers"]}}]);
    let plugin: OpenApi = testing::plugin(&config.to_string()).unwrap();
    assert!(tools(&plugin, &FakeViewer::of(1)).is_empty());
    assert_eq!(tools(&plugin, &FakeViewer::of(1).with_attr("http.header.x-team", "keepers")).len(), 5);
    // Who is not shown a tool does not call it either, whatever another plugin calls its own.
    testing::answer_fetches(|_| panic!("nothing is sent"));
    assert!(matches!(call(&plugin, "deletePet", &json!({"id": "1"})), Verdict::Next));
}

#[test]
fn what_is_not_asked_of_this_plugin_passes() {
    let plugin = plain();
    assert!(matches!(call(&plugin, "other", &json!({})), Verdict::Next));
    let x = FakeExchange::new(r#"{"params":{"name":"listPets"}}"#).with_upstream("pets");
    assert!(matches!(plugin.on_request(&testing::head("tools/call").name("listPets"), &x), Verdict::Next));
    let prompts = plugin.on_catalog(&FakeViewer::of(1), ListKind::Prompts, &[Entry::new("a", "listPets", "")]);
    assert!(prompts.changes.is_empty() && prompts.added.is_empty());
}

#[test]
fn documents_that_cannot_be_tools_are_refused_with_their_places() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut config = settings(json!({"base_url": "https://a"}));
        change(&mut config["document_pets"]);
        testing::plugin::<OpenApi>(&config.to_string()).err().unwrap_or_default()
    };
    let pets = |document: &mut Value| document["paths"]["/pets"].take();
    for (change, says) in [
        (
            &(|document: &mut Value| document["components"]["schemas"]["Pet"] = json!({"allOf": [{"$ref": "#/components/schemas/Pet"}]}))
                as &dyn Fn(&mut Value),
            "document_pets: #/components/schemas/Pet: this schema refers to itself without an end",
        ),
        (&|document| document["openapi"] = json!("2.0"), "document_pets: its \"openapi\" is \"2.0\""),
        (&|document| document["paths"] = json!({}), "no operation of it is selected"),
        (&|document| drop(document.as_object_mut().unwrap().remove("paths")), "it has no paths"),
        (
            &|document| document["components"]["requestBodies"]["Pet"]["content"] = json!({"multipart/form-data": {}}),
            "#/components/requestBodies/Pet: [\"multipart/form-data\"] cannot be sent by a tool; JSON, forms and plain text can (exclude \"pets/create\"",
        ),
        (
            &|document| document["paths"]["/pets"]["get"]["parameters"][6]["required"] = json!(true),
            "#/paths/~1pets/get/parameters/6: it is a cookie",
        ),
        (&|document| document["components"]["parameters"] = json!({}), "\"#/components/parameters/id\" is not in the document"),
        (&|document| document["components"]["parameters"]["id"]["style"] = json!("form"), "#/components/parameters/id/style: \"form\""),
        (&|document| document["components"]["parameters"]["id"]["name"] = json!("other"), "has {id}, and no parameter"),
        (
            &|document| {
                let item = pets(document);
                document["paths"]["/pets/../admin"] = item;
            },
            "is no path of a URL",
        ),
        (
            &|document| {
                let item = pets(document);
                document["paths"]["/pets?admin=1"] = item;
            },
            "is no path of a URL",
        ),
        (
            &|document| document["paths"]["/login"]["post"]["operationId"] = json!("listPets"),
            "two operations would be the tool \"listPets\"",
        ),
        (
            &|document| document["paths"]["/login"]["post"]["operationId"] = json!("openapi_listPets"),
            "the tool \"listPets\" could be called as \"openapi_listPets\"",
        ),
        (&|document| document["paths"]["/pets"]["get"]["description"] = json!("x".repeat(2 << 20)), ""),
        (
            &|document| document["components"]["schemas"]["Pet"]["properties"]["name"]["pattern"] = json!("x".repeat(70_000)),
            "65536 are the most, or set output_schemas to false (exclude",
        ),
    ] {
        let problem = with(change);
        assert!(if says.is_empty() { problem.is_empty() } else { problem.contains(says) }, "{says:?}: {problem:?}");
        assert!(problem.len() < 3000, "{problem}");
    }
    // No more are made than that.
    let many: serde_json::Map<String, Value> = (0..600).map(|at| (format!("/p{at}"), json!({"get": {}}))).collect();
    assert!(with(&|document| document["paths"] = Value::Object(many.clone())).contains("501 tools"));
    let heavy: serde_json::Map<String, Value> = (0..100)
        .map(|at| {
            (format!("/p{at}"), json!({"get": {"parameters": [{"name": "q", "in": "query", "schema": {"pattern": "y".repeat(60_000)}}]}}))
        })
        .collect();
    assert!(with(&|document| document["paths"] = Value::Object(heavy.clone())).contains("are the most: include fewer"));
    let wrong: serde_json::Map<String, Value> = (0..20).map(|at| (format!("/p{{{at}}}"), json!({"get": {}}))).collect();
    let problem = with(&|document| document["paths"] = Value::Object(wrong.clone()));
    assert!(problem.matches("no parameter in path").count() == 8 && problem.ends_with("; and there are more"), "{problem}");
}

#[test]
fn long_names_are_cut_and_stay_apart() {
    let mut config = settings(json!({"base_url": "https://a"}));
    let long = "a".repeat(80);
    config["document_pets"]["paths"] =
        json!({"/x": {"get": {"operationId": format!("{long}x")}, "put": {"operationId": format!("{long}y")}}});
    let plugin: OpenApi = testing::plugin(&config.to_string()).unwrap();
    let tools = tools(&plugin, &FakeViewer::of(1));
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert!(names[0] != names[1] && names.iter().all(|name| name.len() == 56), "{names:?}");
}

/// For many cases.
static PLAIN: LazyLock<OpenApi> = LazyLock::new(plain);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever an argument is, the request goes to the place that the operation has, and each part of it stays in its own.
    #[test]
    fn no_argument_leaves_its_place(id in "(\\PC|[/?#&.%\\\\ ;=\r\n]){0,12}", query in "(\\PC|[/?#&.%\\\\ ;=\r\n]){0,12}") {
        let Ok(url) = url(&PLAIN, "get_pets_id", json!({"id": id, "query_id": query})) else {
            // Also behind what some server takes for a slash.
            let is_dots = |part: &str| matches!(part.split(';').next(), Some("." | ".."));
            prop_assert!(id.is_empty() || id.split(['/', '\\']).any(is_dots), "{id:?} is refused");
            return Ok(());
        };
        let (path, rest) = url.split_once('?').unwrap();
        prop_assert_eq!(path.split('/').count(), 6, "{}", url);
        prop_assert!(path.starts_with("https://api.example.com/v1/pets/"));
        prop_assert!(rest.starts_with("id=") && rest.bytes().filter(|b| b"&=#?".contains(b)).count() == 1, "{}", url);
        prop_assert!(url.bytes().all(|b| b.is_ascii_graphic()));
    }

    /// Whatever is written in the place of some value of a document, it is a tool or a mistake.
    #[test]
    fn no_document_is_a_panic(at in 0_usize..200, new in prop_oneof![
        Just(json!(null)), Just(json!(7)), Just(json!("x")), Just(json!([])), Just(json!({})), Just(json!([{}])), Just(json!({"$ref": "#/"})),
        Just(json!({"$ref": "#/paths"})), Just(json!({"$ref": "#"})), Just(json!({"": {"": [null]}})), Just(json!("{")), Just(json!(true))])
    {
        fn put(value: &mut Value, left: &mut usize, new: &Value) {
            if *left == 0 {
                *value = new.clone();
            }
            *left = left.wrapping_sub(1);
            match value {
                Value::Object(members) => members.iter_mut().for_each(|(_, member)| put(member, left, new)),
                Value::Array(items) => items.iter_mut().for_each(|item| put(item, left, new)),
                _ => {}
            }
        }
        let mut config = settings(json!({"base_url": "https://a"}));
        put(&mut config["document_pets"], &mut at.clone(), &new);
        if let Ok(plugin) = testing::plugin::<OpenApi>(&config.to_string()) {
            for tool in tools(&plugin, &FakeViewer::of(1)) {
                prop_assert!(tool["inputSchema"]["type"] == "object" && tool["name"].is_string());
            }
        }
    }
}

/// The page's example is a setting that is taken.
#[test]
fn the_page_says_what_works() {
    let page = include_str!("../README.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    let sidecar: toml::Table = toml::from_str(example).unwrap();
    let mut config = serde_json::to_value(&sidecar["config"]).unwrap();
    for name in sidecar["config_files"].as_table().unwrap().keys() {
        config[name] = document();
    }
    testing::plugin::<OpenApi>(&config.to_string()).unwrap();
}

//! `openapi`: an HTTP API in the list beside a server's tools, called by who is shown it, with a key that no guest sees.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    server::{Answering, Response, Seen, Server},
    turn::beside,
};
use serde_json::{Value, json};

/// Two pets, and a secret list of bills.
fn answer(seen: &Seen) -> Response {
    match (seen.verb.as_str(), seen.target.as_str()) {
        ("GET", "/v1/pets/a%2Fb?fields=id,name") => Response::json(r#"{"id":"a/b","weight":1.10}"#),
        ("POST", "/v1/pets") => Response { status: 201, ..Response::json(&seen.body[..]) },
        ("GET", "/v1/bills") => Response::json("[1,2]"),
        _ => Response { status: 404, ..Response::json(r#"{"message":"no such pet"}"#) },
    }
}

const PETS: &str = r##"
openapi: 3.1.0
paths:
  /pets/{id}:
    get:
      operationId: getPet
      summary: One pet
      parameters:
        - {name: id, in: path, required: true, schema: {type: string}}
        - {name: fields, in: query, explode: false, schema: {type: array, items: {type: string}}}
      responses:
        "200": {description: it, content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}}
  /pets:
    post:
      operationId: addPet
      requestBody: {required: true, content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}}
      responses: {"201": {description: made}}
components:
  schemas:
    Pet: {type: object, properties: {id: {type: string}, parent: {$ref: "#/components/schemas/Pet"}}}
"##;

const BILLS: &str = r#"{"openapi": "3.0.3", "paths": {"/bills": {"get": {"operationId": "listBills", "responses": {}}}}}"#;

/// `ada` is of the finance team.
async fn gateway(folder: &Folder, backend: &Backend, api: &Server) -> Gateway {
    folder.write("pets.yaml", PETS);
    folder.write("bills.json", BILLS);
    let base = format!("http://{}/v1", api.address);
    let auth = json!([{"secret": "key", "header": "x-api-key", "prefix": "k "}]);
    let settings = json!({
        "auth-api-key": {"config": {"keys": [
            {"id": "ada", "hash": key_hash("key-ada"), "roles": ["finance"]},
            {"id": "bob", "hash": key_hash("key-bob")},
        ]}},
        "openapi": {
            "grants": [format!("fetch:http://{} GET,POST private", api.address), format!("secret:key fetch:http://{}", api.address)],
            "config_files": {"document_pets": "pets.yaml", "document_bills": "bills.json"},
            "config": {
                "apis": {
                    "pets": {"base_url": base, "prefix": "pets_", "auth": auth},
                    "bills": {"base_url": base, "mode": "conversion-only", "tags": ["money"]},
                },
                "listeners": [{"tags": ["money"], "when": {"principal.claim.role": ["finance"]}}],
            },
        },
    });
    let own = json!({
        "secrets": {"key": "env:PATH"},
        "chain": ["builtin:auth-api-key", "builtin:openapi", "builtin:namespace"],
        "plugins": {"settings": settings},
    });
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await
}

#[test]
fn f090_f092_an_api_is_tools_beside_those_of_servers() {
    beside("openapi", 90, async {
        let backend = Backend::echo(&["echo"]).await;
        let api = Server::start(true, |seen| -> Answering { Box::pin(std::future::ready(answer(&seen))) }).await;
        let folder = Folder::new();
        let gateway = gateway(&folder, &backend, &api).await;
        for era in Era::BOTH {
            let mut ada = Caller::new(&gateway.address, era, "key-ada").await;
            let mut bob = Caller::new(&gateway.address, era, "key-bob").await;
            // One server, so nothing has a prefix; f091: its tool is passed through beside them.
            assert_eq!(bob.names("tools").await, ["echo", "pets_getPet", "pets_addPet"], "{era:?}");
            assert_eq!(ada.names("tools").await, ["echo", "listBills", "pets_getPet", "pets_addPet"], "{era:?}");
            assert_eq!(bob.result("echo", r#"{"n":1}"#).await["structuredContent"], json!({"n": 1}));

            let before = api.seen().len();
            let pet = bob.result("pets_getPet", r#"{"id":"a/b","fields":["id","name"]}"#).await;
            assert_eq!(pet["structuredContent"], json!({"id": "a/b", "weight": 1.10}), "{era:?}: {pet}");
            let made = bob.result("pets_addPet", r#"{"body":{"id":"ü","parent":{"id":"x"}}}"#).await;
            assert_eq!(made["structuredContent"], json!({"id": "ü", "parent": {"id": "x"}}), "{era:?}: {made}");
            let none = bob.result("pets_getPet", r#"{"id":"gone"}"#).await;
            let said = none["content"][0]["text"].as_str().unwrap_or_default();
            assert!(none["isError"] == true && said.contains("HTTP 404") && said.contains("no such pet"), "{none}");
            let key = format!("k {}", std::env::var("PATH").unwrap_or_default());
            assert!(api.seen()[before..].iter().all(|seen| seen.header("x-api-key") == Some(key.as_str())));

            let wrong = bob.result("pets_getPet", r#"{"id":".."}"#).await;
            assert!(wrong["isError"] == true && wrong.to_string().contains("cannot be"), "{wrong}");
            assert_eq!(api.seen().len() - before, 3, "{era:?}: it was not sent");

            assert_eq!(ada.result("listBills", "{}").await["content"][0]["text"], "[1,2]", "{era:?}");
            let hidden: Value = bob.call("listBills", "{}").await.expect("an answer").json();
            assert_eq!(hidden["error"]["data"]["reason"], "unknown_name", "{era:?}: {hidden}");
        }
    });
}

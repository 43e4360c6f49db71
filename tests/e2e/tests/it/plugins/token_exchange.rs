//! `token-exchange`: what the provider says of a person becomes a token for the server, the gateway's own word does too, and where neither is
//! taken nothing leaves.

use crate::{
    authority::{Authority, Browser, assertion_of, protected},
    backend::{Backend, Call, Offer},
    caller::{Caller, Era},
    folder::Folder,
    gateway::{Gateway, key_hash},
    server::{Answering, Response, Seen, Server},
    turn::beside,
};
use base64::{Engine as _, prelude::BASE64_STANDARD, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

/// A secret in a file of its own.
fn secret(folder: &Folder, name: &str, value: &str) -> String {
    let file = folder.write(name, value);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("its mode");
    format!("file:{}", file.display())
}

/// A gateway with two people and one server, whose tokens are exchanged under these settings.
async fn gateway(folder: &Folder, listen: &str, backend: &Backend, secrets: Value, mut grants: Vec<String>, config: Value) -> Gateway {
    let keys: Vec<Value> = ["ada", "bob"].iter().map(|who| json!({"id": who, "hash": key_hash(&format!("key-of-{who}"))})).collect();
    grants.push("outbound:only".to_owned());
    grants.extend(secrets.as_object().expect("secrets by name").keys().map(|name| format!("secret:{name}")));
    let own = json!({
        "listen": listen,
        "secrets": secrets,
        "chain": ["builtin:auth-api-key", "builtin:token-exchange"],
        "plugins": {"settings": {
            "auth-api-key": {"config": {"keys": keys}},
            "token-exchange": {"grants": grants, "config": config},
        }},
    });
    Gateway::start(folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await
}

/// The page that this person is to open: without a token not even the list comes.
async fn link(gateway: &Gateway, who: &str) -> String {
    let mut caller = Caller::silent(&gateway.address, Era::Modern, &format!("key-of-{who}"));
    let told = caller.ask("tools/list", None, "").await.expect("an answer").json();
    assert_eq!(told["error"]["data"]["reason"], "action_required", "{told}");
    told["error"]["data"]["url"].as_str().expect("a link").to_owned()
}

/// features.md §56: who may use the server is decided at the provider, and each person signs in there once.
#[test]
fn f056_a_person_who_has_signed_in_reaches_the_server_by_the_providers_assertion() {
    beside("token-exchange, id-jag", 120, async {
        let (provider, authority) = (Authority::honest().await, Authority::honest().await);
        let backend = protected(Arc::new(Mutex::new(authority.issuer.clone())), false).await;
        let folder = Folder::new();
        // The address has to be known before: it stands in links, and comes from the settings only.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").to_string();
        let secrets = json!({"canary": secret(&folder, "client", "canary-client-secret")});
        let grants = vec!["http:/-/token-exchange/*".to_owned(), provider.grant(), authority.grant()];
        let server = |of: &Authority| json!({"issuer": of.issuer, "token_endpoint": format!("{}/token", of.issuer), "client_id": "gateway", "client_secret": "canary"});
        let mut corp = server(&provider);
        corp["sign_in"] = json!({
            "authorization_endpoint": format!("{}/authorize", provider.issuer),
            "userinfo_endpoint": format!("{}/userinfo", provider.issuer),
        });
        let config = json!({
            "public_url": format!("http://{free}"),
            "servers": {"corp": corp, "tools": server(&authority)},
            "upstreams": {"only": {"mode": "id-jag", "idp": "corp", "server": "tools", "subject": {"signed_in": "id_token"}, "scopes": ["read"]}},
        });
        let gateway = gateway(&folder, &free, &backend, secrets, grants, config).await;

        // A link that is forwarded is worth nothing to whoever opens it.
        let forwarded = Browser::default().come_back(&link(&gateway, "ada").await, "bob", &provider.issuer).await;
        assert_eq!(forwarded.status, 403, "{}", String::from_utf8_lossy(&forwarded.body));
        let done = Browser::default().come_back(&link(&gateway, "ada").await, "ada", &provider.issuer).await;
        assert_eq!(done.status, 200, "{}", String::from_utf8_lossy(&done.body));
        let mut ada = Caller::silent(&gateway.address, Era::Modern, "key-of-ada");
        for _ in 0..2 {
            assert_eq!(ada.result("echo", r#"{"n":1}"#).await["structuredContent"], json!({"n": 1}));
        }
        link(&gateway, "bob").await;

        let shown = String::from_utf8(authority.server.seen().iter().flat_map(|seen| seen.body.clone()).collect()).expect("UTF-8");
        let assertion = assertion_of(&provider.issuer).replace(':', "%3A").replace('/', "%2F");
        assert!(shown.contains("jwt-bearer") && shown.contains(&assertion), "{shown}");
        assert_eq!(authority.asked(), ["/token"], "one assertion, one token, for both calls");
        let everything = folder.read("audit.jsonl") + &gateway.metrics().await + &gateway.log(|_| true).join("\n");
        for secret in ["canary-client", "access-token-of", "refresh-token-of", "assertion-of", "code=ada", "link="] {
            assert!(!everything.contains(secret), "{secret} is written down");
        }
        let sent: Vec<String> = backend.server.seen().iter().map(|seen| format!("{seen:?}")).collect();
        assert!(sent.iter().all(|seen| !seen.contains("key-of-") && !seen.contains("assertion-of")), "passed on: {sent:?}");
    });
}

/// What stands in a JWT that this key has signed.
fn claims(token: &str, key: &Ed25519KeyPair) -> Value {
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let public = UnparsedPublicKey::new(&ED25519, key.public_key().as_ref());
    public.verify(signed.as_bytes(), &signature).expect("a signature of the gateway's");
    let (_, payload) = signed.split_once('.').expect("a header");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).expect("base64url")).expect("claims")
}

/// The members of a form whose values need no decoding.
fn member<'f>(form: &'f str, name: &str) -> Option<&'f str> {
    form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// An exchange whose tokens say for which scopes they are; of bob it wants to know nothing.
async fn exchange() -> Server {
    Server::start(true, |seen| -> Answering {
        let form = String::from_utf8_lossy(&seen.body).into_owned();
        let subject = member(&form, "subject_token").unwrap_or_default().split('.').nth(1).unwrap_or_default();
        let who: Value =
            BASE64_URL_SAFE_NO_PAD.decode(subject).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        let answer = match who["sub"] == "bob" {
            true => {
                Response { status: 400, ..Response::json(json!({"error": "access_denied", "error_description": "canary"}).to_string()) }
            }
            false => {
                let token = format!("{}.{}", who["sub"].as_str().unwrap_or_default(), member(&form, "scope").unwrap_or_default());
                let kind = "urn:ietf:params:oauth:token-type:access_token";
                Response::json(
                    json!({"access_token": token, "issued_token_type": kind, "token_type": "Bearer", "expires_in": 600}).to_string(),
                )
            }
        };
        Box::pin(std::future::ready(answer))
    })
    .await
}

/// features.md §51 and §53: each tool's token has what the tool needs, and says on whose behalf; in both eras.
#[test]
fn f051_each_tool_is_called_with_a_token_for_it_and_whoever_is_refused_calls_none() {
    beside("token-exchange, tools", 120, async {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        let key = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(pkcs8.as_ref()));
        for era in Era::BOTH {
            let (sts, folder) = (exchange().await, Folder::new());
            let guard = |seen: &Seen| seen.header("authorization").is_none().then(|| Response::status(401));
            let offer = Offer::tools(&["look", "change"]).only(era).keeping().guarded(guard);
            let backend = Backend::start(offer, |call: Call| async move { call.echo() }).await;
            let issuer = format!("http://{}", sts.address);
            let signs = json!({"secret": "key", "algorithm": "EdDSA"});
            let config = json!({
                "servers": {"sts": {"issuer": issuer, "token_endpoint": format!("{issuer}/token"), "client_id": "gateway", "client_key": signs}},
                "upstreams": {"only": {
                    "mode": "exchange", "server": "sts", "subject": {"key": signs, "issuer": "https://mcp.example.com"},
                    "scopes": ["read"], "tools": {"change": ["write"]},
                }},
            });
            let secrets = json!({"key": secret(&folder, "key.pem", &pem)});
            let grants = vec![format!("fetch:{issuer} POST private")];
            let gateway = gateway(&folder, "127.0.0.1:0", &backend, secrets, grants, config).await;
            let mut ada = Caller::new(&gateway.address, Era::Modern, "key-of-ada").await;
            for tool in ["look", "change", "look"] {
                ada.result(tool, "{}").await;
            }
            let tokens: Vec<(String, String)> = backend.server.seen().iter().filter_map(called_with).collect();
            let [look, change] = ["Bearer ada.read", "Bearer ada.read%20write"].map(str::to_owned);
            let expected = [("look", &look), ("change", &change), ("look", &look)].map(|(tool, token)| (tool.to_owned(), token.clone()));
            assert_eq!(tokens, expected, "{era:?}");

            let forms: Vec<String> = sts.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned()).collect();
            let scopes: BTreeSet<_> = forms.iter().filter_map(|form| member(form, "scope")).collect();
            assert_eq!((forms.len(), scopes), (2, BTreeSet::from(["read", "read%20write"])), "what is the same is asked for once");
            for form in &forms {
                let [who, gateway] = ["subject_token", "client_assertion"].map(|name| claims(member(form, name).expect("a token"), &key));
                assert_eq!((&who["iss"], &who["sub"], &who["aud"]), (&json!("https://mcp.example.com"), &json!("ada"), &json!(issuer)));
                assert_eq!((&gateway["iss"], &gateway["aud"]), (&json!("gateway"), &json!(issuer)));
                assert!(who["exp"].as_u64() > who["iat"].as_u64() && who["jti"] != gateway["jti"], "{who} {gateway}");
            }

            let calls = backend.asked("tools/call");
            let mut bob = Caller::silent(&gateway.address, Era::Modern, "key-of-bob");
            let answer = bob.call("look", "{}").await.expect("an answer").json();
            assert_eq!(answer["error"]["code"], 4015, "{era:?}: {answer}");
            assert!(answer.to_string().contains("sts refuses this caller") && !answer.to_string().contains("canary"), "{answer}");
            assert_eq!(backend.asked("tools/call"), calls, "nothing leaves without its token");
        }
    });
}

/// The tool of a call, and what it was sent with.
fn called_with(seen: &Seen) -> Option<(String, String)> {
    let body: Value = serde_json::from_slice(&seen.body).ok().filter(|body: &Value| body["method"] == "tools/call")?;
    Some((body["params"]["name"].as_str()?.to_owned(), seen.header("authorization")?.to_owned()))
}

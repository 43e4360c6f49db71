//! `auth-jwt`: from a 401 to the issuer, from the issuer's token to an answer, and what becomes of tokens on the way.

use crate::{
    backend::Backend,
    caller::{Caller, Era},
    connection::{Connection, Reply},
    folder::Folder,
    gateway::Gateway,
    server::{Answering, Response, Server},
    turn::beside,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use nix::sys::signal::Signal;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Stands in every token, and so in its text.
const CANARY: &str = "canary-subject-7f3a";

/// An issuer on this machine, whose key a test can exchange.
struct Issuer {
    server: Server,
    key: Arc<Mutex<(String, [u8; 32])>>,
}

impl Issuer {
    async fn start() -> Self {
        let key = Arc::new(Mutex::new(("first".to_owned(), [1; 32])));
        let (published, own) = (key.clone(), Arc::new(Mutex::new(String::new())));
        let url = own.clone();
        let server = Server::start(true, move |seen| -> Answering {
            let issuer = url.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let answer = match seen.target.as_str() {
                "/.well-known/oauth-authorization-server" => {
                    Response::json(json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}).to_string())
                }
                "/keys" => {
                    let (id, seed) = published.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    let x = b64(pair(&seed).public_key());
                    Response::json(json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": id, "x": x, "use": "sig"}]}).to_string())
                }
                _ => Response::status(404),
            };
            Box::pin(std::future::ready(answer))
        })
        .await;
        *own.lock().unwrap_or_else(PoisonError::into_inner) = format!("http://{}", server.address);
        Self { server, key }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn rotate(&self, id: &str, seed: u8) {
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = (id.to_owned(), [seed; 32]);
    }

    fn token(&self, audience: &str, scope: &str) -> String {
        let (id, seed) = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let claims = json!({"iss": self.url(), "aud": audience, "sub": CANARY, "exp": now + 300, "scope": scope, "roles": ["dev"]});
        let signed = format!("{}.{}", b64(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": id}).to_string()), b64(claims.to_string()));
        format!("{signed}.{}", b64(pair(&seed).sign(signed.as_bytes())))
    }

    fn key_questions(&self) -> usize {
        self.server.seen().iter().filter(|seen| seen.target == "/keys").count()
    }
}

fn pair(seed: &[u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(seed).expect("a seed")
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A gateway that knows its own URL, as it has to before it starts.
async fn behind(folder: &Folder, backend: &Backend, issuer: &Issuer) -> (Gateway, String) {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let resource = format!("http://{free}/mcp");
    let settings = json!({
        "grants": ["http:/.well-known/oauth-protected-resource*", format!("fetch:{} GET private", issuer.url())],
        "config": {
            "resource": resource, "issuers": [{"issuer": issuer.url(), "roles_claim": "roles"}], "scopes": ["mcp"], "refetch_s": 1,
            "includes": {"notes:write": ["notes:read"]},
            "requires": [{"methods": ["tools/call"], "names": ["slow"], "scopes": ["notes:read"]}],
        },
    });
    let config = json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"listen": free.to_string(),
        "chain": ["builtin:auth-jwt"], "plugins": {"settings": {"auth-jwt": settings}}}});
    (Gateway::start(folder, config).await, resource)
}

/// Every parameter of a `Bearer` challenge.
fn parameter<'r>(reply: &'r Reply, name: &str) -> Option<&'r str> {
    let challenge = reply.header("www-authenticate")?.strip_prefix("Bearer ")?;
    challenge.split(", ").find_map(|part| part.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
}

async fn get(url: &str) -> Reply {
    let (authority, path) = url.strip_prefix("http://").and_then(|rest| rest.split_at_checked(rest.find('/')?)).expect("a URL");
    let mut connection = Connection::open(authority).await.expect("the endpoint");
    connection.exchange(format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n\r\n").as_bytes()).await.expect("an answer")
}

#[test]
fn s118_a_stranger_is_told_where_the_metadata_is_and_it_names_the_endpoint() {
    beside("auth-jwt, metadata", 90, async {
        let (backend, issuer, folder) = (Backend::recording(&["echo"]).await, Issuer::start().await, Folder::new());
        let (_gateway, resource) = behind(&folder, &backend, &issuer).await;
        let address = resource.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/mcp")).expect("its own URL");
        for era in Era::BOTH {
            let reply = Caller::silent(address, era, "").call("echo", "{}").await.expect("an answer");
            assert_eq!((reply.status, parameter(&reply, "scope")), (401, Some("mcp")), "{era:?}");
            let place = parameter(&reply, "resource_metadata").expect("a place").to_owned();
            assert_eq!(place, format!("http://{address}/.well-known/oauth-protected-resource/mcp"));
            // As the header says, and where clients look that have seen no header.
            for place in [place, format!("http://{address}/.well-known/oauth-protected-resource")] {
                let found = get(&place).await;
                assert_eq!((found.status, found.header("content-type")), (200, Some("application/json")), "{place}");
                let metadata = found.json();
                assert_eq!(metadata["resource"], *resource);
                assert_eq!(metadata["authorization_servers"], json!([issuer.url()]));
            }
        }
        assert_eq!(get(&format!("http://{address}/.well-known/oauth-protected-resource/other")).await.status, 404);
        assert_eq!(backend.asked("tools/call"), 0);
    });
}

#[test]
fn a_token_for_this_endpoint_lets_in_and_is_seen_nowhere_after() {
    beside("auth-jwt, tokens", 120, async {
        let (backend, issuer, folder) = (Backend::recording(&["echo", "slow"]).await, Issuer::start().await, Folder::new());
        let (mut gateway, resource) = behind(&folder, &backend, &issuer).await;
        let good = issuer.token(&resource, "mcp");
        let foreign = issuer.token("https://elsewhere.example/mcp", "mcp");
        let bare = issuer.token(&resource, "other");
        let wide = issuer.token(&resource, "mcp notes:write");
        let mut forged = issuer.token(&resource, "mcp notes:write admin");
        forged.replace_range(forged.len() - 8..forged.len() - 4, "AAAA");
        for era in Era::BOTH {
            Caller::new(&gateway.address, era, &good).await.result("echo", "{}").await;
            for (token, status, error) in
                [(&foreign, 401, "invalid_token"), (&forged, 401, "invalid_token"), (&bare, 403, "insufficient_scope")]
            {
                let calls = backend.asked("tools/call");
                let reply = Caller::silent(&gateway.address, era, token).call("echo", "{}").await.expect("an answer");
                assert_eq!((reply.status, parameter(&reply, "error")), (status, Some(error)), "{era:?}: {}", reply.answer());
                assert_eq!(backend.asked("tools/call"), calls);
            }
            // Step-up: the 403 names all scopes to ask for, and is whole before any stream begins.
            let mut caller = Caller::new(&gateway.address, era, &good).await;
            let reply = caller.call("slow", "{}").await.expect("an answer");
            assert_eq!((reply.status, parameter(&reply, "error")), (403, Some("insufficient_scope")), "{}", reply.answer());
            assert_eq!(parameter(&reply, "scope"), Some("mcp notes:read"));
            assert_eq!(reply.header("content-type"), Some("application/json"));
            // A session is its principal's, not the token's.
            caller.key.clone_from(&wide);
            caller.result("slow", "{}").await;
        }
        assert_eq!(issuer.key_questions(), 1, "one key set serves all of it");
        let metrics = gateway.metrics().await;
        gateway.signal(Signal::SIGTERM);
        assert_eq!(gateway.ended(Duration::from_secs(20)).await.and_then(|status| status.code()), Some(0));
        let upstream: Vec<String> =
            backend.server.seen().iter().map(|seen| format!("{seen:?} {}", String::from_utf8_lossy(&seen.body))).collect();
        assert!(upstream.len() > 4 && folder.read("audit.jsonl").contains(CANARY), "the control: the subject is known");
        let written = [folder.read("audit.jsonl"), gateway.log(|_| true).join("\n"), metrics, upstream.join("\n")];
        for token in [&good, &foreign, &bare, &wide, &forged] {
            for part in token.split('.').filter(|part| part.len() > 60) {
                assert!(written.iter().all(|text| !text.contains(part)), "a token was repeated");
            }
        }
    });
}

#[test]
fn keys_change_while_calls_go_on() {
    beside("auth-jwt, rotation", 120, async {
        let (backend, issuer, folder) = (Backend::echo(&["echo"]).await, Issuer::start().await, Folder::new());
        let (gateway, resource) = behind(&folder, &backend, &issuer).await;
        for (at, id) in ["first", "second", "third"].into_iter().enumerate() {
            issuer.rotate(id, at as u8 + 1);
            let old = issuer.key_questions();
            // All at once, no two tokens alike, and with a key that nobody has seen: one asks for all.
            let calls = (0..16).map(|at| {
                let mut caller = Caller::silent(&gateway.address, Era::Modern, &issuer.token(&resource, &format!("mcp x{at}")));
                tokio::spawn(async move { caller.call("echo", "{}").await })
            });
            for call in calls.collect::<Vec<_>>() {
                let reply = call.await.expect("a task").expect("an answer");
                assert!(reply.json()["result"].is_object(), "{id}: {} {}", reply.status, reply.answer());
            }
            assert_eq!(issuer.key_questions(), old + 1, "{id}");
            // The least time between two questions.
            tokio::time::sleep(Duration::from_millis(2_100)).await;
        }
        let (asked, began) = (issuer.key_questions(), Instant::now());
        for at in 0..200 {
            let header = b64(json!({"alg": "EdDSA", "typ": "at+jwt", "kid": format!("nobody-{at}")}).to_string());
            let good = issuer.token(&resource, "mcp");
            let token = format!("{header}.{}", good.split_once('.').expect("parts").1);
            let reply = Caller::silent(&gateway.address, Era::Modern, &token).call("echo", "{}").await.expect("an answer");
            assert_eq!(reply.status, 401, "{}", reply.answer());
        }
        // Clocks of plugins tick in whole seconds, so one more may be asked at either end.
        let most = began.elapsed().as_secs() + 2;
        assert!((issuer.key_questions() - asked) as u64 <= most, "a flood of names");
        let wrong: Vec<Value> = gateway.exchanges().into_iter().filter(|line| line["outcome"] == "failed").collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    });
}

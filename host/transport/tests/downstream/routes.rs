//! Routes of plugins beside the endpoint: who reaches them, what they are shown, what goes back.

use crate::support::{Endpoint, Reply, Rig, eventually, request, start};
use futures_util::future::BoxFuture;
use sluice_chain::{
    attributes::Attributes,
    catalogue::Offer,
    fault::Fault,
    filter::{Authentication, Credential, Filter, Hook, Identity, Interest, NotificationVerdict, Pass, Selector, Verdict},
    generation::{Link, Mode, OnFault, Policy},
    record::Ended,
    route::{Route, RouteRequest, RouteResponse},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Semaphore;

/// Answers with what it was shown; at `/slow` once there is room, at `/trap` not at all.
struct Page {
    identity: Arc<Identity>,
    interest: Interest,
    room: Arc<Semaphore>,
    answered: Arc<AtomicUsize>,
}

fn page(name: &str, policy: Policy) -> Link {
    slow_page(name, policy, &Arc::new(Semaphore::new(0)), &Arc::default())
}

fn slow_page(name: &str, policy: Policy, room: &Arc<Semaphore>, answered: &Arc<AtomicUsize>) -> Link {
    let route = |path: &str, methods: &[&str]| Route { path: path.into(), methods: methods.iter().map(|m| (*m).to_owned()).collect() };
    let routes = vec![route("/.well-known/oauth-protected-resource*", &["GET"]), route("/-/page/*", &["GET", "POST"])];
    let hooks = vec![(Hook::OnHttp, Selector::default()), (Hook::OnRequest, Selector::default())];
    let interest = Interest { hooks, routes, ..Interest::default() };
    let identity = Arc::new(Identity::new(name.into(), "1.0.0", "0"));
    Link::new(Arc::new(Page { identity, interest, room: room.clone(), answered: answered.clone() }), policy)
}

impl Filter for Page {
    fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    fn interest(&self) -> &Interest {
        &self.interest
    }

    fn on_http<'a>(&'a self, request: &'a RouteRequest, facts: Attributes) -> BoxFuture<'a, Result<RouteResponse, Fault>> {
        Box::pin(async move {
            match request.path.as_str() {
                "/-/page/trap" => return Err(Fault::Trap("as told".into())),
                "/-/page/panic" => panic!("as told"),
                "/-/page/slow" => drop(self.room.acquire().await),
                _ => {}
            }
            self.answered.fetch_add(1, Relaxed);
            let names: Vec<_> = request.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let transport = facts.find("transport.kind").unwrap_or_default();
            let RouteRequest { method, path, query, base, body, .. } = request;
            let body = format!("{} {method} {path} {query:?} {base} {transport} {names:?} {body:?}", self.identity.name);
            let headers = vec![("content-type".to_owned(), "text/plain".to_owned()), ("cache-control".to_owned(), "max-age=5".to_owned())];
            Ok(RouteResponse { status: 201, headers, body: body.into() })
        })
    }

    fn authenticate<'a>(&'a self, _: &'a Credential, _: &'a mut Attributes) -> BoxFuture<'a, Result<Authentication, Fault>> {
        Box::pin(async { Ok(Authentication::Abstain) })
    }

    fn on_request<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(async { Ok(Verdict::Next(None)) })
    }

    fn on_response<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<Verdict, Fault>> {
        Box::pin(async { Ok(Verdict::Next(None)) })
    }

    fn on_notification<'a>(&'a self, _: &'a mut Pass<'_>) -> BoxFuture<'a, Result<NotificationVerdict, Fault>> {
        Box::pin(async { Ok(NotificationVerdict::Next(None)) })
    }

    fn on_catalog<'a>(&'a self, _: &'a mut Offer) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }

    fn on_done<'a>(&'a self, _: &'a Ended) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async { Ok(()) })
    }
}

async fn serving(links: Vec<Link>) -> Endpoint {
    let endpoint = start().await;
    endpoint.host.swap(links);
    endpoint
}

/// Without a credential, unless one is given.
async fn ask(endpoint: &Endpoint, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let bare = [("authorization", ""), ("content-type", ""), ("accept", "")];
    let bare = bare.into_iter().filter(|(name, _)| !headers.iter().any(|(given, _)| given == name));
    let headers: Vec<_> = headers.iter().copied().chain(bare).collect();
    endpoint.connect().await.ask(&request(method, path, &headers, body)).await
}

async fn get(endpoint: &Endpoint, path: &str) -> Reply {
    ask(endpoint, "GET", path, &[], b"").await
}

#[tokio::test]
async fn a_route_answers_whoever_has_said_nothing_and_the_endpoint_still_asks() {
    let endpoint = serving(vec![page("page", Policy::default())]).await;
    let reply = ask(&endpoint, "POST", "/-/page/a%2fb?code=x&y", &[("x-own", "1"), ("host", "localhost:80")], b"sent").await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let shown = r#"page POST /-/page/a%2fb Some("code=x&y") http://localhost:80 http ["x-own=1"] b"sent""#;
    assert_eq!(reply.text(), shown);
    assert_eq!(*endpoint.seen.routes.lock().unwrap(), ["POST /-/page/a%2fb answered Some(201)"]);
    let id = reply.header("x-request-id").expect("an id under which it is found");
    assert_eq!(id.len(), 16);
    assert_eq!(get(&endpoint, "/.well-known/oauth-protected-resource/mcp").await.status, 201);
    assert_eq!(ask(&endpoint, "GET", "/mcp", &[], b"").await.status, 401);
    endpoint.is_well().await;
    // Another chain, other routes.
    endpoint.host.swap(Vec::<sluice_chain::generation::Link>::new());
    assert_eq!(get(&endpoint, "/-/page/x").await.status, 404);
}

#[tokio::test]
async fn what_a_page_may_do_is_said_where_the_plugin_does_not_say_it() {
    let endpoint = serving(vec![page("page", Policy::default())]).await;
    let reply = get(&endpoint, "/-/page/x").await;
    assert_eq!((reply.header("cache-control"), reply.header("x-content-type-options")), (Some("max-age=5"), Some("nosniff")));
    let policy = reply.header("content-security-policy").expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let head = ask(&endpoint, "HEAD", "/-/page/x", &[("connection", "close")], b"").await;
    assert_eq!((head.status, head.body.len()), (201, 0));
    assert!(endpoint.seen.routes.lock().unwrap()[1].starts_with("GET /-/page/x answered"), "a HEAD is a GET to the plugin");
}

#[tokio::test]
async fn a_plugin_sees_no_credential_and_nothing_that_proxies_say() {
    let endpoint = serving(vec![page("page", Policy::default())]).await;
    let headers = [
        ("authorization", "Bearer secret"),
        ("x-api-key", "secret"),
        ("proxy-authorization", "Basic secret"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-real-ip", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("via", "1.1 secret"),
        ("cf-access-jwt-assertion", "secret"),
        ("x-amzn-oidc-data", "secret"),
        ("x-goog-iap-jwt-assertion", "secret"),
        ("x-ms-token-aad-access-token", "secret"),
        ("mcp-session-id", "secret"),
        ("cookie", "own=1"),
    ];
    let reply = ask(&endpoint, "GET", "/-/page/x", &headers, b"").await;
    assert!(reply.text().contains(r#"["cookie=own=1"]"#) && !reply.text().contains("secret"), "{}", reply.text());
}

#[tokio::test]
async fn names_methods_and_bodies_are_checked_before_a_plugin_hears_of_them() {
    let endpoint = serving(vec![page("page", Policy::default())]).await;
    for stranger in [("host", "evil.example.com"), ("origin", "https://evil.example.com"), ("origin", "null")] {
        assert_eq!(ask(&endpoint, "GET", "/-/page/x", &[stranger], b"").await.status, 403, "{stranger:?}");
    }
    let reply = ask(&endpoint, "DELETE", "/-/page/x", &[], b"").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, POST")));
    let reply = ask(&endpoint, "POST", "/.well-known/oauth-protected-resource", &[], b"").await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
    let longest = vec![b'x'; 64 * 1024];
    assert_eq!(ask(&endpoint, "POST", "/-/page/x", &[], &[&longest[..], b"x"].concat()).await.status, 413);
    for path in ["/-/page", "/-/other/x", "/-/", "/.well-known/ai-catalog.json/x", "/mcp/x"] {
        assert_eq!(get(&endpoint, path).await.status, 404, "{path}");
    }
    assert!(endpoint.seen.routes.lock().unwrap().is_empty());
    assert_eq!(ask(&endpoint, "POST", "/-/page/x", &[], &longest).await.status, 201, "the control: at the bound it is heard");
}

#[tokio::test]
async fn the_hosts_own_paths_stay_its_own() {
    // No plugin host would load such routes; the listener does not depend on that.
    let greedy = Route { path: "/*".into(), methods: vec!["GET".into(), "POST".into()] };
    let identity = Arc::new(Identity::new("greedy".into(), "1.0.0", "0"));
    let interest = Interest { hooks: vec![(Hook::OnHttp, Selector::default())], routes: vec![greedy], ..Interest::default() };
    let link =
        Link::new(Arc::new(Page { identity, interest, room: Arc::new(Semaphore::new(0)), answered: Arc::default() }), Policy::default());
    let endpoint = serving(vec![link]).await;
    for (path, status) in
        [("/mcp", 401), ("/sse", 401), ("/messages", 401), ("/mcp/server-card", 200), ("/.well-known/ai-catalog.json", 200)]
    {
        let reply = get(&endpoint, path).await;
        assert!(reply.status == status && !reply.text().contains("greedy"), "{path}: {} {}", reply.status, reply.text());
    }
    assert!(get(&endpoint, "/else").await.text().starts_with("greedy"), "the control: any other path it would get");
    endpoint.is_well().await;
}

#[tokio::test]
async fn a_plugin_that_breaks_is_refused_skipped_or_switched_off() {
    let endpoint = serving(vec![page("first", Policy::default()), page("second", Policy::default())]).await;
    assert!(get(&endpoint, "/-/page/x").await.text().starts_with("first "), "config order decides");
    let broken = get(&endpoint, "/-/page/trap").await;
    assert_eq!((broken.status, broken.json()["error"]["data"]["reason"].as_str()), (500, Some("plugin_fault")), "{}", broken.text());
    assert!(!broken.text().contains("as told"), "{}", broken.text());
    assert_eq!(endpoint.seen.routes.lock().unwrap().last().map(String::as_str), Some("GET /-/page/trap fault:trap None"));
    assert_eq!(get(&endpoint, "/-/page/panic").await.status, 500, "a bug of the host costs one answer");
    for _ in 0..4 {
        get(&endpoint, "/-/page/trap").await;
    }
    let off = get(&endpoint, "/-/page/x").await;
    assert_eq!((off.status, off.json()["error"]["data"]["reason"].as_str()), (503, Some("plugin_off")), "{}", off.text());
    assert!(off.header("retry-after").is_some());
    // Strangers reach the page; what they break there is not for those who call tools.
    endpoint.is_well().await;
    let skipped = Policy { on_fault: OnFault::Skip, ..Policy::default() };
    endpoint.host.swap(vec![page("first", skipped.clone()), page("second", skipped)]);
    assert_eq!(get(&endpoint, "/-/page/trap").await.status, 404, "both are passed over");
    let verdicts = endpoint.seen.routes.lock().unwrap();
    assert!(verdicts[verdicts.len() - 2..].iter().all(|line| line == "GET /-/page/trap bypassed:trap None"), "{verdicts:?}");
}

#[tokio::test]
async fn in_audit_mode_an_answer_is_written_down_and_not_given() {
    let audited = Policy { mode: Mode::Audit, ..Policy::default() };
    let endpoint = serving(vec![page("first", audited)]).await;
    assert_eq!(get(&endpoint, "/-/page/x").await.status, 404);
    assert_eq!(*endpoint.seen.routes.lock().unwrap(), ["GET /-/page/x audit:answered None"]);
}

#[tokio::test]
async fn strangers_cannot_take_all_the_room_and_who_leaves_cancels_nothing() {
    let (room, answered) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let endpoint = Rig { route_calls_max: 2, ..Rig::default() }.start().await;
    endpoint.host.swap(vec![slow_page("page", Policy::default(), &room, &answered)]);
    let bytes = request("GET", "/-/page/slow", &[("authorization", "")], b"");
    let (mut first, mut second) = (endpoint.connect().await, endpoint.connect().await);
    first.send(&bytes).await;
    second.send(&bytes).await;
    let mut turned_away = None;
    for _ in 0..200 {
        let reply = get(&endpoint, "/-/page/x").await;
        if reply.status == 503 {
            turned_away = Some(reply);
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let turned_away = turned_away.expect("there is room for two");
    assert_eq!(turned_away.json()["error"]["data"]["reason"], "routes_busy");
    endpoint.is_well().await;
    let before = answered.load(Relaxed);
    drop(first);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(get(&endpoint, "/-/page/x").await.status, 503, "whoever left is still being answered");
    room.add_permits(2);
    assert_eq!(second.reply().await.expect("an answer").status, 201);
    eventually("the one whose client left ends, too", || answered.load(Relaxed) == before + 2).await;
    eventually("its place is free", || endpoint.seen.routes.lock().unwrap().iter().filter(|line| line.contains("slow")).count() == 2).await;
    assert_eq!(get(&endpoint, "/-/page/x").await.status, 201);
}

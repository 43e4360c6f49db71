//! Many upstreams behind one list: whole, in order, honest about how long it holds, and each entry leads home.

use crate::support::{Log, Rig, Scripted, Tailor, eventually, modern_body, modern_headers, tools};
use sluice_chain::{
    catalogue::Change,
    generation::Policy,
    selector::{Conditions, Globs},
    upstream::{Upstream, UpstreamError},
};
use sluice_wire::revision::Era;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

fn tool(name: &str, properties: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object","properties":{{{properties}}}}}}}"#)
}

/// A modern upstream with these tools that answers every call.
fn server(name: &str, definitions: Vec<String>, hints: &'static str) -> Arc<Scripted> {
    Scripted::new(name, Era::Modern, move |outbound| {
        Ok(match outbound.message.method() {
            "tools/list" => tools(&definitions, hints),
            _ => r#""result":{"content":[],"resultType":"complete"}"#.into(),
        })
    })
}

const HINTS: &str = r#","ttlMs":0,"cacheScope":"private""#;

fn unreachable() -> Arc<Scripted> {
    Scripted::new("gone", Era::Modern, |_| Err(UpstreamError::Unreachable { reason: "gone".into() }))
}

#[tokio::test]
async fn a_server_that_stumbles_over_its_list_is_asked_once_more() {
    for (stumbles, shown, asked) in [(1, &["t"][..], 2), (2, &[][..], 2)] {
        let left = AtomicUsize::new(stumbles);
        let upstream = Scripted::new("one", Era::Modern, move |_| match left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)) {
            Ok(_) => Err(UpstreamError::BadReply { reason: "HTTP 500".into() }),
            Err(_) => Ok(tools(&[tool("t", "")], HINTS)),
        });
        let endpoint = Rig::over(vec![upstream.clone()]).start().await;
        assert_eq!(endpoint.tool_names().await, shown);
        assert_eq!(upstream.targets("tools/list").len(), asked);
    }
}

#[tokio::test]
async fn s024_a_tool_whose_header_annotation_breaks_the_rules_is_left_out_and_named() {
    let (log, _guard) = Log::start();
    let annotated = |kind: &str| format!(r#"{{"type":"{kind}","x-mcp-header":"A"}}"#);
    let definitions = vec![
        tool("plain", ""),
        tool("fine", &format!(r#""a":{}"#, annotated("string"))),
        tool("twice", &format!(r#""a":{},"b":{}"#, annotated("string"), annotated("string").replace("\"A\"", "\"a\""))),
        tool("number", &format!(r#""a":{}"#, annotated("number"))),
        tool("items", &format!(r#""a":{{"type":"array","items":{}}}"#, annotated("string"))),
        tool("reference", r##""a":{"$ref":"#/$defs/a"}"##)
            .replace(r#""type":"object","#, &format!(r#""type":"object","$defs":{{"a":{}}},"#, annotated("string"))),
        tool("escaped", &format!(r#""a":{}"#, annotated("number").replace("x-mcp-header", r"x-mcp\u002dheader"))),
        tool("injects", r#""a":{"type":"string","x-mcp-header":"A\r\nX-Evil: 1"}"#),
        tool("credential", r#""a":{"type":"string","x-mcp-header":"Authorization"}"#),
    ];
    let endpoint = Rig::over(vec![server("one", definitions, HINTS)]).start().await;
    assert_eq!(endpoint.tool_names().await, ["plain", "fine"]);
    for name in ["twice", "number", "items", "reference", "escaped", "injects", "credential"] {
        assert_eq!(log.lines(&["x-mcp-header", &format!("tool={name}")]).len(), 1, "{name}");
        endpoint.modern("1", "tools/call", &format!(r#""name":"{name}""#)).await.is_error(200, -32602);
    }
}

#[tokio::test]
async fn s026_headers_that_the_server_refuses_are_made_anew_once() {
    for (refusals, code) in [(1, None), (2, Some(-32603))] {
        let (lists, left) = (AtomicUsize::new(0), AtomicUsize::new(refusals));
        let upstream = Scripted::new("one", Era::Modern, move |outbound| {
            if outbound.message.method() == "tools/list" {
                // The schema changes, and nobody says so.
                let header = ["Old", "New"][lists.fetch_add(1, SeqCst).min(1)];
                return Ok(tools(&[tool("t", &format!(r#""a":{{"type":"string","x-mcp-header":"{header}"}}"#))], HINTS));
            }
            let sent: Vec<&str> = outbound.mirrored.iter().map(|annotation| annotation.header.as_str()).collect();
            let refuses = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
            assert_eq!(sent, [if refuses && left.load(SeqCst) == refusals - 1 { "Old" } else { "New" }]);
            Ok(match refuses {
                true => r#""error":{"code":-32020,"message":"header mismatch"}"#.into(),
                false => r#""result":{"content":[],"resultType":"complete"}"#.into(),
            })
        });
        let endpoint = Rig::over(vec![upstream.clone()]).start().await;
        let params = r#""name":"t","arguments":{"a":"x"}"#;
        let headers = [&modern_headers("tools/call", params)[..], &[("mcp-param-old", "x")]].concat();
        let reply = endpoint.post(&headers, &modern_body("1", "tools/call", params)).await;
        assert_eq!(upstream.targets("tools/call").len(), 2, "sent again once");
        assert_eq!(upstream.targets("tools/list").len(), 2);
        match code {
            None => assert!(reply.json()["result"].is_object(), "{}", reply.text()),
            Some(code) => assert_eq!(reply.is_error(200, code)["error"]["data"]["reason"], "upstream_bad_reply"),
        }
    }
}

/// Pages of 100 tools behind the cursors "", "1", "2", …
fn paged(name: &'static str, pages: usize) -> Arc<Scripted> {
    Scripted::new(name, Era::Modern, move |outbound| {
        let at = match outbound.message.param("cursor").and_then(|cursor| cursor.as_str().map(|c| c.into_owned())) {
            None => 0,
            Some(cursor) if cursor.is_empty() => 1,
            Some(cursor) => cursor.parse::<usize>().expect("a cursor of ours") + 1,
        };
        let definitions: Vec<String> = (0..100).map(|n| tool(&format!("{name}-{}", at * 100 + n), "")).collect();
        let next = if at == 0 { String::new() } else { at.to_string() };
        let next = if at + 1 < pages { format!(r#","nextCursor":"{next}""#) } else { String::new() };
        Ok(tools(&definitions, &format!("{next}{HINTS}")))
    })
}

#[tokio::test]
async fn s102_a_walk_over_paged_upstreams_yields_each_entry_once_in_one_order() {
    let endpoint = Rig::over(vec![paged("one", 4), paged("two", 3)]).start().await;
    let mut walks = Vec::new();
    for _ in 0..2 {
        let (mut names, mut cursor) = (Vec::new(), String::new());
        for page in 0.. {
            assert!(page < 10, "the walk ends");
            let list = endpoint.result("tools/list", &cursor).await;
            names.extend(list["tools"].as_array().expect("tools").iter().map(|tool| tool["name"].to_string()));
            let Some(next) = list.get("nextCursor") else { break };
            cursor = format!(r#""cursor":{next}"#);
        }
        walks.push(names);
    }
    let expected: Vec<String> = (0..400).map(|n| format!("\"one-{n}\"")).chain((0..300).map(|n| format!("\"two-{n}\""))).collect();
    assert_eq!(walks[0], expected);
    assert_eq!(walks[0], walks[1]);
    endpoint.modern("1", "tools/list", r#""cursor":"forged""#).await.is_error(200, -32602);
}

#[tokio::test]
async fn s103_an_upstream_that_repeats_its_cursor_ends_the_walk_and_is_named() {
    let (log, _guard) = Log::start();
    let endless = Scripted::new("endless", Era::Modern, |_| Ok(tools(&[tool("t", "")], &format!(r#","nextCursor":"again"{HINTS}"#))));
    let endpoint = Rig::over(vec![endless.clone(), server("good", vec![tool("g", "")], HINTS)]).start().await;
    assert!(endpoint.tool_names().await.contains(&"g".to_owned()));
    assert_eq!(endless.targets("tools/list").len(), 2);
    assert_eq!(log.lines(&["ERROR", "endless", "repeats a cursor"]).len(), 1);
}

#[tokio::test]
async fn an_upstream_with_ever_new_cursors_is_read_only_so_far() {
    let page = AtomicUsize::new(0);
    let endless = Scripted::new("endless", Era::Modern, move |_| {
        let at = page.fetch_add(1, SeqCst);
        Ok(tools(&[tool(&format!("t{at}"), "")], &format!(r#","nextCursor":"{at}"{HINTS}"#)))
    });
    let endpoint = Rig::over(vec![endless.clone(), server("good", vec![tool("g", "")], HINTS)]).start().await;
    assert_eq!(endpoint.result("tools/call", r#""name":"g""#).await["resultType"], "complete");
    assert_eq!(endless.targets("tools/list").len(), 1_000);
}

#[tokio::test]
async fn s104_a_merged_list_is_private_and_holds_as_long_as_its_shortest_part() {
    let private = server("private", vec![tool("a", "")], r#","ttlMs":30000,"cacheScope":"private""#);
    let public = server("public", vec![tool("b", "")], r#","ttlMs":50000,"cacheScope":"public""#);
    let endpoint = Rig::over(vec![private, public.clone()]).start().await;
    let list = endpoint.result("tools/list", "").await;
    let ttl = list["ttlMs"].as_u64().expect("a time");
    assert!((25_000..=30_000).contains(&ttl), "{list}");
    assert_eq!(list["cacheScope"], "private");
    let silent = Scripted::new("silent", Era::Legacy, |_| Ok(r#""result":{"tools":[]}"#.into()));
    let list = Rig::over(vec![public, silent]).start().await.result("tools/list", "").await;
    assert_eq!(list["ttlMs"], 0, "no word is no promise");
}

/// Bob does not see `secret`.
fn hides_from_bob() -> Tailor {
    let shape = |who: &str, entry: &sluice_chain::catalogue::Entry| match (who, &*entry.name) {
        ("bob", "secret") => Change::Hide,
        _ => Change::Keep,
    };
    Tailor { shape: Some(Box::new(shape)), ..Tailor::default() }
}

/// The list that this caller gets.
async fn listed(endpoint: &crate::support::Endpoint, who: &str) -> serde_json::Value {
    let who = format!("Bearer {who}");
    let headers = [&modern_headers("tools/list", "")[..], &[("authorization", &who)]].concat();
    endpoint.post(&headers, &modern_body("1", "tools/list", "")).await.json()["result"].take()
}

#[tokio::test]
async fn s105_what_depends_on_the_caller_is_private() {
    let public = server("one", vec![tool("open", ""), tool("secret", "")], r#","ttlMs":50000,"cacheScope":"public""#);
    let endpoint = Rig::over(vec![public]).start().await;
    endpoint.host.swap(hides_from_bob().chain(Policy::default()));
    for (who, count) in [("alice", 2), ("bob", 1)] {
        let list = listed(&endpoint, who).await;
        assert_eq!((&list["cacheScope"], list["tools"].as_array().map(Vec::len)), (&"private".into(), Some(count)), "{who}");
    }
}

#[tokio::test]
async fn s106_a_public_list_kept_for_one_principal_is_not_another_ones() {
    let public = server("one", vec![tool("open", ""), tool("secret", "")], r#","ttlMs":50000,"cacheScope":"public""#);
    let endpoint = Rig::over(vec![public.clone()]).start().await;
    endpoint.host.swap(hides_from_bob().chain(Policy::default()));
    for _ in 0..3 {
        assert!(listed(&endpoint, "alice").await.to_string().contains("secret"), "the control");
        assert!(!listed(&endpoint, "bob").await.to_string().contains("secret"));
    }
    assert_eq!(public.targets("tools/list").len(), 1, "the upstream's list was kept all the while");
}

#[tokio::test]
async fn s107_a_list_without_the_upstream_that_is_down_holds_for_no_time() {
    let good = server("good", vec![tool("g", "")], r#","ttlMs":50000,"cacheScope":"public""#);
    let endpoint = Rig::over(vec![unreachable(), good]).start().await;
    let list = endpoint.result("tools/list", "").await;
    assert_eq!((list["tools"].as_array().map(Vec::len), &list["ttlMs"]), (Some(1), &0.into()), "{list}");
}

#[tokio::test]
async fn s108_a_link_in_a_result_leads_back_to_the_upstream_that_gave_it() {
    let link = r#""result":{"content":[{"type":"resource_link","name":"r","uri":"file:///of-two"}],"resultType":"complete"}"#;
    let both = ["one", "two"].map(|name| {
        Scripted::new(name, Era::Modern, move |outbound| {
            Ok(match outbound.message.method() {
                "tools/list" => tools(&[tool(&format!("link-{name}"), "")], HINTS),
                "resources/list" => r#""result":{"resources":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#.into(),
                "resources/templates/list" => {
                    r#""result":{"resourceTemplates":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#.into()
                }
                "tools/call" => link.into(),
                _ => r#""result":{"contents":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#.into(),
            })
        })
    });
    let upstreams = both.iter().map(|one| one.clone() as Arc<dyn Upstream>).collect();
    let endpoint = Rig::over(upstreams).start().await;
    let read = r#""uri":"file:///of-two""#;
    endpoint.modern("1", "resources/read", read).await.is_error(200, -32602);
    endpoint.result("tools/call", r#""name":"link-two""#).await;
    endpoint.result("resources/read", read).await;
    assert_eq!((both[0].targets("resources/read").len(), both[1].targets("resources/read")), (0, vec!["file:///of-two".to_owned()]));
}

/// A condition on servers that lists did not know would hide everybody's tools, or nobody's.
#[tokio::test]
async fn a_filter_shapes_only_entries_of_servers_that_it_is_for() {
    let both = ["one", "two", "three"].map(|name| {
        Scripted::new(name, Era::Modern, move |_| {
            let tools = format!(r#"[{{"name":"{name}-a","inputSchema":{{}}}},{{"name":"{name}-b","inputSchema":{{}}}}]"#);
            Ok(format!(r#""result":{{"tools":{tools},"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#).into())
        })
    });
    let endpoint = Rig::over(both.iter().map(|one| one.clone() as Arc<dyn Upstream>).collect()).start().await;
    let shape = |_: &str, entry: &sluice_chain::catalogue::Entry| match &*entry.name {
        "one-a" | "two-a" => Change::Hide,
        name => Change::Rename(format!("seen-{name}")),
    };
    let of = |upstreams: &[&str]| {
        let when = Conditions { upstreams: Globs::new(upstreams), ..Conditions::default() };
        Tailor { shape: Some(Box::new(shape)), ..Tailor::default() }.chain(Policy { when, ..Policy::default() })
    };
    for (upstreams, expected) in [
        (&["two"][..], &["one-a", "one-b", "seen-two-b", "three-a", "three-b"][..]),
        (&["t*"], &["one-a", "one-b", "seen-two-b", "seen-three-a", "seen-three-b"]),
        (&["nobody"], &["one-a", "one-b", "two-a", "two-b", "three-a", "three-b"]),
        (&[], &["seen-one-b", "seen-two-b", "seen-three-a", "seen-three-b"]),
    ] {
        endpoint.host.swap(of(upstreams));
        let listed = endpoint.result("tools/list", "").await;
        let names: Vec<&str> = listed["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(names, expected, "{upstreams:?}");
    }
}

#[tokio::test]
async fn s110_a_completion_for_a_renamed_prompt_reaches_it_under_its_own_name() {
    let both = ["one", "two"].map(|name| {
        Scripted::new(name, Era::Modern, move |outbound| {
            Ok(match outbound.message.method() {
                "prompts/list" => {
                    r#""result":{"prompts":[{"name":"greet"}],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#.into()
                }
                _ => r#""result":{"completion":{"values":[]},"resultType":"complete"}"#.into(),
            })
        })
    });
    let endpoint = Rig::over(both.iter().map(|one| one.clone() as Arc<dyn Upstream>).collect()).start().await;
    let shape = |_: &str, entry: &sluice_chain::catalogue::Entry| Change::Rename(format!("{}_{}", entry.owner, entry.name));
    endpoint.host.swap(Tailor { shape: Some(Box::new(shape)), ..Tailor::default() }.chain(Policy::default()));
    let complete = |name: &str| format!(r#""ref":{{"type":"ref/prompt","name":"{name}"}},"argument":{{"name":"a","value":"v"}}"#);
    let headers = [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "completion/complete")];
    let reply = endpoint.post(&headers, &modern_body("1", "completion/complete", &complete("two_greet"))).await;
    assert!(reply.json()["result"].is_object(), "{}", reply.text());
    let asked: Vec<String> = both[1].texts().into_iter().filter(|text| text.contains("completion/complete")).collect();
    assert!(asked.len() == 1 && asked[0].contains(r#""name":"greet""#), "{asked:?}");
    eventually("nobody else is asked", || !both[0].texts().iter().any(|text| text.contains("completion/complete"))).await;
}

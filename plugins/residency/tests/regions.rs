//! The plugin on whole lists and requests.

use std::cell::RefCell;

use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_plugin_residency::{OUTSIDE, Residency, policy::Policy};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

/// Attributes of a caller.
type Who<'a> = &'a [(&'a str, &'a str)];

const ACME: Who = &[("principal.tenant", "acme"), ("principal.subject", "ada")];
const UMBRA: Who = &[("principal.tenant", "umbra"), ("principal.subject", "bob"), ("principal.claim.region", "us\nap-1")];
const NOBODY: Who = &[];

const UPSTREAMS: &[&str] = &["crm-eu", "crm-us", "both", "asia", "nowhere"];

fn settings(callers: Value) -> Value {
    json!({
        "places": [
            {"upstreams": ["crm-eu", "both"], "regions": ["eu"]},
            {"upstreams": ["crm-us", "both"], "regions": ["us"]},
            {"upstreams": ["as*"], "regions": ["ap-1", "ap-2"]},
        ],
        "callers": callers,
    })
}

fn plugin(config: &Value) -> Residency {
    testing::plugin(&config.to_string()).unwrap()
}

/// The upstreams of which a caller sees something.
fn shown(config: &Value, who: Who) -> Vec<&'static str> {
    let viewer = who.iter().fold(FakeViewer::of(5), |viewer, (key, value)| viewer.with_attr(key, value));
    let entries: Vec<_> = UPSTREAMS.iter().map(|upstream| Entry::new(upstream, "lookup", "")).collect();
    let kinds = [ListKind::Tools, ListKind::Prompts, ListKind::Resources, ListKind::ResourceTemplates];
    let lists = kinds.map(|kind| plugin(config).on_catalog(&viewer, kind, &entries).changes);
    assert!(lists.iter().all(|list| *list == lists[0]), "the same of all that an upstream offers");
    let kept = UPSTREAMS.iter().zip(&lists[0]).filter(|(_, change)| **change == Change::Keep);
    kept.map(|(upstream, _)| *upstream).collect()
}

/// The verdict on a request, and the labels.
fn asked(config: &Value, who: Who, method: &str, upstream: Option<&str>) -> (Verdict, Option<String>) {
    let x = who.iter().fold(FakeExchange::default(), |x, (key, value)| x.with_attr(key, value));
    let x = upstream.into_iter().fold(x, FakeExchange::with_upstream);
    let verdict = plugin(config).on_request(&testing::head(method), &x);
    (verdict, x.set_attrs().remove("regions"))
}

#[track_caller]
fn reaches(callers: Value, who: Who, expected: &[&str]) {
    let config = settings(callers);
    assert_eq!(shown(&config, who), expected, "{config}");
    for upstream in UPSTREAMS {
        for method in ["tools/call", "resources/read", "resources/subscribe", "prompts/get", "completion/complete", "tasks/get"] {
            match asked(&config, who, method, Some(upstream)).0 {
                Verdict::Next => assert!(expected.contains(upstream), "{method} {upstream}"),
                Verdict::Reject(no) => {
                    assert!(!expected.contains(upstream), "{method} {upstream}");
                    assert_eq!((no.code, no.http_status), (OUTSIDE, Some(403)));
                    assert!(!no.message.contains(upstream) && !no.message.contains("eu"), "whose fault it is, not what there is");
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn f080_a_caller_reaches_what_lies_wholly_in_its_regions() {
    reaches(json!([{"tenants": ["acme"], "regions": ["eu"]}]), ACME, &["crm-eu"]);
    reaches(json!([{"tenants": ["acme"], "regions": ["eu", "us"]}]), ACME, &["crm-eu", "crm-us", "both"]);
    reaches(json!([{"regions": ["ap-1"]}]), ACME, &[]);
    reaches(json!([{"regions": ["ap-*"]}]), ACME, &["asia"]);
    reaches(json!([{"regions": ["*"]}]), NOBODY, &["crm-eu", "crm-us", "both", "asia"]);
}

#[test]
fn whom_nothing_is_about_reaches_nothing() {
    reaches(json!([{"tenants": ["acme"], "regions": ["*"]}]), UMBRA, &[]);
    reaches(json!([{"tenants": ["*"], "regions": ["*"]}]), NOBODY, &[]);
    reaches(json!([{"subjects": ["a*"], "tenants": ["umbra"], "regions": ["*"]}]), ACME, &[]);
    reaches(json!([{"tenants": [], "regions": ["*"]}]), ACME, &[]);
}

#[test]
fn the_first_that_is_about_a_caller_counts() {
    let callers = json!([
        {"tenants": ["acme"], "subjects": ["eve"], "regions": ["*"]},
        {"tenants": ["acme"], "regions": ["us"]},
        {"regions": ["eu"]},
    ]);
    reaches(callers.clone(), ACME, &["crm-us"]);
    reaches(callers.clone(), NOBODY, &["crm-eu"]);
    reaches(callers, &[("principal.tenant", "acme"), ("principal.subject", "eve")], &["crm-eu", "crm-us", "both", "asia"]);
}

#[test]
fn a_claim_names_regions_and_is_no_glob() {
    reaches(json!([{"claim": "region"}]), UMBRA, &["crm-us"]);
    reaches(json!([{"claim": "region"}]), &[("principal.claim.region", "ap-1\nap-2\neu")], &["crm-eu", "asia"]);
    for none in ["*", "", "eu us", "EU", "eu,us", "e"] {
        reaches(json!([{"claim": "region"}]), &[("principal.claim.region", none)], &[]);
    }
    reaches(json!([{"claim": "region"}]), ACME, &[]);
    reaches(json!([{"claim": "region", "regions": ["eu", "us"]}]), &[("principal.claim.region", "ap-1\nap-2\neu")], &["crm-eu"]);
}

#[test]
fn where_nobody_knows_the_operator_may_not_mind() {
    let mut config = settings(json!([{"tenants": ["acme"], "regions": ["eu"]}]));
    assert_eq!(shown(&config, ACME), ["crm-eu"]);
    config["unknown"] = json!("allow");
    assert_eq!(shown(&config, ACME), ["crm-eu", "nowhere"]);
    assert_eq!(asked(&config, ACME, "tools/call", Some("nowhere")), (Verdict::Next, Some(String::new())));
}

#[test]
fn where_a_request_goes_is_labelled() {
    let config = settings(json!([{"regions": ["*"]}]));
    assert_eq!(asked(&config, ACME, "tools/call", Some("both")), (Verdict::Next, Some("eu us".to_string())));
    assert_eq!(asked(&config, ACME, "tools/list", None), (Verdict::Next, None));
    assert_eq!(asked(&settings(json!([{"regions": ["x"]}])), ACME, "tools/call", Some("both")).1, None);
}

/// What is asked of a viewer decides who shares a list.
#[test]
fn nothing_is_asked_that_decides_nothing() {
    let asked = |callers: Value| {
        let policy = Policy::new(serde_json::from_value(settings(callers)).unwrap()).unwrap();
        let asked = RefCell::new(Vec::new());
        policy.reach(|key| {
            asked.borrow_mut().push(key.to_string());
            ACME.iter().find(|(known, _)| *known == key).map(|(_, value)| value.to_string())
        });
        asked.into_inner()
    };
    assert!(asked(json!([{"regions": ["eu"]}])).is_empty());
    assert_eq!(asked(json!([{"tenants": ["acme"], "regions": ["eu"]}, {"claim": "region"}])), ["principal.tenant"]);
    assert_eq!(asked(json!([{"tenants": ["b"], "regions": ["eu"]}, {"claim": "r"}])), ["principal.tenant", "principal.claim.r"]);
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    for (callers, says) in [
        (json!([{"tenants": ["acme"]}]), "callers 1 needs regions"),
        (json!([{"regions": ["eu"]}, {"tenants": ["acme"], "regions": ["us"]}]), "callers 1 is about everybody"),
    ] {
        let error = testing::plugin::<Residency>(&settings(callers).to_string()).err().unwrap();
        assert!(error.starts_with(says), "{error}");
    }
}

fn texts(from: &'static [&'static str]) -> impl Strategy<Value = Value> {
    proptest::option::of(proptest::sample::subsequence(from, 0..3)).prop_map(|texts| json!(texts))
}

prop_compose! {
    fn caller()(tenants in texts(&["acme", "um*", "*"]), regions in texts(&["eu", "us", "ap-*", "*"])) -> Value {
        json!({"tenants": tenants, "regions": regions, "claim": "region"})
    }
}

proptest! {
    /// What is shown is what may be called.
    #[test]
    fn lists_and_requests_agree(mut callers in proptest::collection::vec(caller(), 1..4), unknown in any::<bool>()) {
        let last = callers.len() - 1;
        for caller in &mut callers[..last] {
            if caller["tenants"].is_null() {
                caller["tenants"] = json!(["acme"]);
            }
        }
        let mut config = settings(json!(callers));
        config["unknown"] = json!(if unknown { "allow" } else { "refuse" });
        for who in [ACME, UMBRA, NOBODY] {
            let seen = shown(&config, who);
            for upstream in UPSTREAMS {
                let passes = asked(&config, who, "tools/call", Some(upstream)).0 == Verdict::Next;
                prop_assert_eq!(passes, seen.contains(upstream));
            }
        }
    }
}

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<Residency>(&config).map(|_| ()).unwrap();
}

//! The pages: who may finish a connection, and how it ends.

use serde_json::{Value, json};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange};

use crate::world::*;

#[test]
fn a_person_connects_and_the_call_goes_on() {
    let world = World::new(per_person());
    let ada = caller("ada");
    let link = link_of(world.challenged(&ada, 401, "Bearer scope=\"read write\"", None));
    assert!(link.starts_with("https://mcp.example.com/-/oauth-client/connect?link="), "{link}");
    assert_eq!(link_of(world.challenged(&ada, 401, "Bearer scope=\"read write\"", None)), link, "asked again, the same link");
    let (asked, cookie) = world.consent(&link, "ada");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "registered"),
        ("redirect_uri", "https://mcp.example.com/-/oauth-client/callback"),
        ("resource", UPSTREAM),
        ("scope", "read write"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(of(&asked, name), value);
    }
    let done = world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]);
    assert_eq!(done.status, 200, "{}", text(&done));
    let exchanged = &world.asked(&format!("{AS}/token"))[0];
    assert_eq!((exchanged.of("code"), exchanged.of("resource")), (Some("good"), Some(UPSTREAM)));
    assert!(exchanged.of("code_verifier").is_some_and(|verifier| verifier.len() == 43));

    assert_eq!(bearer(world.leaves(&ada)), "access-1");
    assert_eq!(bearer(world.leaves(&ada)), "access-1", "and stays");
    assert!(matches!(world.leaves(&caller("bob")), sluice_plugin_oauth_client::outbound::Decision::Bare), "nobody else's");
    assert_eq!(world.visit("GET", &link, &cookie, "").status, 404, "the link is used up");
    assert_eq!(world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]).status, 404, "and so is the state");
}

/// T10, statement 127: what is forwarded is worth nothing to whoever it is forwarded to.
#[test]
fn somebody_elses_link_is_refused_and_burnt() {
    let world = World::new(per_person());
    let link = world.link(&caller("ada"));
    let (answer, cookie) = world.sign_in(&link, "bob");
    assert!(answer.status == 403 && text(&answer).contains("not yours"), "{}", text(&answer));
    assert_eq!(world.visit("GET", &link, &cookie, "").status, 404, "burnt, also for ada");
    assert!(testing::log_lines().iter().any(|line| line.message.contains("somebody else")));
    let new = world.link(&caller("ada"));
    assert_ne!(new, link);
    assert_eq!(world.sign_in(&new, "ada").0.status, 303, "the control");
}

#[test]
fn a_browser_that_did_not_begin_does_not_end() {
    let world = World::new(per_person());
    let link = world.link(&caller("ada"));
    let (asked, cookie) = world.consent(&link, "ada");
    // Ada sends the authorization server's page on to bob, whose browser comes back with his account.
    let answer = world.back(&asked, "", &[("code", "bobs"), ("iss", AS)]);
    assert_eq!(answer.status, 403, "{}", text(&answer));
    assert_eq!(world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]).status, 404, "the link is burnt");
    assert!(world.asked(&format!("{AS}/token")).is_empty());
}

#[test]
fn the_form_needs_its_browser_and_its_token() {
    let world = World::new(per_person());
    let link = world.link(&caller("ada"));
    let (_, cookie) = world.sign_in(&link, "ada");
    let page = world.visit("GET", &link, &cookie, "");
    let (shown, token) = (text(&page), csrf(&page));
    for part in ["<b>ada</b>", "https://as.example.com", "<b>tools</b>"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let policy = header(&page, "content-security-policy");
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"), "{policy}");
    assert_eq!((header(&page, "cache-control"), header(&page, "x-frame-options")), ("no-store", "DENY"));
    for (cookie, body) in [
        ("", format!("csrf={token}&answer=yes")),
        (cookie.as_str(), "answer=yes".to_string()),
        (cookie.as_str(), "csrf=x&answer=yes".to_string()),
        (&cookie.replace('=', "=x"), format!("csrf={token}&answer=yes")),
    ] {
        assert_eq!(world.visit("POST", &link, cookie, &body).status, 403, "{cookie} {body}");
    }
    assert_eq!(world.visit("GET", &link, "", "").status, 303, "another browser has to sign in itself");
    let fine = world.visit("POST", &link, &cookie, &format!("csrf={token}&answer=yes"));
    assert_eq!(fine.status, 303, "the control");
}

#[test]
fn the_cookie_of_before_the_sign_in_is_worth_nothing_after_it() {
    let world = World::new(per_person());
    let link = world.link(&caller("ada"));
    let planted = cookie(&world.visit("GET", &link, "", ""));
    let (_, own) = world.sign_in(&link, "ada");
    assert_ne!(planted, own);
    assert_eq!(world.visit("GET", &link, &planted, "").status, 303, "it is sent to sign in");
    assert_eq!(world.visit("GET", &link, &own, "").status, 200);
}

/// Statement 124 and RFC 9207: before the code is shown to anybody.
#[test]
fn an_answer_of_another_server_ends_the_connection() {
    for (members, ends) in [
        (vec![("code", "good"), ("iss", "https://evil.example")], true),
        (vec![("code", "good"), ("iss", "https://as.example.com/")], true),
        (vec![("code", "good")], true),
        (vec![("error", "access_denied"), ("error_description", "call 555 now"), ("iss", "https://evil.example")], true),
        (vec![("error", "access_denied"), ("error_description", "call 555 now"), ("iss", AS)], false),
    ] {
        let world = World::new(per_person());
        let link = world.link(&caller("ada"));
        let (asked, cookie) = world.consent(&link, "ada");
        let answer = world.back(&asked, &cookie, &members);
        let said = text(&answer);
        assert!(answer.status >= 400 && !said.contains("555") && !said.contains("access_denied"), "{members:?}: {said}");
        assert!(world.asked(&format!("{AS}/token")).is_empty(), "{members:?}");
        assert_eq!(world.visit("GET", &link, &cookie, "").status, if ends { 404 } else { 200 }, "{members:?}");
    }
    let world = World::new(per_person());
    let mut silent = server(AS);
    silent["authorization_response_iss_parameter_supported"] = json!(false);
    world.answers(AS_METADATA, 200, silent);
    let (asked, cookie) = world.consent(&world.link(&caller("ada")), "ada");
    assert_eq!(world.back(&asked, &cookie, &[("code", "good")]).status, 200, "the control: it never says it");
}

#[test]
fn a_no_is_a_no() {
    let world = World::new(per_person());
    let link = world.link(&caller("ada"));
    let (_, cookie) = world.sign_in(&link, "ada");
    let token = csrf(&world.visit("GET", &link, &cookie, ""));
    assert_eq!(world.visit("POST", &link, &cookie, &format!("csrf={token}&answer=no")).status, 200);
    assert_eq!(world.visit("GET", &link, &cookie, "").status, 404);
    let declined = caller("ada").with_elicited("oauth-client", &Elicited::Decline);
    assert_eq!(rejected(world.challenged(&declined, 401, "Bearer", None)).0, 4013);
}

#[test]
fn links_and_states_end_with_their_time() {
    let world = World::new(per_person());
    let link = world.link(&caller("ada"));
    let (asked, cookie) = world.consent(&link, "ada");
    testing::advance_ms(10 * 60 * 1000);
    assert_eq!(world.back(&asked, &cookie, &[("code", "good"), ("iss", AS)]).status, 404);
    assert_ne!(world.link(&caller("ada")), link);
}

#[test]
fn without_a_way_to_sign_in_no_link_is_made() {
    let without = |change: &dyn Fn(&mut Value)| {
        let mut config = per_person();
        change(&mut config);
        World::new(config)
    };
    let local = |config: &mut Value| {
        config["sign_in"] = json!("local");
        config["public_url"] = json!("http://127.0.0.1:8080");
    };
    let tenant = || caller("ada").with_attr("principal.tenant", "acme");
    let of_the_host = || FakeExchange::default().with_attr("principal.id", "4:host/-/local").with_attr("principal.subject", "local");
    let cases: [(World, FakeExchange); 4] = [
        (without(&|config| drop(config.as_object_mut().unwrap().remove("sign_in"))), caller("ada")),
        (without(&local), caller("local")),
        (without(&|_| {}), tenant()),
        (without(&|_| {}), caller("ada").with_attr("principal.claim.iss", "https://other.example.com")),
    ];
    for (world, x) in cases {
        let (code, message) = rejected(world.challenged(&x, 401, "Bearer", None));
        assert!(code == 5010 && message.contains("no way to tell"), "{message}");
    }
    let (code, _) = rejected(World::new(per_person()).challenged(&FakeExchange::default(), 401, "Bearer", None));
    assert_eq!(code, 4014, "nobody has nothing kept");
    let nameless = caller("f00d").with_attr("principal.authority", "host-anonymous");
    let (code, _) = rejected(World::new(per_person()).challenged(&nameless, 401, "Bearer", None));
    assert_eq!(code, 4014, "somebody else with the next request");
    without(&local).link(&of_the_host());
    without(&|config| config["sign_in"]["tenant_claim"] = json!("org")).link(&tenant());
    World::new(per_person()).link(&caller("ada").with_attr("principal.claim.iss", IDP));
}

#[test]
fn the_one_user_of_a_machine_connects_from_it() {
    let mut config = per_person();
    config["sign_in"] = json!("local");
    config["public_url"] = json!("http://127.0.0.1:8080");
    let world = World::new(config);
    let local = FakeExchange::default().with_attr("principal.id", "4:host/-/local").with_attr("principal.subject", "local");
    let link = world.link(&local);
    let path = link.strip_prefix("http://127.0.0.1:8080").unwrap();
    assert_eq!(world.visit("GET", path, "", "").status, 403, "from elsewhere");
    let here = |method: &str, target: &str, cookie: &str, body: &str| {
        let headers = vec![("cookie".to_string(), cookie.to_string())];
        let (path, query) = target.split_once('?').unwrap();
        let (method, path, query) = (method.to_string(), path.to_string(), Some(query.to_string()));
        let request = HttpRequest { method, path, query, headers, body: body.as_bytes().to_vec(), base: String::new() };
        let x = FakeExchange::default().with_attr("transport.peer", "127.0.0.1");
        sluice_plugin_oauth_client::connect::answer(&world.config, &world.bucket, &request, &x)
    };
    let page = here("GET", path, "", "");
    let own = cookie(&page);
    let sent = here("POST", path, &own, &format!("csrf={}&answer=yes", csrf(&page)));
    assert_eq!(sent.status, 303, "{}", text(&sent));
    let back = format!("/-/oauth-client/callback?code=good&iss=https://as.example.com&state={}", of(&query(&sent), "state"));
    assert_eq!(here("GET", &back, "", "").status, 403, "another browser");
    let link = world.link(&local);
    let path = link.strip_prefix("http://127.0.0.1:8080").unwrap();
    let page = here("GET", path, "", "");
    let sent = here("POST", path, &cookie(&page), &format!("csrf={}&answer=yes", csrf(&page)));
    let back = format!("/-/oauth-client/callback?code=good&iss=https://as.example.com&state={}", of(&query(&sent), "state"));
    assert_eq!(here("GET", &back, &cookie(&page), "").status, 200);
    assert_eq!(bearer(world.leaves(&local)), "access-1");
}

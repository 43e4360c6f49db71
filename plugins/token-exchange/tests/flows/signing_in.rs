//! Two steps on behalf of a person: the sign-in, the provider's assertion, the token for it.

use serde_json::json;
use sluice_sdk::prelude::*;
use sluice_sdk::testing;

use crate::world::*;

/// The provider answers a code or a refresh token with tokens of this round, and an exchange with an assertion, if the id token is of it.
fn provider(world: &World, round: u32) {
    world.answers_with(IDP_TOKEN, move |asked| {
        let good = format!("idp-id-{round}");
        Ok(match asked.of("grant_type").unwrap() {
            "urn:ietf:params:oauth:grant-type:token-exchange" if asked.of("subject_token") == Some(&good) => (200, assertion().to_string()),
            "urn:ietf:params:oauth:grant-type:token-exchange" => (400, json!({"error": "invalid_grant"}).to_string()),
            _ => (200, signed_in(round).to_string()),
        })
    });
}

fn world() -> World {
    let world = World::new(id_jag());
    provider(&world, 1);
    world
}

/// features.md §56, in the words of draft-ietf-oauth-identity-assertion-authz-grant.
#[test]
fn f056_an_assertion_of_the_provider_is_turned_into_a_token() {
    let world = world();
    world.sign_in(&caller("ada"), "ada");
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    let all = world.asked.borrow().clone();
    let [code, who, exchange, grant] = &all[..] else { panic!("{all:?}") };
    assert_eq!((code.of("grant_type"), code.of("code"), code.of("client_id")), (Some("authorization_code"), Some("good"), Some("at-idp")));
    assert_eq!(code.of("redirect_uri"), Some("https://mcp.example.com/-/token-exchange/callback/corp"));
    assert_eq!((who.url.as_str(), who.header.as_deref()), (USERINFO, Some("Bearer idp-access-1")));
    for (name, value) in [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:id-jag"),
        ("audience", "https://sts.example.com"),
        ("resource", UPSTREAM),
        ("scope", "read"),
        ("subject_token", "idp-id-1"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("client_id", "at-idp"),
        ("client_secret", "idp-secret"),
    ] {
        assert_eq!(exchange.of(name), Some(value), "{name}");
    }
    assert_eq!((grant.of("grant_type"), grant.of("assertion")), (Some("urn:ietf:params:oauth:grant-type:jwt-bearer"), Some("the-id-jag")));
    assert_eq!(grant.header.as_deref(), Some("at-sts:client-secret"));
    for seen in [&exchange.seen, &grant.seen] {
        assert!(!seen.contains("idp-id-1") && !seen.contains("the-id-jag"), "a token was in the guest: {seen}");
    }
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    assert_eq!(world.asked.borrow().len(), 4, "the next call asks nobody");
}

#[test]
fn the_browser_is_sent_there_with_pkce_and_a_state_that_is_good_once() {
    let world = world();
    let link = link_of(world.leaves(&caller("ada")));
    assert!(link.starts_with("https://mcp.example.com/-/token-exchange/sign-in?link="), "{link}");
    assert_eq!(link_of(world.leaves(&caller("ada"))), link, "it is open already");
    let (asked, cookie) = world.begin(&link);
    assert_eq!((of(&asked, "x"), of(&asked, "scope"), of(&asked, "code_challenge_method")), ("y", "openid", "S256"));
    let page = world.visit(&link, "");
    assert!(header(&page, "set-cookie").contains("; Path=/-/token-exchange/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"));
    assert!(header(&page, "location").starts_with("https://id.example.com/authorize?x=y&response_type=code&"));
    assert_eq!(world.back(&asked, &cookie, "ada").status, 404, "opened anew, the older state is none");
    let (asked, cookie) = world.begin(&link);
    assert_eq!(world.back(&asked, &cookie, "ada").status, 200);
    assert_eq!(world.back(&asked, &cookie, "ada").status, 404, "a state is good once");
    assert_eq!(world.visit(&link, "").status, 404, "and so is the link");
    let verifier = world.asked(IDP_TOKEN)[0].of("code_verifier").unwrap().to_string();
    assert!(verifier.len() == 43 && of(&asked, "code_challenge") != verifier);
}

/// T10: a link is forwarded; what it is worth to whoever opens it is nothing.
#[test]
fn a_link_of_somebody_else_is_burnt() {
    let world = world();
    let link = link_of(world.leaves(&caller("ada")));
    let (asked, cookie) = world.begin(&link);
    let refused = world.back(&asked, &cookie, "bob");
    assert_eq!(refused.status, 403, "{}", text(&refused));
    let next = link_of(world.leaves(&caller("ada")));
    assert!(next != link, "nothing of bob's is ada's");
    link_of(world.leaves(&caller("bob")));

    let (asked, _) = world.begin(&next);
    let (_, other) = world.begin(&link_of(world.leaves(&caller("bob"))));
    let tokens = world.asked(IDP_TOKEN).len();
    assert_eq!(world.back(&asked, &other, "ada").status, 403, "another browser");
    assert_eq!(world.back(&asked, "", "ada").status, 404, "burnt");
    assert_eq!(world.asked(IDP_TOKEN).len(), tokens, "the code was shown to nobody");
}

#[test]
fn answers_from_elsewhere_and_noes_are_no_sign_in() {
    let world = world();
    let back = |members: &[(&str, &str)], server: &str| {
        let (asked, cookie) = world.begin(&link_of(world.leaves(&caller("ada"))));
        let mut members = members.to_vec();
        members.push(("state", of(&asked, "state")));
        world.visit(&format!("/-/token-exchange/callback/{server}?{}", sluice_plugin_token_exchange::url::form(&members)), &cookie)
    };
    assert_eq!(back(&[("code", "stolen"), ("iss", "https://id.example.com/")], "corp").status, 400);
    assert_eq!(back(&[("code", "stolen"), ("iss", "https://evil.example")], "corp").status, 400);
    assert_eq!(back(&[("code", "stolen"), ("iss", IDP)], "sts").status, 404, "it was sent to another server's page");
    assert_eq!(back(&[("code", "stolen")], "nobody").status, 404);
    assert_eq!(back(&[("error", "access_denied"), ("iss", IDP)], "corp").status, 403);
    for path in [
        "/-/token-exchange/",
        "/-/token-exchange/callback/corp",
        "/-/token-exchange/callback/corp?state=x.y&code=z",
        "/-/token-exchange/sign-in?link=x",
    ] {
        assert_eq!(world.visit(path, "").status, 404, "{path}");
    }
    assert!(world.asked.borrow().is_empty(), "no code was shown to anybody");
}

#[test]
fn a_provider_that_does_not_say_who_it_was_is_not_believed() {
    for (status, who) in
        [(200, json!({})), (200, json!({"sub": ""})), (200, json!({"sub": ["ada"]})), (401, json!({"sub": "ada"})), (200, json!("ada"))]
    {
        let world = world();
        let (asked, cookie) = world.begin(&link_of(world.leaves(&caller("ada"))));
        world.answers(USERINFO, status, who.clone());
        let members = sluice_plugin_token_exchange::url::form(&[("code", "good"), ("state", of(&asked, "state"))]);
        let page = world.visit(&format!("/-/token-exchange/callback/corp?{members}"), &cookie);
        assert_eq!(page.status, 502, "{who}: {}", text(&page));
        link_of(world.leaves(&caller("ada")));
    }
}

#[test]
fn a_tenant_has_to_be_the_providers_word_too() {
    let mut config = id_jag();
    let x = || caller("ada").with_attr("principal.tenant", "acme");
    let world = World::new(config.clone());
    let (code, message) = rejected(world.leaves(&x()));
    assert!(code == 5010 && message.contains("no way to tell"), "{message}");

    config["servers"]["corp"]["sign_in"]["tenant_claim"] = json!("org");
    let world = World::new(config);
    provider(&world, 1);
    for (org, status) in [(json!("evil"), 403), (json!(null), 403), (json!("acme"), 200)] {
        let (asked, cookie) = world.begin(&link_of(world.leaves(&x())));
        world.answers(USERINFO, 200, json!({"sub": "ada", "org": org}));
        let members = sluice_plugin_token_exchange::url::form(&[("code", "good"), ("state", of(&asked, "state"))]);
        assert_eq!(world.visit(&format!("/-/token-exchange/callback/corp?{members}"), &cookie).status, status, "{org}");
    }
}

#[test]
fn who_is_vouched_for_by_another_issuer_cannot_sign_in_here() {
    let world = world();
    let (code, message) = rejected(world.leaves(&caller("ada").with_attr("principal.claim.iss", "https://other.example.com")));
    assert!(code == 5010 && message.contains("no way to tell"), "{message}");
    link_of(world.leaves(&caller("bob").with_attr("principal.claim.iss", IDP)));
}

#[test]
fn who_declines_is_told_so() {
    let world = world();
    let x = caller("ada").with_elicited("token-exchange", &Elicited::Decline);
    let (code, message) = rejected(world.leaves(&x));
    assert!(code == 4013 && message.contains("declined"), "{message}");
}

#[test]
fn a_sign_in_that_is_over_is_renewed_without_anybody() {
    let world = world();
    world.sign_in(&caller("ada"), "ada");
    bearer(world.leaves(&caller("ada")));
    // The identity token ends, and only the provider knows.
    provider(&world, 2);
    testing::advance_ms(600_000);
    world.answers(STS, 200, issued("access-2"));
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-2");
    let grants: Vec<String> = world.asked(IDP_TOKEN).iter().filter_map(|asked| asked.of("refresh_token").map(str::to_string)).collect();
    assert_eq!(grants, ["idp-refresh-1"]);
    // A refresh token that is rotated takes the place of the other.
    provider(&world, 3);
    testing::advance_ms(600_000);
    bearer(world.leaves(&caller("ada")));
    assert_eq!(world.asked(IDP_TOKEN).iter().filter_map(|asked| asked.of("refresh_token")).next_back(), Some("idp-refresh-2"));
}

#[test]
fn without_a_way_to_renew_it_the_caller_signs_in_again() {
    let world = world();
    world.sign_in(&caller("ada"), "ada");
    bearer(world.leaves(&caller("ada")));
    testing::advance_ms(600_000);
    world.answers(IDP_TOKEN, 400, json!({"error": "invalid_grant"}));
    link_of(world.leaves(&caller("ada")));
    let asked = world.asked(IDP_TOKEN).len();
    link_of(world.leaves(&caller("ada")));
    assert_eq!(world.asked(IDP_TOKEN).len(), asked, "there is nothing left to ask for");
    provider(&world, 2);
    world.sign_in(&caller("ada"), "ada");
    bearer(world.leaves(&caller("ada")));
}

/// Else a policy of the provider's would send people in circles.
#[test]
fn who_has_just_signed_in_is_not_sent_to_do_it_again() {
    let world = world();
    world.sign_in(&caller("ada"), "ada");
    world.answers_with(IDP_TOKEN, |asked| {
        Ok(match asked.of("grant_type").unwrap() {
            "refresh_token" => (200, signed_in(2).to_string()),
            _ => (400, json!({"error": "invalid_request"}).to_string()),
        })
    });
    let (code, message) = rejected(world.leaves(&caller("ada")));
    assert!(code == 4015 && message.contains("corp does not take what it was shown (invalid_request)"), "{message}");
    let asked = world.asked(IDP_TOKEN).len();
    rejected(world.leaves(&caller("ada")));
    assert_eq!(world.asked(IDP_TOKEN).len(), asked, "and it is remembered");
}

#[test]
fn whom_the_authorization_server_refuses_signs_in_for_nothing() {
    let world = world();
    world.sign_in(&caller("ada"), "ada");
    world.answers(STS, 400, json!({"error": "invalid_grant"}));
    let (code, message) = rejected(world.leaves(&caller("ada")));
    assert!(code == 4015 && message.contains("sts does not take what it was shown (invalid_grant)"), "{message}");
    assert_eq!(world.asked(STS).len(), 1);
}

#[test]
fn one_step_can_be_on_behalf_of_a_person_too() {
    let mut config = id_jag();
    config["upstreams"]["tools"] = json!({"mode": "exchange", "server": "sts", "idp": "corp", "subject": {"signed_in": "access_token"}});
    let world = World::new(config);
    provider(&world, 1);
    world.sign_in(&caller("ada"), "ada");
    assert_eq!(bearer(world.leaves(&caller("ada"))), "access-1");
    let asked = world.asked(STS).remove(0);
    assert_eq!(
        (asked.of("subject_token"), asked.of("requested_token_type")),
        (Some("idp-access-1"), Some("urn:ietf:params:oauth:token-type:access_token"))
    );
    // That one says when it ends, so nobody shows it afterwards.
    provider(&world, 2);
    testing::advance_ms(600_000);
    bearer(world.leaves(&caller("ada")));
    assert_eq!(world.asked(STS)[1].of("subject_token"), Some("idp-access-2"));
}

//! `oauth-client`: people connect their accounts, each their own, and what servers say is followed no further than it may be.

use crate::{
    authority::{Authority, Browser, back, protected},
    backend::Backend,
    caller::{Caller, Era, MODERN},
    folder::Folder,
    gateway::{Gateway, key_hash},
    turn::beside,
};
use serde_json::{Value, json};
use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

/// A gateway with two people, an identity provider that knows both, and one server that wants tokens.
struct Estate {
    gateway: Gateway,
    provider: Authority,
    backend: Backend,
    /// The issuer that the server names.
    named: Arc<Mutex<String>>,
    folder: Folder,
}

impl Estate {
    /// Requests to all of these authorization servers are granted; the server names the first.
    async fn start(authorities: &[&Authority]) -> Self {
        Self::before(authorities, true).await
    }

    async fn before(authorities: &[&Authority], only_calls: bool) -> Self {
        let provider = Authority::honest().await;
        let named = Arc::new(Mutex::new(authorities[0].issuer.clone()));
        let backend = protected(named.clone(), only_calls).await;
        let folder = Folder::new();
        // The address has to be known before: it stands in links, and comes from the settings only.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").to_string();
        let mut grants = vec!["outbound:only".to_owned(), "http:/-/oauth-client/*".to_owned(), provider.grant()];
        grants.push(format!("fetch:http://{} GET private", backend.server.address));
        grants.extend(authorities.iter().map(|authority| authority.grant()));
        let keys: Vec<Value> = ["ada", "bob"].iter().map(|who| json!({"id": who, "hash": key_hash(&format!("key-of-{who}"))})).collect();
        let config = json!({
            "public_url": format!("http://{free}"),
            "sign_in": {"issuer": provider.issuer, "client_id": "gateway"},
            "upstreams": {"only": {"mode": "authorization_code"}},
        });
        let own = json!({
            "listen": free,
            "chain": ["builtin:auth-api-key", "builtin:oauth-client"],
            "plugins": {"settings": {
                "auth-api-key": {"config": {"keys": keys}},
                "oauth-client": {"grants": grants, "config": config},
            }},
        });
        let gateway = Gateway::start(&folder, json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": own})).await;
        Self { gateway, provider, backend, named, folder }
    }

    /// One call of a modern client that can open links.
    async fn call(&self, who: &str) -> Value {
        let mut caller = Caller::silent(&self.gateway.address, Era::Modern, &format!("key-of-{who}"));
        let declared = r#"{"elicitation":{"url":{}}}"#;
        let meta =
            format!(r#"{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{declared}}}"#);
        let params = format!(r#"{{"name":"echo","arguments":{{"n":1}},"_meta":{meta}}}"#);
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        caller.post("tools/call", Some("echo"), &body).await.expect("an answer").json()
    }

    async fn is_connected(&self, who: &str) -> bool {
        let answer = self.call(who).await;
        answer["result"]["structuredContent"] == json!({"n": 1})
    }

    /// The page that the client is to open.
    async fn link(&self, who: &str) -> String {
        let answer = self.call(who).await;
        let questions = answer["result"]["inputRequests"].as_object().unwrap_or_else(|| panic!("no question: {answer}"));
        let question = questions.values().next().expect("a question");
        question["params"]["url"].as_str().unwrap_or_else(|| panic!("no link: {answer}")).to_owned()
    }

    /// All the way, in a new browser.
    async fn connect(&self, who: &str, authority: &Authority) {
        let link = self.link(who).await;
        self.go_through(&link, who, authority).await;
        assert!(self.is_connected(who).await);
    }

    async fn go_through(&self, link: &str, who: &str, authority: &Authority) {
        let mut browser = Browser::default();
        let query = browser.go_to_authorize(link, &self.provider, who).await;
        assert_eq!(query["resource"], self.backend.url);
        let done = browser.open(&back(link, &query["state"], "good", &authority.issuer)).await;
        assert_eq!(done.status, 200, "{}", String::from_utf8_lossy(&done.body));
    }
}

#[test]
fn a_person_connects_an_account_and_no_token_is_written_down() {
    beside("oauth-client", 120, async {
        let authority = Authority::honest().await;
        let estate = Estate::start(&[&authority]).await;
        let told = Caller::silent(&estate.gateway.address, Era::Modern, "key-of-ada").call("echo", "{}").await.expect("an answer");
        assert!(told.json()["result"]["isError"] == true && told.answer().contains("/-/oauth-client/connect?link="), "{}", told.answer());
        estate.connect("ada", &authority).await;
        assert!(!estate.is_connected("bob").await, "a grant is one person's");
        let everything = estate.folder.read("audit.jsonl") + &estate.gateway.metrics().await + &estate.gateway.log(|_| true).join("\n");
        for secret in ["access-token-of", "refresh-token-of", "client-secret-of", "code=good", "link="] {
            assert!(!everything.contains(secret), "{secret} is written down");
        }
        assert!(authority.was_asked("/register") && authority.was_asked("/token"), "{:?}", authority.asked());
    });
}

/// What a list waited for is not remembered: the person may be done at any moment.
#[test]
fn a_list_that_waited_for_a_person_is_there_with_the_next_request() {
    beside("oauth-client, lists", 120, async {
        let authority = Authority::honest().await;
        let estate = Estate::before(&[&authority], false).await;
        for (who, era) in [("ada", Era::Modern), ("bob", Era::Legacy)] {
            let mut caller = Caller::new(&estate.gateway.address, era, &format!("key-of-{who}")).await;
            let told = caller.ask("tools/list", None, "").await.expect("an answer").json();
            assert_eq!(told["error"]["data"]["reason"], "action_required", "{told}");
            let link = told["error"]["data"]["url"].as_str().expect("a link").to_owned();
            estate.go_through(&link, who, &authority).await;
            assert_eq!(caller.names("tools").await, ["echo"], "{era:?}");
            caller.result("echo", "{}").await;
        }
    });
}

/// Each fault ends the flow before anything is sent that could be misused; the control is the same flow without it.
#[test]
fn s124_metadata_of_another_issuer_or_without_s256_and_a_wrong_iss_end_the_flow() {
    beside("oauth-client, faults", 240, async {
        let another = Authority::start(|metadata| metadata["issuer"] = json!("https://another.example.com")).await;
        let plain = Authority::start(|metadata| metadata["code_challenge_methods_supported"] = json!(["plain"])).await;
        let silent =
            Authority::start(|metadata| drop(metadata.as_object_mut().expect("an object").remove("code_challenge_methods_supported")))
                .await;
        let honest = Authority::honest().await;
        let estate = Estate::start(&[&another, &plain, &silent, &honest]).await;
        for authority in [&another, &plain, &silent] {
            *estate.named.lock().expect("a lock") = authority.issuer.clone();
            let answer = estate.call("ada").await;
            assert_eq!(answer["error"]["code"], 5020, "{}: {answer}", authority.issuer);
            assert!(!answer.to_string().contains("another.example.com"), "what the server says stays here: {answer}");
            assert!(authority.was_asked("/.well-known/oauth-authorization-server"));
            assert!(!authority.was_asked("/register") && !authority.was_asked("/token"), "{:?}", authority.asked());
        }
        *estate.named.lock().expect("a lock") = honest.issuer.clone();
        for wrong in ["https://another.example.com", &format!("{}/", honest.issuer), &another.issuer] {
            let link = estate.link("ada").await;
            let mut browser = Browser::default();
            let query = browser.go_to_authorize(&link, &estate.provider, "ada").await;
            let ended = browser.open(&back(&link, &query["state"], "stolen", wrong)).await;
            assert_eq!(ended.status, 400, "{wrong}: {}", String::from_utf8_lossy(&ended.body));
            assert!(!honest.was_asked("/token"), "the code was shown to nobody");
            let again = browser.open(&back(&link, &query["state"], "stolen", &honest.issuer)).await;
            assert_eq!(again.status, 404, "the flow is over");
        }
        assert!(!estate.is_connected("ada").await);
        estate.connect("ada", &honest).await;
    });
}

#[test]
fn s125_a_new_authorization_server_gets_nothing_of_the_old_ones() {
    beside("oauth-client, migration", 120, async {
        let [old, new] = [Authority::honest().await, Authority::honest().await];
        let estate = Estate::start(&[&old, &new]).await;
        estate.connect("ada", &old).await;
        let asked_old = old.asked().len();
        *estate.named.lock().expect("a lock") = new.issuer.clone();
        estate.connect("ada", &new).await;
        // The control: what is looked for is what the old one was sent.
        let of_old = [format!("client-of-{}", old.issuer), format!("client-secret-of-{}", old.issuer)]
            .map(|text| text.replace(':', "%3A").replace('/', "%2F"));
        let bodies = |authority: &Authority| -> String {
            authority.server.seen().iter().map(|seen| String::from_utf8_lossy(&seen.body).into_owned() + "\n").collect()
        };
        for text in &of_old {
            assert!(bodies(&old).contains(text), "{text}: {}", bodies(&old));
        }
        let sent = bodies(&new)
            + &format!("{:?}", new.server.seen().iter().map(|seen| (seen.target.clone(), seen.headers.clone())).collect::<Vec<_>>());
        for text in of_old.iter().chain(&[old.token(), "refresh".to_owned()]) {
            // Only the kind of grant names refreshing, in the registration.
            assert!(!sent.replace("\"refresh_token\"", "").contains(text), "{text}: {sent}");
        }
        assert!(new.was_asked("/register"), "it is registered anew");
        assert_eq!(old.asked().len(), asked_old, "and the old one is asked for nothing more");
    });
}

/// T10: a link is forwarded; what it is worth to whoever opens it is nothing.
#[test]
fn s127_somebody_elses_connect_link_is_refused() {
    beside("oauth-client, forwarded", 120, async {
        let authority = Authority::honest().await;
        let estate = Estate::start(&[&authority]).await;
        let link = estate.link("ada").await;
        let mut bobs = Browser::default();
        let refused = bobs.sign_in(&link, &estate.provider, "bob").await;
        assert_eq!(refused.status, 403, "{}", String::from_utf8_lossy(&refused.body));
        let mut adas = Browser::default();
        assert_eq!(adas.open(&link).await.status, 404, "it is burnt");

        // Further on: ada begins, and bob ends.
        let link = estate.link("ada").await;
        let query = adas.go_to_authorize(&link, &estate.provider, "ada").await;
        let refused = bobs.open(&back(&link, &query["state"], "bobs", &authority.issuer)).await;
        assert_eq!(refused.status, 403, "{}", String::from_utf8_lossy(&refused.body));
        assert_eq!(adas.open(&back(&link, &query["state"], "good", &authority.issuer)).await.status, 404, "it is burnt");
        assert!(!authority.was_asked("/token"), "no code was redeemed");
        assert!(!estate.is_connected("ada").await && !estate.is_connected("bob").await);

        // The control: her own browser, all the way.
        estate.connect("ada", &authority).await;
        assert!(!estate.is_connected("bob").await);
    });
}

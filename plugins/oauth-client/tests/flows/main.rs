//! Whole connections, in the SDK's fake host: an upstream, its authorization server and an identity provider, all scripted.

mod connecting;
mod finding;
mod renewing;
mod service;
mod world;

use sluice_plugin_oauth_client::OauthClient;
use sluice_sdk::testing;

/// What the page shows can be pasted.
#[test]
fn the_example_of_the_page_is_accepted() {
    let page = include_str!("../../README.md");
    let sidecar = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let sidecar: toml::Value = toml::from_str(sidecar).unwrap();
    let config = serde_json::to_string(&sidecar["config"]).unwrap();
    testing::plugin::<OauthClient>(&config).map(|_| ()).unwrap();
}

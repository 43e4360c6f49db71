//! W19: whoever can write where plugins lie has an old one, an unsigned one, another's, a changed one. With signatures required none of
//! them runs; the operator's word for it is the control of each.

use crate::{
    backend::Backend,
    caller::Era,
    folder::{Folder, component},
    gateway::{Gateway, plain_command},
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::{path::Path, process::Output, time::Duration};

const SOON: Duration = Duration::from_secs(20);

/// The plugin of this version.
pub fn version(text: &str) -> Vec<u8> {
    let mut bytes = component("guest_versioned");
    let mark = b"@version:";
    let at = bytes.windows(mark.len()).position(|window| window == mark).expect("its version") + mark.len();
    bytes[at..at + 5].copy_from_slice(text.as_bytes());
    bytes
}

fn sluice(folder: &Folder, words: &[&str]) -> Output {
    plain_command(folder).arg("plugin").args(words).output().expect("sluice runs")
}

/// Makes a key; what is to be pinned.
pub fn key(folder: &Folder, name: &str) -> String {
    let made = sluice(folder, &["keygen", &format!("{name}.key")]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8_lossy(&made.stdout).trim().to_owned()
}

/// This version, signed with this key: the component and its signature.
pub fn signed(folder: &Folder, text: &str, key: &str) -> (Vec<u8>, Vec<u8>) {
    let name = format!("{text}-{key}.wasm");
    let file = folder.write(&name, version(text));
    let made = sluice(folder, &["sign", &name, "--key", &format!("{key}.key")]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let bytes = std::fs::read(&file).expect("the component");
    (bytes, std::fs::read(folder.path(&format!("{name}.sig"))).expect("its signature"))
}

fn drop_in(folder: &Folder, (wasm, signature): &(Vec<u8>, Vec<u8>)) {
    // The signature first: what is looked at in between is refused, and nothing changes.
    folder.drop_in("versioned.wasm.sig", signature);
    folder.drop_in("versioned.wasm", wasm);
}

fn drop_in_unsigned(folder: &Folder, text: &str) {
    folder.take_out("versioned.wasm.sig");
    folder.drop_in("versioned.wasm", version(text));
}

fn config(backend: &Backend, plugins: Value) -> Value {
    json!({"mcpServers": {"only": {"url": backend.url}}, "sluice": {"plugins": plugins}})
}

async fn runs(gateway: &Gateway) -> Value {
    gateway.caller(Era::Modern).await.result("echo", "{}").await["structuredContent"]["version"].take()
}

#[test]
fn an_older_plugin_does_not_come_back_and_neither_does_an_unsigned_one() {
    beside("supply", 180, async {
        let (backend, folder) = (Backend::echo(&["echo"]).await, Folder::new());
        let (acme, other) = (key(&folder, "acme"), key(&folder, "other"));
        let (old, new) = (signed(&folder, "1.0.0", "acme"), signed(&folder, "2.0.0", "acme"));
        let strangers = signed(&folder, "3.0.0", "other");
        let required = |more: Value| {
            let mut plugins = json!({"signatures": "required", "keys": {"acme": acme}});
            plugins.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            config(&backend, plugins)
        };
        drop_in(&folder, &new);
        let gateway = Gateway::start(&folder, required(json!({}))).await;
        assert_eq!(runs(&gateway).await, "2.0.0", "the control: what is signed and new runs");

        // While it runs: what is refused changes nothing.
        let said = async |words: &str| {
            let line = eventually(SOON, || async { gateway.errors(words).pop().ok_or_else(|| gateway.log(|_| true).join("\n")) }).await;
            assert!(line.contains("the chain stays as it was"), "{line}");
            assert_eq!(runs(&gateway).await, "2.0.0", "{words}");
        };
        drop_in(&folder, &old);
        said("and 2.0.0, signed by").await;
        drop_in(&folder, &strangers);
        said("is signed by none of the keys").await;
        drop_in_unsigned(&folder, "2.0.1");
        said("is not signed, and").await;
        drop(gateway);

        // After a restart, too; and each of them runs where the operator says so.
        let judged = async |words: &str, word_for_it: Value| {
            let refused = Gateway::refused(&folder, required(json!({}))).await;
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
            runs(&Gateway::start(&folder, required(word_for_it)).await).await
        };
        assert_eq!(judged("is not signed, and", json!({"signatures": "optional", "allow_downgrade": ["versioned@2.0.1"]})).await, "2.0.1");
        drop_in(&folder, &old);
        assert_eq!(judged("was in force before", json!({"allow_downgrade": ["versioned@1.0.0"]})).await, "1.0.0");
        drop_in(&folder, &strangers);
        assert_eq!(judged("is signed by none of the keys", json!({"keys": {"acme": acme, "other": other}})).await, "3.0.0");
    });
}

#[test]
fn a_plugin_that_was_signed_does_not_lose_its_signature_unseen() {
    beside("supply, optional", 120, async {
        let (backend, folder) = (Backend::echo(&["echo"]).await, Folder::new());
        let acme = key(&folder, "acme");
        let optional = |allowed: Value| config(&backend, json!({"keys": {"acme": acme}, "allow_downgrade": allowed}));
        folder.drop_in("versioned.wasm", version("1.0.0"));
        assert_eq!(runs(&Gateway::start(&folder, optional(json!([]))).await).await, "1.0.0", "the control: unsigned is fine");
        drop_in(&folder, &signed(&folder, "1.1.0", "acme"));
        assert_eq!(runs(&Gateway::start(&folder, optional(json!([]))).await).await, "1.1.0");
        drop_in_unsigned(&folder, "1.2.0");
        let refused = Gateway::refused(&folder, optional(json!([]))).await;
        assert!(refused.stderr.contains("without a signature that counts"), "{}", refused.stderr);
        assert_eq!(runs(&Gateway::start(&folder, optional(json!(["versioned@1.2.0"]))).await).await, "1.2.0", "the operator's word");
        // A signature that is there must be good, whatever is required.
        let (mut changed, signature) = signed(&folder, "1.3.0", "acme");
        let last = changed.len() - 1;
        changed[last] ^= 1;
        drop_in(&folder, &(changed, signature));
        let refused = Gateway::refused(&folder, optional(json!([]))).await;
        assert!(refused.stderr.contains("is not the file that was signed"), "{}", refused.stderr);
    });
}

#[test]
fn a_locked_file_is_not_exchanged() {
    beside("supply, locked", 120, async {
        let (backend, folder) = (Backend::echo(&["echo"]).await, Folder::new());
        let open = config(&backend, json!({}));
        let locked = config(&backend, json!({"locked": true}));
        folder.drop_in("versioned.wasm", version("1.0.0"));
        let refused = Gateway::refused(&folder, locked.clone()).await;
        assert!(refused.stderr.contains("sluice plugin lock"), "there is no lock yet: {}", refused.stderr);
        let file = folder.write("sluice.json", crate::gateway::complete(&folder, open.clone()).to_string());
        let plugins = folder.path("plugins");
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let made = sluice(&folder, &["lock", "--config", &text(&file), "--plugins", &text(&plugins)]);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        assert!(folder.read("plugins.lock").contains("version = \"1.0.0\""), "{}", folder.read("plugins.lock"));
        let gateway = Gateway::start(&folder, locked.clone()).await;
        assert_eq!(runs(&gateway).await, "1.0.0");
        folder.drop_in("versioned.wasm", version("1.0.1"));
        eventually(SOON, || async {
            gateway.errors("is not the file that is locked (versioned 1.0.0").pop().ok_or_else(|| "no word of it".to_owned())
        })
        .await;
        assert_eq!(runs(&gateway).await, "1.0.0");
        drop(gateway);
        for (name, words) in [("another.wasm", "is not among the locked plugins"), ("versioned.wasm", "is not the file that is locked")] {
            folder.drop_in(name, version("1.0.1"));
            let refused = Gateway::refused(&folder, locked.clone()).await;
            assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
            if name == "another.wasm" {
                folder.take_out(name);
            }
        }
        assert_eq!(runs(&Gateway::start(&folder, open).await).await, "1.0.1", "the control: without the lock it runs");
        folder.take_out("versioned.wasm");
        let refused = Gateway::refused(&folder, locked).await;
        assert!(refused.stderr.contains("is locked and not in the chain"), "{}", refused.stderr);
    });
}

#[test]
fn a_key_is_not_written_over_and_not_taken_from_where_others_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    key(&folder, "acme");
    let again = sluice(&folder, &["keygen", "acme.key"]);
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("cannot write"), "{again:?}");
    let path = folder.path("acme.key");
    assert_eq!(std::fs::metadata(&path).expect("a key").permissions().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("ours");
    folder.write("v.wasm", version("1.0.0"));
    let refused = sluice(&folder, &["sign", "v.wasm", "--key", "acme.key"]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("chmod 600"), "{refused:?}");
}

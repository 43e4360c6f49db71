//! Plugins from registries and URLs: what comes is what was meant, or nothing does. The registry is a real one.

use crate::{
    backend::Backend,
    caller::Era,
    folder::{Folder, component, marked},
    gateway::{Gateway, command, finish, plain_command},
    registry::{Registry, sha256},
    server::{Response, Server},
    supply::{key, signed, version},
    turn::{beside, eventually},
};
use serde_json::{Value, json};
use std::{process::Output, time::Duration};

const SOON: Duration = Duration::from_secs(20);
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn sluice(folder: &Folder, words: &[&str]) -> Output {
    plain_command(folder).arg("plugin").args(words).output().expect("sluice runs")
}

#[track_caller]
fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// It failed with one line, which says this.
#[track_caller]
fn refused(output: &Output, says: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.trim().lines().collect();
    assert!(!output.status.success() && lines.len() == 1 && lines[0].contains(says), "{says}: {stderr}");
}

/// Publishes this version, signed or not; its reference by digest.
fn publish(folder: &Folder, text: &str, signer: Option<&str>, reference: &str) -> String {
    let file = format!("push-{text}.wasm");
    match signer {
        Some(signer) => {
            let (wasm, signature) = signed(folder, text, signer);
            folder.write(&file, wasm);
            folder.write(&format!("{file}.sig"), signature);
        }
        None => {
            folder.write(&file, version(text));
            let _ = std::fs::remove_file(folder.path(&format!("{file}.sig")));
        }
    }
    let said = good(&sluice(folder, &["push", &file, reference]));
    said.lines().last().expect("its digest").to_owned()
}

/// A host with this chain and a cache of its own.
fn config(folder: &Folder, backend: &Backend, chain: Value, plugins: Value) -> Value {
    json!({
        "mcpServers": {"only": {"url": backend.url}},
        "sluice": {"chain": chain, "plugins": plugins, "cache_dir": folder.path("cache"), "limits": {"connect_timeout_ms": 2000}},
    })
}

async fn runs(gateway: &Gateway) -> Value {
    gateway.caller(Era::Modern).await.result("echo", "{}").await["structuredContent"]["version"].take()
}

fn forget(folder: &Folder) {
    std::fs::remove_dir_all(folder.path("cache")).expect("there was a cache");
}

#[test]
fn what_is_pushed_comes_back_and_runs() {
    beside("fetched", 180, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let acme = key(&folder, "acme");
        let tag = registry.reference("versioned:1");
        let pinned = publish(&folder, "1.0.0", Some("acme"), &tag);
        assert!(pinned.starts_with(&format!("oci://{}/acme/versioned@sha256:", registry.address)), "{pinned}");
        let again = good(&sluice(&folder, &["push", "push-1.0.0.wasm", &tag]));
        assert!(again.ends_with(&pinned), "the same file is the same artifact: {again}");
        for (reference, file) in [(&tag, "by-tag.wasm"), (&pinned, "by-digest.wasm")] {
            let said = good(&sluice(&folder, &["pull", reference, "-o", file]));
            assert!(said.contains("with its signature"), "{said}");
            let same = |suffix: &str| {
                let read = |name: &str| std::fs::read(folder.path(&format!("{name}{suffix}"))).expect("a file");
                read(file) == read("push-1.0.0.wasm")
            };
            assert!(same("") && same(".sig"), "{file}");
        }
        good(&sluice(&folder, &["pull", &tag]));
        refused(&sluice(&folder, &["pull", &tag]), "versioned.wasm is there already");
        assert!(good(&sluice(&folder, &["inspect", &tag])).starts_with("versioned 1.0.0"));
        let required = json!({"signatures": "required", "keys": {"acme": acme}});
        for reference in [&tag, &pinned] {
            let gateway = Gateway::start(&folder, config(&folder, &backend, json!([reference]), required.clone())).await;
            assert_eq!(runs(&gateway).await, "1.0.0", "{reference}");
            let (_, manifest) = pinned.split_once('@').expect("its digest");
            let asked = gateway.log(|line| line.contains("asking for a plugin") && line.contains(reference.as_str()));
            let came =
                gateway.log(|line| line.contains("a plugin came") && line.contains(&sha256(&version("1.0.0"))) && line.contains(manifest));
            assert_eq!((asked.len(), came.len()), (1, 1), "{:?}", gateway.log(|_| true));
        }
    });
}

#[test]
fn a_tag_that_moved_is_another_version() {
    beside("fetched, moved", 240, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let acme = key(&folder, "acme");
        let tag = registry.reference("versioned:stable");
        let with = |plugins: Value| config(&folder, &backend, json!([tag]), plugins);
        let keys = json!({"signatures": "required", "keys": {"acme": acme}});
        publish(&folder, "1.0.0", Some("acme"), &tag);
        let file = folder.write("open.json", crate::gateway::complete(&folder, with(keys.clone())).to_string());
        good(&sluice(&folder, &["lock", "--config", file.to_str().expect("UTF-8")]));
        let lock = folder.read("plugins.lock");
        assert!(lock.contains(&tag) && lock.contains("version = \"1.0.0\"") && lock.contains("signed_by = \"acme\""), "{lock}");
        let locked = || with(json!({"signatures": "required", "keys": {"acme": acme}, "locked": true}));
        assert_eq!(runs(&Gateway::start(&folder, locked()).await).await, "1.0.0");

        publish(&folder, "1.1.0", Some("acme"), &tag);
        assert_eq!(runs(&Gateway::start(&folder, locked()).await).await, "1.0.0", "the lock means the copy that is here");
        forget(&folder);
        let no = Gateway::refused(&folder, locked()).await;
        assert!(no.stderr.contains("is not the file that is locked (versioned 1.0.0"), "{}", no.stderr);
        assert_eq!(runs(&Gateway::start(&folder, with(keys.clone())).await).await, "1.1.0", "the control: without the lock it runs");

        // Moved back: not behind the operator's back.
        publish(&folder, "1.0.0", Some("acme"), &tag);
        let no = Gateway::refused(&folder, with(keys.clone())).await;
        assert!(no.stderr.contains("1.1.0, signed by") && no.stderr.contains("was in force before"), "{}", no.stderr);
        let allowed = json!({"signatures": "required", "keys": {"acme": acme}, "allow_downgrade": ["versioned@1.0.0"]});
        assert_eq!(runs(&Gateway::start(&folder, with(allowed)).await).await, "1.0.0");
    });
}

#[test]
fn what_is_not_what_was_meant_does_not_run() {
    beside("fetched, changed", 180, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let acme = key(&folder, "acme");
        let pinned = publish(&folder, "1.0.0", None, &registry.reference("versioned:1"));
        let required = json!({"signatures": "required", "keys": {"acme": acme}});
        let no = Gateway::refused(&folder, config(&folder, &backend, json!([pinned]), required.clone())).await;
        assert!(no.stderr.contains("is not signed") && no.stderr.contains("push it again"), "{}", no.stderr);
        let signed = publish(&folder, "1.0.0", Some("acme"), &registry.reference("versioned:1"));
        assert_eq!(
            runs(&Gateway::start(&folder, config(&folder, &backend, json!([signed]), required.clone())).await).await,
            "1.0.0",
            "the control"
        );

        let elsewhere = format!("{}@sha256:{}", registry.reference("versioned"), "0".repeat(64));
        refused(&sluice(&folder, &["pull", &elsewhere, "-o", "x.wasm"]), "(404)");
        good(&sluice(&folder, &["pull", &signed, "-o", "x.wasm"]));
        let digest = sha256(&version("1.0.0"));
        registry.corrupt(&digest);
        std::fs::remove_file(folder.path("x.wasm")).expect("it came");
        refused(&sluice(&folder, &["pull", &signed, "-o", "x.wasm"]), "is not what was asked for");
        assert!(!folder.path("x.wasm").exists());
        // Whoever has a copy needs no registry, good or bad.
        assert_eq!(runs(&Gateway::start(&folder, config(&folder, &backend, json!([signed]), required.clone())).await).await, "1.0.0");
        forget(&folder);
        let no = Gateway::refused(&folder, config(&folder, &backend, json!([signed]), required)).await;
        assert!(no.stderr.contains("is not what was asked for"), "{}", no.stderr);
    });
}

#[test]
fn a_registry_that_is_down_stops_nobody_who_has_a_copy() {
    beside("fetched, down", 240, async {
        let (backend, folder, mut registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let tag = registry.reference("versioned:1");
        let pinned = publish(&folder, "1.0.0", None, &tag);
        let with = |chain: Value| config(&folder, &backend, chain, json!({}));
        folder.drop_in("10-mark.wasm", component("sluice_plugin_redact"));
        let gateway = Gateway::start(&folder, with(json!([tag, "mark"]))).await;
        assert_eq!(runs(&gateway).await, "1.0.0");
        registry.stop();

        // A host that runs goes on, and its other plugins change as ever.
        folder.drop_in("10-mark.wasm", marked(&component("sluice_plugin_redact"), "new"));
        eventually(SOON, || async {
            let changed = gateway.log(|line| line.contains("chain in place")).len();
            if changed == 2 { Ok(()) } else { Err(format!("{changed} chains")) }
        })
        .await;
        assert_eq!(runs(&gateway).await, "1.0.0");
        drop(gateway);

        let gateway = Gateway::start(&folder, with(json!([tag]))).await;
        assert_eq!(runs(&gateway).await, "1.0.0");
        let said = gateway.log(|line| line.contains("is not reached") && line.contains("the copy that was good before is used"));
        assert_eq!(said.len(), 1, "{said:?}");
        drop(gateway);
        let checked = finish(command(&folder, &with(json!([tag])), "check"), SOON).await;
        assert!(checked.status.success() && checked.stdout.contains("note: oci://"), "{} {}", checked.stdout, checked.stderr);
        forget(&folder);
        for reference in [&tag, &pinned] {
            let no = Gateway::refused(&folder, with(json!([reference]))).await;
            let said: Vec<&str> = no.stderr.trim().lines().filter(|line| !line.starts_with('{')).collect();
            assert!(said.len() == 1 && said[0].contains("is not reached"), "{}", no.stderr);
        }
    });
}

#[test]
fn what_somebody_only_looked_at_was_not_in_force() {
    beside("fetched, looked at", 240, async {
        let (backend, folder, mut registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let tag = registry.reference("versioned:1");
        let with = || config(&folder, &backend, json!([tag]), json!({}));
        publish(&folder, "1.0.0", None, &tag);
        assert_eq!(runs(&Gateway::start(&folder, with()).await).await, "1.0.0");
        publish(&folder, "1.1.0", None, &tag);
        for verb in ["check", "ls"] {
            let looked = finish(command(&folder, &with(), verb), SOON).await;
            assert!(looked.status.success(), "{verb}: {} {}", looked.stdout, looked.stderr);
            assert!(verb != "ls" || looked.stdout.contains("1.1.0"), "the control: it came: {}", looked.stdout);
        }
        registry.stop();
        assert_eq!(runs(&Gateway::start(&folder, with()).await).await, "1.0.0");
    });
}

#[test]
fn what_comes_in_late_is_as_good_as_what_was_there_first() {
    beside("fetched, late", 240, async {
        let (backend, folder, mut registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let tag = registry.reference("versioned:1");
        publish(&folder, "1.0.0", None, &tag);
        // Its faults are passed over, and nobody has compiled it yet, so the first chain is without it.
        let with = || config(&folder, &backend, json!([tag]), json!({"settings": {"versioned": {"on_fault": "skip"}}}));
        let gateway = Gateway::start(&folder, with()).await;
        let folder = &folder;
        eventually(SOON, || async move {
            let files = std::fs::read_dir(folder.path("cache/fetched")).expect("a cache").flatten();
            let notes = files.filter(|file| file.file_name().to_string_lossy().ends_with(".note")).count();
            if notes == 2 { Ok(()) } else { Err(format!("{notes} notes: that it came, and that it is good")) }
        })
        .await;
        let chains = gateway.log(|line| line.contains("chain in place")).len();
        assert_eq!(chains, 2, "it was there at once, so this test shows nothing");
        assert_eq!(runs(&gateway).await, "1.0.0");
        drop(gateway);
        registry.stop();
        assert_eq!(runs(&Gateway::start(folder, with()).await).await, "1.0.0");
    });
}

#[test]
fn a_login_that_cannot_be_had_is_no_no() {
    beside("fetched, helpers", 240, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::guarded());
        let (host, tag) = (registry.address.clone(), registry.reference("versioned:1"));
        std::fs::create_dir_all(folder.path(".docker")).expect("a folder");
        std::fs::create_dir_all(folder.path("bin")).expect("a folder");
        let docker = |config: Value| folder.write(".docker/config.json", config.to_string());
        let helper = |script: &str| {
            docker(json!({"credHelpers": {host.as_str(): "test"}}));
            let path = folder.write("bin/docker-credential-test", format!("#!/bin/sh\ncat >/dev/null\n{script}\n"));
            std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
        };
        let path = std::env::join_paths(
            std::iter::once(folder.path("bin")).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        )
        .expect("a path");
        let check = || {
            let mut with = config(&folder, &backend, json!([tag]), json!({}));
            with["sluice"]["limits"]["plugin_fetch_timeout_ms"] = json!(3000);
            let mut command = command(&folder, &with, "check");
            command.env("PATH", &path);
            finish(command, SOON)
        };
        // acme:s3cret
        docker(json!({"auths": {host.as_str(): {"auth": "YWNtZTpzM2NyZXQ="}}}));
        publish(&folder, "1.0.0", None, &tag);
        assert_eq!(runs(&Gateway::start(&folder, config(&folder, &backend, json!([tag]), json!({}))).await).await, "1.0.0");

        helper("echo '{\"ServerURL\": \"\", \"Username\": \"acme\", \"Secret\": \"s3cret\"}'");
        let good = check().await;
        assert!(good.status.success() && !good.stdout.contains("note: oci://"), "the control: {} {}", good.stdout, good.stderr);
        for (script, says) in [
            ("echo no way to IAM >&2; exit 1", "docker-credential-test fails, and says: no way to IAM"),
            ("echo credentials not found in native keychain; exit 1", "docker-credential-test has none, or could not get one"),
            ("echo '{}'", "what is no login"),
            ("exec sleep 60", "its credential helper hangs"),
        ] {
            helper(script);
            let checked = check().await;
            let is_said = checked.stdout.contains(says) && checked.stdout.contains("the copy that was good before is used");
            assert!(checked.status.success() && is_said, "{script}: {} {}", checked.stdout, checked.stderr);
        }
        docker(json!({}));
        let no = check().await;
        assert!(!no.status.success() && no.stderr.contains("(401)"), "the control: a no is obeyed: {} {}", no.stdout, no.stderr);
    });
}

#[test]
fn what_is_no_plugin_is_named_and_left_there() {
    beside("fetched, no plugins", 180, async {
        let (folder, registry) = (Folder::new(), Registry::open());
        let wasm = version("1.0.0");
        let config = registry.blob(CONFIG, b"{}").await;
        let layer = registry.blob("application/wasm", &wasm).await;
        let manifest =
            |config: &Value, layers: Value| json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        let plain = registry.manifest("good", &manifest(&config, json!([layer]))).await;
        good(&sluice(&folder, &["pull", &registry.reference("x:good"), "-o", "x.wasm"]));
        assert_eq!(std::fs::read(folder.path("x.wasm")).expect("it came"), wasm, "the control: what others push so is taken");

        let image = registry.blob("application/vnd.oci.image.config.v1+json", b"{}").await;
        let tar = registry.blob("application/vnd.oci.image.layer.v1.tar+gzip", b"no tar").await;
        let huge = registry.blob("application/wasm", &vec![0; (64 << 20) + 1]).await;
        let mut liar = huge.clone();
        liar["size"] = json!(1000);
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [{"mediaType": MANIFEST, "digest": plain, "size": manifest(&config, json!([layer])).to_string().len()}],
        });
        let mut wordy = manifest(&config, json!([layer]));
        wordy["annotations"] = json!({"io.github.sluice-mcp.plugin.signature": "x".repeat(9 << 10)});
        for (tag, manifest, says) in [
            ("image", manifest(&image, json!([tar])), "its configuration is application/vnd.oci.image.config.v1+json"),
            ("tar", manifest(&config, json!([tar])), "its layer is application/vnd.oci.image.layer.v1.tar+gzip"),
            ("two", manifest(&config, json!([layer, layer])), "it has 2 layers"),
            ("none", manifest(&config, json!([])), "it has 0 layers"),
            ("index", index, "is an index of 1 manifests"),
            ("huge", manifest(&config, json!([huge])), "at most 64 MiB"),
            ("liar", manifest(&config, json!([liar])), "is longer than its manifest says"),
            ("wordy", wordy, "a signature of more than"),
        ] {
            registry.manifest(tag, &manifest).await;
            refused(&sluice(&folder, &["pull", &registry.reference(&format!("x:{tag}")), "-o", "no.wasm"]), says);
            assert!(!folder.path("no.wasm").exists(), "{tag}");
        }
        refused(&sluice(&folder, &["pull", &registry.reference("x:unknown"), "-o", "no.wasm"]), "(404)");
        refused(&sluice(&folder, &["pull", &registry.reference("nobody:1"), "-o", "no.wasm"]), "(404)");
        folder.write("no-plugin.wasm", b"\0asm\x01\0\0\0");
        refused(&sluice(&folder, &["push", "no-plugin.wasm", &registry.reference("x:no")]), "is a core module");
        folder.write("other.wasm", version("2.0.0"));
        key(&folder, "acme");
        folder.write("other.wasm.sig", signed(&folder, "1.0.0", "acme").1);
        refused(&sluice(&folder, &["push", "other.wasm", &registry.reference("x:no")]), "the signature of another file");
    });
}

#[test]
fn a_registry_is_shown_the_login_that_it_is_meant_for() {
    beside("fetched, logins", 180, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::guarded());
        let host = registry.address.clone();
        let tag = registry.reference("versioned:1");
        folder.write("v.wasm", version("1.0.0"));
        let push = |folder: &Folder| sluice(folder, &["push", "v.wasm", &tag]);
        refused(&push(&folder), "(401), which was shown no login");
        let docker = |password: &str| {
            use base64::{Engine as _, prelude::BASE64_STANDARD};
            std::fs::create_dir_all(folder.path(".docker")).expect("a folder");
            let auth = BASE64_STANDARD.encode(format!("acme:{password}"));
            folder.write(".docker/config.json", json!({"auths": {host.as_str(): {"auth": auth}}}).to_string());
        };
        docker("wrong");
        refused(&push(&folder), "(401), which was shown docker's login of acme");
        docker("s3cret");
        good(&push(&folder));
        good(&sluice(&folder, &["pull", &tag, "-o", "back.wasm"]));
        assert_eq!(std::fs::read(folder.path("back.wasm")).expect("it came"), version("1.0.0"));
        docker("wrong");

        // The operator's word goes before docker's.
        folder.write("password", "s3cret\n");
        std::fs::set_permissions(folder.path("password"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
        let login = |password: &str| json!({"registries": {host.as_str(): {"username": "acme", "password": password}}});
        let with = |login: Value| config(&folder, &backend, json!([tag]), login);
        let gateway = Gateway::start(&folder, with(login("file:password"))).await;
        assert_eq!(runs(&gateway).await, "1.0.0");
        assert!(gateway.log(|line| line.contains("s3cret")).is_empty());
        folder.write("password", "other\n");
        let no = Gateway::refused(&folder, with(login("file:password"))).await;
        assert!(no.stderr.contains("shown the login of acme in sluice.plugins.registries"), "a no is no silence: {}", no.stderr);
        assert!(Gateway::refused(&folder, with(login("s3cret"))).await.stderr.contains("inline secret"));
    });
}

#[test]
fn tls_is_spoken_where_it_is_answered() {
    beside("fetched, TLS", 120, async {
        let (folder, registry) = (Folder::new(), Registry::encrypted());
        folder.write("v.wasm", version("1.0.0"));
        let trusting = |words: &[&str]| {
            plain_command(&folder).env("SSL_CERT_FILE", registry.certificate()).arg("plugin").args(words).output().expect("sluice runs")
        };
        let tag = registry.reference("versioned:1");
        good(&trusting(&["push", "v.wasm", &tag]));
        good(&trusting(&["pull", &tag, "-o", "back.wasm"]));
        let digest = sha256(&version("1.0.0"));
        let url = format!("https://{}/v2/acme/versioned/blobs/sha256:{digest}#sha256:{digest}", registry.address);
        good(&trusting(&["pull", &url, "-o", "by-url.wasm"]));
        for file in ["back.wasm", "by-url.wasm"] {
            assert_eq!(std::fs::read(folder.path(file)).expect("it came"), version("1.0.0"), "{file}");
        }
        refused(&sluice(&folder, &["pull", &url, "-o", "no.wasm"]), "is not reached");
        let plain = url.replace("https://", "http://");
        refused(&trusting(&["pull", &plain, "-o", "no.wasm"]), "answers 400");
    });
}

#[test]
fn a_url_is_good_for_the_file_that_its_digest_names() {
    beside("fetched, URLs", 180, async {
        let (backend, folder) = (Backend::echo(&["echo"]).await, Folder::new());
        let acme = key(&folder, "acme");
        let (wasm, signature) = signed(&folder, "1.0.0", "acme");
        let digest = sha256(&wasm);
        let is_signed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (served, signed_now) = (wasm.clone(), is_signed.clone());
        let server = Server::start(true, move |seen| {
            let is_signed = signed_now.load(std::sync::atomic::Ordering::Relaxed);
            let (wasm, signature) = (served.clone(), signature.clone());
            Box::pin(async move {
                match seen.target.as_str() {
                    "/versioned.wasm" | "/changed.wasm" => Response::json(wasm),
                    "/versioned.wasm.sig" if is_signed => Response::json(signature),
                    "/huge.wasm" => Response::json(vec![0; (64 << 20) + 1]),
                    "/moved.wasm" => Response { headers: vec![("location", "/versioned.wasm".into())], ..Response::status(302) },
                    "/round.wasm" => Response { headers: vec![("location", "/round.wasm".into())], ..Response::status(302) },
                    "/away.wasm" => Response { headers: vec![("location", "http://example.com/x.wasm".into())], ..Response::status(302) },
                    "/down.wasm" => Response::status(503),
                    _ => Response::status(404),
                }
            })
        })
        .await;
        let address = server.address.clone();
        let url = |name: &str| format!("http://{address}/{name}.wasm#sha256:{digest}");
        let pull = |reference: &str| sluice(&folder, &["pull", reference, "-o", "x.wasm"]);
        for name in ["versioned", "moved"] {
            good(&pull(&url(name)));
            assert_eq!(std::fs::read(folder.path("x.wasm")).expect("it came"), wasm);
        }
        let other = format!("http://{}/changed.wasm#sha256:{}", server.address, "0".repeat(64));
        for (reference, says) in [
            (other.as_str(), "is not what was asked for"),
            (&url("huge"), "at most 64 MiB"),
            (&url("round"), "too many redirects"),
            (&url("away"), "where there is no TLS"),
            (&url("down"), "answers 503"),
            (&url("unknown"), "(404)"),
            ("http://example.com/x.wasm#sha256:0000000000000000000000000000000000000000000000000000000000000000", "goes without TLS"),
        ] {
            refused(&pull(reference), says);
        }

        let required = json!({"signatures": "required", "keys": {"acme": acme}});
        let with = |plugins: &Value| config(&folder, &backend, json!([url("versioned")]), plugins.clone());
        let no = Gateway::refused(&folder, with(&required)).await;
        assert!(no.stderr.contains("behind the same URL with .sig"), "{}", no.stderr);
        assert_eq!(runs(&Gateway::start(&folder, with(&json!({}))).await).await, "1.0.0");
        // Signed since: the signature is asked for, the file is here.
        is_signed.store(true, std::sync::atomic::Ordering::Relaxed);
        server.seen().clear();
        assert_eq!(runs(&Gateway::start(&folder, with(&required)).await).await, "1.0.0");
        let asked: Vec<String> = server.seen().iter().map(|seen| seen.target.clone()).collect();
        assert_eq!(asked, ["/versioned.wasm.sig"]);
        drop(server);
        assert_eq!(runs(&Gateway::start(&folder, with(&required)).await).await, "1.0.0", "nobody needs to answer any more");
    });
}

#[test]
fn what_is_not_in_use_makes_room_in_the_cache() {
    beside("fetched, room", 240, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let (old, new) = (registry.reference("versioned:1"), registry.reference("versioned:2"));
        publish(&folder, "1.0.0", None, &old);
        publish(&folder, "2.0.0", None, &new);
        let bounded = |reference: &str, bytes_max: u64| {
            let mut config = config(&folder, &backend, json!([reference]), json!({}));
            config["sluice"]["limits"]["cache_bytes_max"] = json!(bytes_max);
            config
        };
        // Compiled code, copies of files, and notes about where they came from.
        let there = |folder: &Folder| {
            let count = |path: &str, end: &str| {
                let files = std::fs::read_dir(folder.path(path)).expect("a cache").flatten();
                files.filter(|file| file.file_name().to_string_lossy().ends_with(end)).count()
            };
            [count("cache", ".cwasm"), count("cache/fetched", ".wasm"), count("cache/fetched", ".note")]
        };
        for (reference, version) in [(&old, "1.0.0"), (&new, "2.0.0")] {
            assert_eq!(runs(&Gateway::start(&folder, bounded(reference, 1 << 30)).await).await, version);
        }
        assert_eq!(there(&folder), [2, 2, 4], "the control: there is room for all");
        let gateway = Gateway::start(&folder, bounded(&new, 0)).await;
        let left = |wanted: [usize; 3]| {
            let (folder, there) = (&folder, &there);
            eventually(SOON, move || async move {
                let left = there(folder);
                if left == wanted { Ok(()) } else { Err(format!("{left:?}")) }
            })
        };
        left([1, 1, 2]).await;
        assert_eq!(runs(&gateway).await, "2.0.0");
        // Another host beside it has its own in use, and takes nothing from the first.
        let second = Gateway::start(&folder, bounded(&old, 0)).await;
        left([2, 2, 4]).await;
        assert_eq!((runs(&gateway).await, runs(&second).await), (json!("2.0.0"), json!("1.0.0")));
    });
}

#[test]
fn a_start_that_is_refused_makes_room_for_the_next() {
    beside("fetched, refused", 180, async {
        let (backend, folder, registry) = (Backend::echo(&["echo"]).await, Folder::new(), Registry::open());
        let acme = key(&folder, "acme");
        let tag = registry.reference("versioned:1");
        let left_by = async |bytes_max: u64| {
            let mut with = config(&folder, &backend, json!([tag]), json!({"signatures": "required", "keys": {"acme": acme}}));
            with["sluice"]["limits"]["cache_bytes_max"] = json!(bytes_max);
            let no = Gateway::refused(&folder, with).await;
            assert!(no.stderr.contains("is not signed"), "{}", no.stderr);
            let files = std::fs::read_dir(folder.path("cache/fetched")).expect("a cache").flatten();
            files.filter(|file| file.file_name().to_string_lossy().ends_with(".wasm")).count()
        };
        for (text, bytes_max, left) in [("1.0.0", 1 << 30, 1), ("2.0.0", 1 << 30, 2), ("3.0.0", 0, 1)] {
            publish(&folder, text, None, &tag);
            assert_eq!(left_by(bytes_max).await, left, "{text}: the one that it looks at stays");
        }
    });
}

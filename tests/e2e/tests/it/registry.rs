//! A real registry: the CNCF's distribution, as Debian has it (`docker-registry`), on a port and in a folder of its own.

use crate::connection::{Connection, Reply};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

/// Serves until it is dropped.
pub struct Registry {
    child: Child,
    folder: tempfile::TempDir,
    /// Host and port.
    pub address: String,
}

/// `acme` with the password `s3cret`, as `htpasswd -B` writes it.
const PASSWORDS: &str = "acme:$2y$04$POf9CnIiH3CDDV7cBnSldOkT2C9pSnZHcapV6kO5y.jcZtn57Vnrq\n";

impl Registry {
    pub fn open() -> Self {
        Self::start("")
    }

    /// Only `acme` gets in.
    pub fn guarded() -> Self {
        Self::start("auth: {htpasswd: {realm: plugins, path: ./passwords}}\n")
    }

    /// With TLS; the certificate is to be trusted by whoever is to get in.
    pub fn encrypted() -> Self {
        Self::start("http: {addr: \"127.0.0.1:0\", tls: {certificate: ./certificate.pem, key: ./key.pem}}\n")
    }

    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn start(more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("sluice-registry-").tempdir().expect("a temporary folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
        let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("a certificate");
        write("certificate.pem", &pair.cert.pem());
        write("key.pem", &pair.signing_key.serialize_pem());
        write("passwords", PASSWORDS);
        let http = if more.starts_with("http:") { "" } else { "http: {addr: \"127.0.0.1:0\"}\n" };
        write("config.yml", &format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: ./data}}}}\n{http}{more}"));
        let mut child = Command::new("docker-registry")
            .args(["serve", "config.yml"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("docker-registry: {error}; Debian's package of that name has it, and `cargo xtask test` installs it")
            });
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let listening =
                    line.split_once("listening on ").map(|(_, rest)| rest.split([',', '"']).next().unwrap_or_default().to_owned());
                listening.map(|address| tell.send(address));
            }
        });
        let address = told.recv_timeout(Duration::from_secs(20)).expect("the registry says where it listens");
        Self { child, folder, address }
    }

    /// `oci://…`, with a tag or a digest behind it.
    pub fn reference(&self, rest: &str) -> String {
        format!("oci://{}/acme/{rest}", self.address)
    }

    /// Nobody answers any more.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Somebody who can write where the registry keeps its blobs changes one.
    pub fn corrupt(&self, digest: &str) {
        let path = self.folder.path().join(format!("data/docker/registry/v2/blobs/sha256/{}/{digest}/data", &digest[..2]));
        let mut bytes = std::fs::read(&path).expect("the blob");
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, bytes).expect("the blob");
    }

    /// Puts a blob there as any client may; what a manifest says of it.
    pub async fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = format!("sha256:{}", sha256(bytes));
        let begun = self.ask("POST", "/v2/acme/x/blobs/uploads/", "", b"").await;
        let location = begun.header("location").expect("where to").to_owned();
        let path = location.split_once(&self.address).map_or(location.as_str(), |(_, path)| path);
        let put = self.ask("PUT", &format!("{path}&digest={digest}"), "application/octet-stream", bytes).await;
        assert_eq!(put.status, 201, "{}", put.answer());
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// Puts a manifest there as any client may, whatever it says.
    pub async fn manifest(&self, tag: &str, manifest: &Value) -> String {
        let text = manifest.to_string();
        let put =
            self.ask("PUT", &format!("/v2/acme/x/manifests/{tag}"), manifest["mediaType"].as_str().expect("a type"), text.as_bytes()).await;
        assert_eq!(put.status, 201, "{}", put.answer());
        format!("sha256:{}", sha256(text.as_bytes()))
    }

    async fn ask(&self, verb: &str, path: &str, kind: &str, body: &[u8]) -> Reply {
        let mut connection = Connection::open(&self.address).await.expect("the registry");
        let head =
            format!("{verb} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", self.address, body.len());
        connection.exchange(&[head.as_bytes(), body].concat()).await.expect("an answer")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

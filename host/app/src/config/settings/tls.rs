//! TLS of our own.

use std::path::PathBuf;

use serde_json::{Value as Json, json};
use sluice_transport::tls::{ClientCertificates, ServerFiles};

use crate::config::choice::choice;
use crate::config::reader::Reader;
use crate::config::section::section;
use crate::config::setting::Setting;
use crate::config::tree::Node;

/// TLS of our own: the files are read again when they change, and at SIGHUP.
#[derive(Clone, Debug, PartialEq)]
pub struct Tls {
    /// Our certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The CAs of clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to have one.
    pub client_auth: ClientAuth,
}

section! {
    /// TLS of our own, 1.2 and later. The files are read again when they change and at SIGHUP; connections go on with what they
    /// began with, and a bad file changes nothing.
    pub struct WrittenTls {
        /// Our certificate and those that lead to its CA, in PEM. Required.
        pub cert: Option<PathBuf> = None;
        /// Its private key, in PEM. Required.
        pub key: Option<PathBuf> = None;
        /// The CAs whose certificates clients show (mutual TLS), in PEM. Absent: clients are not asked.
        pub client_ca: Option<PathBuf> = None;
        /// Whether a client may come without a certificate, where `client_ca` asks for one.
        pub client_auth: ClientAuth = ClientAuth::Required;
    }
}

choice! {
    /// Whether a client may come without a certificate.
    pub enum ClientAuth {
        /// None may.
        Required = "required",
        /// It may, and is known by its credential alone. A certificate that is not good is refused all the same.
        Optional = "optional",
    }
}

impl Tls {
    /// The same for the transport.
    pub fn files(&self) -> ServerFiles {
        let clients = self.client_ca.clone().map(|ca| ClientCertificates { ca, required: self.client_auth == ClientAuth::Required });
        ServerFiles { cert: self.cert.clone(), key: self.key.clone(), clients }
    }
}

impl Setting for Tls {
    fn schema() -> Json {
        let mut schema = WrittenTls::schema();
        schema["required"] = json!(["cert", "key"]);
        schema
    }

    fn read(node: &Node, reader: &mut Reader) -> Option<Tls> {
        let WrittenTls { cert, key, client_ca, client_auth } = WrittenTls::read(node, reader)?;
        // A key that is there and wrong has been reported already.
        for (name, example) in [("cert", "\"tls/server.pem\""), ("key", "\"tls/server.key\"")] {
            if node.find(&[name]).is_none() {
                let what = format!("{} needs {name}", reader.path());
                reader.wrong(node.at, what, Some(format!("add \"{name}\": {example}")));
            }
        }
        if client_ca.is_none()
            && node.find(&["client_ca"]).is_none()
            && let Some(asked) = node.find(&["client_auth"])
        {
            let what = format!("{}.client_auth has no effect without client_ca", reader.path());
            reader.wrong(asked.at, what, Some("add \"client_ca\": \"tls/clients.pem\"".to_owned()));
        }
        Some(Tls { cert: cert?, key: key?, client_ca, client_auth })
    }

    fn show(&self) -> Json {
        json!({"cert": self.cert.show(), "key": self.key.show(), "client_ca": self.client_ca.show(), "client_auth": self.client_auth.show()})
    }
}

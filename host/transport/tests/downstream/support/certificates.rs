//! Certificates made for one test, in a folder that goes away with it.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use std::path::{Path, PathBuf};

/// A CA, and what it signed.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate.
    #[allow(dead_code, reason = "only one of the two test binaries needs it")]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.issuer).expect("a certificate").pem(), key.serialize_pem())
    }
}

/// A folder with certificates and keys.
pub struct Certificates {
    folder: tempfile::TempDir,
    pub authority: Authority,
}

impl Certificates {
    /// `ca.pem`, and `server.pem` with its key for localhost.
    pub fn new() -> Certificates {
        let this = Certificates { folder: tempfile::tempdir().expect("a folder"), authority: Authority::new("test CA") };
        this.put("ca.pem", &this.authority.pem);
        this.issue("server", |_| {});
        this
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// `NAME.pem` and `NAME.key` of our CA.
    pub fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        self.issue_by(&self.authority, name, change);
    }

    /// The same of another.
    pub fn issue_by(&self, authority: &Authority, name: &str, change: impl FnOnce(&mut CertificateParams)) {
        let (cert, key) = authority.sign(change);
        self.put(&format!("{name}.pem"), &cert);
        self.put(&format!("{name}.key"), &key);
    }

    /// `NAME.pem` and `NAME.key` of somebody called NAME.
    pub fn person(&self, name: &str) {
        self.issue(name, |params| {
            params.distinguished_name.push(DnType::CommonName, name);
            let uri = format!("spiffe://test/{name}").try_into().expect("a URI");
            params.subject_alt_names.push(SanType::URI(uri));
        });
    }

    /// A certificate that ended years ago.
    pub fn expired(&self, name: &str) {
        self.issue(name, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        });
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

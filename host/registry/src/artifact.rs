//! How a plugin lies in a registry: as the CNCF's layout for WebAssembly has it, so that other tools for components can copy and run it.
//!
//! One manifest, whose configuration is `application/vnd.wasm.config.v0+json`, with one layer, `application/wasm`: the file. Its signature,
//! if it has one, is an annotation of the manifest: a second layer is what that layout's own client refuses, and a referrer needs an API that
//! many registries lack.

use crate::{digest, is_digest};
use bytes::Bytes;
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, OciManifest};
use serde_json::json;
use std::collections::BTreeMap;

/// Of the configuration.
pub const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// Of the layer.
pub const LAYER: &str = "application/wasm";
/// The annotation of the manifest that has the text of the `.sig` file.
pub const SIGNATURE: &str = "io.github.sluice-mcp.plugin.signature";
/// Longest signature taken.
pub const SIGNATURE_BYTES_MAX: usize = 8 << 10;

/// A plugin as it is published.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// From its manifest.
    pub name: String,
    /// From its manifest.
    pub version: String,
    /// From its manifest.
    pub summary: String,
    /// The file.
    pub bytes: Bytes,
    /// Interfaces, as the component names them.
    pub imports: Vec<String>,
    /// Interfaces, as the component names them.
    pub exports: Vec<String>,
    /// The text of the `.sig` file.
    pub signature: Option<String>,
}

impl Artifact {
    /// The configuration that the layout asks for. The time is always the same, so that a file that is published twice is one artifact.
    pub(crate) fn config(&self) -> Bytes {
        let config = json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [format!("sha256:{}", digest(&self.bytes))],
            "component": {"exports": self.exports, "imports": self.imports, "target": null},
        });
        config.to_string().into()
    }

    /// Its manifest, as it is sent: its digest is of these bytes.
    pub(crate) fn manifest(&self, config: &Bytes) -> serde_json::Result<Bytes> {
        let descriptor = |media_type: &str, bytes: &Bytes| OciDescriptor {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{}", digest(bytes)),
            size: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            ..OciDescriptor::default()
        };
        let mut annotations = BTreeMap::from([
            ("org.opencontainers.image.title".to_owned(), self.name.clone()),
            ("org.opencontainers.image.version".to_owned(), self.version.clone()),
            ("org.opencontainers.image.description".to_owned(), self.summary.clone()),
        ]);
        annotations.extend(self.signature.clone().map(|text| (SIGNATURE.to_owned(), text)));
        let manifest = OciImageManifest {
            schema_version: 2,
            media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
            config: descriptor(CONFIG, config),
            layers: vec![descriptor(LAYER, &self.bytes)],
            subject: None,
            artifact_type: None,
            annotations: Some(annotations),
        };
        serde_json::to_vec(&manifest).map(Bytes::from)
    }
}

/// Where the file of a plugin is.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Lower-case hex.
    pub(crate) digest: String,
    pub(crate) size: usize,
    pub(crate) signature: Option<String>,
}

/// The one layer of a plugin's manifest, or the end of a sentence about what this is.
pub(crate) fn layer(manifest: OciManifest, bytes_max: usize) -> Result<Layer, String> {
    const INSTEAD: &str = "`sluice plugin push` makes what is wanted here";
    let manifest = match manifest {
        OciManifest::Image(manifest) => manifest,
        OciManifest::ImageIndex(index) => {
            return Err(format!(
                "is an index of {} manifests, as images for several platforms have, and a plugin is one manifest: name the digest of one of them, or publish it so; {INSTEAD}",
                index.manifests.len()
            ));
        }
    };
    let media_type = &manifest.config.media_type;
    if media_type != CONFIG {
        return Err(format!("is no plugin: its configuration is {media_type}, and a component's is {CONFIG}; {INSTEAD}"));
    }
    let [descriptor] = &manifest.layers[..] else {
        return Err(format!("is no plugin: it has {} layers, and a component is one; {INSTEAD}", manifest.layers.len()));
    };
    if descriptor.media_type != LAYER {
        return Err(format!("is no plugin: its layer is {}, and a component's is {LAYER}; {INSTEAD}", descriptor.media_type));
    }
    let size = usize::try_from(descriptor.size).ok().filter(|size| *size <= bytes_max);
    let size = size.ok_or_else(|| too_large(descriptor.size, bytes_max))?;
    let digest = descriptor.digest.strip_prefix("sha256:").filter(|digest| is_digest(digest));
    let digest = digest.ok_or_else(|| format!("names its file by {}, and only sha256 is taken", descriptor.digest))?.to_owned();
    let signature = manifest.annotations.as_ref().and_then(|annotations| annotations.get(SIGNATURE)).cloned();
    if signature.as_ref().is_some_and(|text| text.len() > SIGNATURE_BYTES_MAX) {
        return Err(format!("has a signature of more than {SIGNATURE_BYTES_MAX} bytes: no signature is so long"));
    }
    Ok(Layer { digest, size, signature })
}

/// The end of a sentence about a file.
pub(crate) fn too_large(size: impl std::fmt::Display, bytes_max: usize) -> String {
    format!("has {size} bytes; at most {} MiB are taken, and no plugin needs more", bytes_max >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact() -> Artifact {
        Artifact {
            name: "redact".into(),
            version: "1.0.0".into(),
            summary: "hides secrets".into(),
            bytes: Bytes::from_static(b"\0asm\x0d\0\x01\0"),
            imports: vec!["sluice:filter/payload@0.1.0".into()],
            exports: vec!["sluice:filter/describe@0.1.0".into()],
            signature: Some("signed\n".into()),
        }
    }

    fn published(change: impl FnOnce(&mut serde_json::Value)) -> OciManifest {
        let artifact = artifact();
        let mut manifest = serde_json::from_slice(&artifact.manifest(&artifact.config()).unwrap()).unwrap();
        change(&mut manifest);
        serde_json::from_value(manifest).unwrap()
    }

    #[test]
    fn what_is_published_is_found_again() {
        let layer = layer(published(|_| ()), 64 << 20).unwrap();
        assert_eq!((layer.digest, layer.size), (digest(&artifact().bytes), 8));
        assert_eq!(layer.signature.as_deref(), Some("signed\n"));
        assert_eq!(artifact().config(), artifact().config(), "published twice, it is one artifact");
    }

    #[test]
    fn what_is_no_plugin_is_named() {
        let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []});
        let said = |manifest| layer(manifest, 64 << 20).unwrap_err();
        assert!(said(serde_json::from_value(index).unwrap()).contains("index of 0 manifests"));
        assert!(
            said(published(|m| m["config"]["mediaType"] = "application/vnd.oci.image.config.v1+json".into())).contains("configuration")
        );
        assert!(said(published(|m| m["layers"] = json!([]))).contains("0 layers"));
        assert!(said(published(|m| m["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar".into())).contains("layer is"));
        assert!(said(published(|m| m["layers"][0]["size"] = json!(65 << 20))).contains("64 MiB"));
        assert!(said(published(|m| m["layers"][0]["size"] = json!(-1))).contains("64 MiB"));
        assert!(said(published(|m| m["layers"][0]["digest"] = "sha512:00".into())).contains("only sha256"));
        assert!(said(published(|m| m["annotations"][SIGNATURE] = "x".repeat(9 << 10).into())).contains("signature of more"));
    }
}

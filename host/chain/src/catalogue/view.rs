//! What one kind of viewer sees, and where each name leads.

use super::{Entry, ListKind, Read, template::UriTemplate};
use crate::{attributes::Attributes, departures::Held, principal::PrincipalKey};
use sha2::{Digest, Sha256};
use sluice_wire::{header::Annotation, revision::Era};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// One entry as it is shown.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// The entry under its exposed name.
    pub entry: Entry,
    /// Arguments that modern HTTP mirrors into headers.
    pub mirrored: Arc<[Annotation]>,
}

/// One list as one kind of viewer sees it. Immutable.
#[derive(Debug, Default)]
pub struct View {
    /// In order.
    pub exposed: Vec<Exposed>,
    /// Names the order and content; cursors are sealed over it.
    pub digest: [u8; 32],
    /// Upstreams whose list is not known now, by configured name.
    pub missing: Vec<Arc<str>>,
    /// The first of those that was not asked, because a filter did not let the request leave.
    pub held: Option<(usize, Arc<Held>)>,
    by_name: HashMap<Arc<str>, usize>,
    templates: Vec<(UriTemplate, usize)>,
}

impl View {
    /// A view of these entries. Names must be unique already.
    pub fn new(kind: ListKind, exposed: Vec<Exposed>, missing: Vec<Arc<str>>) -> Self {
        let mut hash = Sha256::new();
        let mut by_name = HashMap::with_capacity(exposed.len());
        let mut templates = Vec::new();
        for (i, e) in exposed.iter().enumerate() {
            hash.update(u64::try_from(e.entry.name.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(e.entry.name.as_bytes());
            hash.update(&e.entry.definition);
            by_name.insert(e.entry.name.clone(), i);
            if kind == ListKind::ResourceTemplates {
                templates.push((UriTemplate::new(&e.entry.name), i));
            }
        }
        Self { exposed, digest: hash.finalize().into(), missing, held: None, by_name, templates }
    }

    /// The entry with exactly this name.
    pub fn find(&self, name: &str) -> Option<&Exposed> {
        self.by_name.get(name).map(|&i| &self.exposed[i])
    }

    /// Of a view of templates: the first that the URI matches.
    pub fn find_template(&self, uri: &str) -> Option<&Exposed> {
        self.templates.iter().find(|(t, _)| t.matches(uri)).map(|(_, i)| &self.exposed[*i])
    }
}

/// Views kept per list and era, by the values of the attributes that were read while computing them (like HTTP `Vary`).
#[derive(Default)]
pub struct Views {
    tables: Mutex<HashMap<TableKey, Table>>,
    /// Held while computing: viewers that wait find the view made.
    pub(crate) flight: tokio::sync::Mutex<()>,
}

/// Which list, of which era, the one principal that sees it so, if what it sees depends on who it is, and the filters that take no part
/// in it, since it is for their own calls.
type TableKey = (ListKind, Era, Option<PrincipalKey>, Arc<[Arc<str>]>);

#[derive(Default)]
struct Table {
    epoch: (u64, u64),
    reads: Vec<Read>,
    by_values: HashMap<Vec<Option<String>>, Arc<View>>,
}

/// Most different views kept of one list, and of one principal each; beyond it the table starts again.
const VIEWS_MAX: usize = 10_000;

impl Views {
    /// The view for a viewer with these attributes, if it was computed from the lists as they are now.
    pub fn find(&self, key: &TableKey, epoch: (u64, u64), viewer: &Attributes) -> Option<Arc<View>> {
        let tables = self.lock();
        let table = tables.get(key).filter(|t| t.epoch == epoch)?;
        table.by_values.get(&values(&table.reads, viewer)).cloned()
    }

    /// Keep a view that was computed while reading `reads`.
    pub fn store(&self, key: TableKey, epoch: (u64, u64), viewer: &Attributes, reads: Vec<Read>, view: Arc<View>) {
        let mut tables = self.lock();
        if key.2.is_some() && tables.len() >= VIEWS_MAX && !tables.contains_key(&key) {
            tables.retain(|(_, _, owner, _), _| owner.is_none());
        }
        let table = tables.entry(key).or_default();
        let new_reads = reads.iter().any(|r| !table.reads.contains(r));
        if table.epoch != epoch || new_reads || table.by_values.len() >= VIEWS_MAX {
            table.by_values.clear();
            table.epoch = epoch;
            for read in reads {
                if !table.reads.contains(&read) {
                    table.reads.push(read);
                }
            }
        }
        table.by_values.insert(values(&table.reads, viewer), view);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<TableKey, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Injective: a prefix read becomes one text with lengths in it.
fn values(reads: &[Read], viewer: &Attributes) -> Vec<Option<String>> {
    reads
        .iter()
        .map(|read| match read {
            Read::Key(key) => viewer.find(key).map(str::to_owned),
            Read::Prefix(prefix) => Some(viewer.with_prefix(prefix).map(|(k, v)| format!("{}:{k}={}:{v};", k.len(), v.len())).collect()),
        })
        .collect()
}

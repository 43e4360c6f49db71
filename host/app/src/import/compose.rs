//! A composition of containers with one of the systems in it: how that is started, and what it reads.

use std::path::{Path, PathBuf};

use super::Origin;
use super::draft::Draft;
use super::source::{File, list, table, text, text_at};
use super::words;
use crate::config::problem::{Place, Problem, Whose, quoted};
use crate::config::tree::{Entry, Node, Table, Value};

/// One service of it.
pub(super) struct Service<'f> {
    file: &'f File,
    name: String,
    node: &'f Node,
    pub(super) place: Place,
    /// Entry point and command.
    pub(super) command: Vec<String>,
    /// Its variables, and where each stands.
    pub(super) environment: Vec<(String, String, Place)>,
}

/// Whose a service is.
pub(super) fn system(name: &str, node: &Node) -> Option<Origin> {
    let image = text_at(node, "image").unwrap_or_default();
    let built = node.find(&["build"]).and_then(|build| text(build).or_else(|| text_at(build, "dockerfile"))).unwrap_or_default();
    let holds = |what: &str| [name, &image, &built].iter().any(|text| text.contains(what));
    if image.contains("docker/mcp-gateway") || (image.is_empty() && holds("mcp-gateway")) {
        return Some(Origin::Docker);
    }
    if holds("mcp-proxy") {
        return Some(Origin::McpProxy);
    }
    words::system(&command(node).unwrap_or_default())
}

impl<'f> Service<'f> {
    pub(super) fn of(file: &'f File, entry: &'f Entry) -> Result<Service<'f>, Problem> {
        let node = &entry.node;
        let wrong = |what: &str| Problem {
            place: file.at(node.at),
            whose: Whose::Syntax,
            what: format!("its command has {what}"),
            suggestion: None,
        };
        let command = command(node).map_err(wrong)?;
        let place = file.at(node.find(&["command"]).map_or(entry.key_at, |node| node.at));
        let environment = node.find(&["environment"]).map(|node| environment(file, node)).unwrap_or_default();
        Ok(Service { file, name: entry.key.clone(), node, place, command, environment })
    }

    /// The file at a path inside the container, if it is one that the composition brings. What it does not bring is said.
    pub(super) fn file(&self, inside: &Path, draft: &mut Draft<'_>) -> Result<Option<File>, Problem> {
        if let Some(content) = self.content(inside) {
            return File::of(&content, self.file.shown.clone(), self.file.folder().join(inside.file_name().unwrap_or_default())).map(Some);
        }
        let outside = self.mounted(inside).or_else(|| self.given("secrets", inside)).or_else(|| self.given("configs", inside));
        let home = draft.surroundings.variable("HOME").unwrap_or_default();
        let outside = outside.map(|path| path.strip_prefix(".").map_or_else(|_| path.clone(), Path::to_owned));
        let outside = outside.map(|path| path.strip_prefix("~").map_or_else(|_| path.clone(), |rest| Path::new(home).join(rest)));
        match outside.map(|path| self.file.folder().join(path)).filter(|path| path.is_file()) {
            Some(path) => {
                let shown = path.strip_prefix(draft.surroundings.directory()).unwrap_or(&path).to_owned();
                File::read(&shown, draft.surroundings).map(Some)
            }
            None => {
                let what = format!("{} inside the container is no file that can be found from here", quoted(&inside.display().to_string()));
                draft.lost(self.place.clone(), what, Some("give it as one more FILE"));
                Ok(None)
            }
        }
    }

    /// What a volume puts there.
    fn mounted(&self, inside: &Path) -> Option<PathBuf> {
        let volumes = list(self.node.find(&["volumes"])?).iter().filter_map(|volume| match &volume.value {
            Value::Text(text) => {
                let (source, rest) = text.split_once(':')?;
                Some((source.to_owned(), rest.split(':').next()?.to_owned()))
            }
            _ => Some((text_at(volume, "source")?, text_at(volume, "target")?)),
        });
        volumes.filter(|(source, _)| source.contains('/') || source.starts_with('.')).find_map(|(source, target)| {
            let rest = inside.strip_prefix(&target).ok()?;
            let source = Path::new(&source);
            Some(if rest.as_os_str().is_empty() { source.to_owned() } else { source.join(rest) })
        })
    }

    /// What `secrets` or `configs` puts there.
    fn given(&self, kind: &str, inside: &Path) -> Option<PathBuf> {
        let (name, _) = self.lent(kind, inside)?;
        let file = self.file.root.get(kind)?.find(&[&name])?;
        text_at(file, "file").map(PathBuf::from)
    }

    /// The text of a config that stands in the composition itself.
    fn content(&self, inside: &Path) -> Option<String> {
        let (name, _) = self.lent("configs", inside)?;
        text_at(self.file.root.get("configs")?.find(&[&name])?, "content")
    }

    /// The secret or config at this path, by name.
    fn lent(&self, kind: &str, inside: &Path) -> Option<(String, String)> {
        let under = if kind == "secrets" { "/run/secrets/" } else { "/" };
        let lent = list(self.node.find(&[kind])?).iter().filter_map(|node| {
            let name = text(node).or_else(|| text_at(node, "source"))?;
            let target = text_at(node, "target").unwrap_or_else(|| name.clone());
            let target = if target.starts_with('/') { target } else { format!("{under}{target}") };
            Some((name, target))
        });
        lent.into_iter().find(|(_, target)| Path::new(target) == inside)
    }

    /// The port of the machine that leads to this one of the container.
    pub(super) fn published(&self, port: u16) -> u16 {
        let ports = self.node.find(&["ports"]).map(list).unwrap_or_default();
        let of = |node: &Node| -> Option<(u16, u16)> {
            if let (Some(outside), Some(inside)) = (text_at(node, "published"), text_at(node, "target")) {
                return Some((outside.parse().ok()?, inside.parse().ok()?));
            }
            let text = text(node)?;
            let mut parts = text.split('/').next()?.rsplit(':');
            let inside = parts.next()?.parse().ok()?;
            Some((parts.next()?.parse().ok()?, inside))
        };
        ports.iter().filter_map(of).find(|(_, inside)| *inside == port).map_or(port, |(outside, _)| outside)
    }

    /// Networks that other containers of the composition are in, by the names that Docker gives them.
    pub(super) fn networks(&self) -> Vec<String> {
        let folder = self.file.folder();
        let project = text_at_root(&self.file.root, "name").or_else(|| Some(folder.file_name()?.to_str()?.to_lowercase()));
        let project = project.unwrap_or_default();
        let full = |name: &str| {
            let known = self.file.root.get("networks").and_then(|networks| networks.find(&[name]));
            known.and_then(|network| text_at(network, "name")).unwrap_or_else(|| format!("{project}_{name}"))
        };
        let own: Vec<String> = match self.node.find(&["networks"]) {
            Some(node) if table(node).is_some() => table(node).into_iter().flat_map(Table::iter).map(|entry| entry.key.clone()).collect(),
            Some(node) => list(node).iter().filter_map(text).collect(),
            None => Vec::new(),
        };
        let others = self.file.root.get("services").and_then(table).map_or(0, |services| services.iter().count());
        match own.is_empty() {
            true if others < 2 => Vec::new(),
            true => vec![full("default")],
            false => own.iter().map(|name| full(name)).collect(),
        }
    }

    /// Says which of its keys mean nothing without the container.
    pub(super) fn left(&self, used: &[&str], draft: &mut Draft<'_>) {
        const USED: [&str; 11] = [
            "image",
            "build",
            "command",
            "entrypoint",
            "volumes",
            "secrets",
            "configs",
            "ports",
            "networks",
            "container_name",
            "pull_policy",
        ];
        let keys = table(self.node).into_iter().flat_map(Table::iter).map(|entry| entry.key.as_str());
        let left: Vec<_> = keys.filter(|key| !USED.contains(key) && !used.contains(key)).map(quoted).collect();
        if !left.is_empty() {
            let what = format!("{} of service {}, which is the container's", left.join(", "), quoted(&self.name));
            draft.lost(self.file.at(self.node.at), what, Some("deploy/compose has Sluice in a container"));
        }
    }
}

fn text_at_root(root: &Table, key: &str) -> Option<String> {
    text(root.get(key)?)
}

/// Entry point and command, each a list or a line.
fn command(node: &Node) -> Result<Vec<String>, &'static str> {
    let mut all = Vec::new();
    for key in ["entrypoint", "command"] {
        match node.find(&[key]).map(|node| &node.value) {
            Some(Value::Text(line)) => all.extend(words::split(line)?),
            Some(Value::List(items)) => all.extend(items.iter().filter_map(text)),
            _ => {}
        }
    }
    Ok(all)
}

/// `A: B`, `- A=B`, or `- A`, which is taken from outside.
fn environment(file: &File, node: &Node) -> Vec<(String, String, Place)> {
    let mut variables = Vec::new();
    for entry in table(node).into_iter().flat_map(Table::iter) {
        let value = text(&entry.node).unwrap_or_else(|| format!("env:{}", entry.key));
        variables.push((entry.key.clone(), value, file.at(entry.node.at)));
    }
    for item in list(node) {
        let Some(line) = text(item) else { continue };
        let (name, value) =
            line.split_once('=').map_or_else(|| (line.clone(), format!("env:{line}")), |(n, v)| (n.to_owned(), v.to_owned()));
        variables.push((name, value, file.at(item.at)));
    }
    variables
}

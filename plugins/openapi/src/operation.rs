//! Operations of a document as tools: what each is called, takes and promises, and what of a request is made of which argument.

use alloc::borrow::Cow;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use sluice_sdk::catalog::without_prefix;
use sluice_sdk::glob;

use crate::config::{Api, Selection};
use crate::document::{self, Document, below};
use crate::json::{self, Object, Value};
use crate::listing::PLUGIN;
use crate::schema::{self, Purpose, Schemas, Writer};
use crate::style::{self, Style};

/// Longer names are cut: with `openapi_` before them, as `namespace` puts it, they are what clients take.
const NAME_BYTES_MAX: usize = 56;
/// Arguments of one tool.
const ARGUMENTS_MAX: usize = 64;
/// Of a description, which a model reads whole.
const DESCRIPTION_BYTES_MAX: usize = 2048;
/// Of a definition.
const DEFINITION_BYTES_MAX: usize = 64 << 10;
/// Of all definitions together.
const DEFINITIONS_BYTES_MAX: usize = 4 << 20;
/// Tools of all APIs together.
const TOOLS_MAX: usize = 500;
/// Mistakes named in one message.
const MISTAKES_MAX: usize = 8;

/// The methods of HTTP that become tools, as documents have them and as they are sent.
const METHODS: [(&str, &str); 5] = [("get", "GET"), ("put", "PUT"), ("post", "POST"), ("delete", "DELETE"), ("patch", "PATCH")];

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// Name of its tool.
    pub name: String,
    /// Definition of its tool.
    pub definition: String,
    /// Upper case.
    pub method: &'static str,
    /// As the document has it.
    pub path: String,
    /// The same in its parts.
    pub pieces: Vec<Piece>,
    /// In the order of the document.
    pub parameters: Vec<Parameter>,
    /// What is sent, if anything is.
    pub body: Option<Body>,
    /// The tool says that it answers an object.
    pub promises: bool,
}

/// Part of a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Text(String),
    /// The parameter at this place.
    Parameter(usize),
}

/// Something that is not in the body.
#[derive(Debug)]
pub struct Parameter {
    /// Name of the argument.
    pub argument: String,
    /// Name in the request.
    pub name: String,
    /// Where it goes.
    pub place: Place,
    /// Without it nothing is sent.
    pub is_required: bool,
    /// How it is written.
    pub form: Form,
}

/// Where a parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into the path.
    Path,
    /// Into the query.
    Query,
    /// Into the head.
    Header,
}

/// How a parameter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As JSON.
    Json,
    /// In a style of RFC 6570 and OpenAPI.
    Styled {
        /// Which.
        style: Style,
        /// Each item by itself.
        explode: bool,
        /// Reserved characters stay what they are, as far as they end no part of a query.
        allow_reserved: bool,
    },
}

/// What is sent.
#[derive(Debug)]
pub struct Body {
    /// Name of the argument.
    pub argument: String,
    /// Without it nothing is sent.
    pub is_required: bool,
    /// What the head says of it.
    pub media_type: String,
    /// How it is written.
    pub kind: BodyKind,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// As JSON.
    Json,
    /// As a form of a web page.
    Form,
    /// As the text that it is.
    Text,
}

/// What the tools of all APIs have room for together.
#[derive(Debug, Default)]
pub struct Room {
    tools: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        self.tools += 1;
        self.bytes += operation.definition.len();
        if self.tools <= TOOLS_MAX && self.bytes <= DEFINITIONS_BYTES_MAX {
            return Ok(());
        }
        let Room { tools, bytes } = self;
        Err(format!(
            "up to here there are {tools} tools of {bytes} bytes, and {TOOLS_MAX} of {DEFINITIONS_BYTES_MAX} are the most: include fewer, or set output_schemas to false"
        ))
    }
}

/// All operations of a document that the settings select. No more are made than there is room for.
pub fn read(document: &Document<'_>, api: &Api, room: &mut Room) -> Result<Vec<Operation>, String> {
    let mut operations = Vec::new();
    let mut mistakes = Vec::new();
    let mut schemas = Schemas::new(document);
    let paths = document.member("paths").ok_or("it has no paths")?;
    for (path, item) in json::members(paths) {
        if path.starts_with("x-") {
            continue;
        }
        if mistakes.len() > MISTAKES_MAX {
            break;
        }
        let place = below("#/paths", path);
        match document.follow(item, &place) {
            Ok((item, place)) => {
                for known in selected(document, api, path, item) {
                    match known.read(&place, &below(&place, known.key), &mut schemas) {
                        Ok(operation) => {
                            room.take(&operation)?;
                            operations.push(operation);
                        }
                        Err(mistake) => mistakes.push(format!("{mistake} (exclude {:?} if it need be no tool)", known.id())),
                    }
                }
            }
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.len() > MISTAKES_MAX {
        mistakes.truncate(MISTAKES_MAX);
        mistakes.push("and there are more".to_string());
    }
    if !mistakes.is_empty() {
        return Err(mistakes.join("; "));
    }
    if operations.is_empty() {
        return Err("no operation of it is selected".to_string());
    }
    Ok(operations)
}

/// The operations of one path that the settings select.
fn selected<'d, 'a>(
    document: &'d Document<'a>,
    api: &'d Api,
    path: &'d str,
    item: &'d Value<'a>,
) -> impl Iterator<Item = Known<'d, 'a>> + use<'d, 'a> {
    let known = move |(method, operation): &'d (Cow<'a, str>, Value<'a>)| {
        let (key, method) = METHODS.iter().find(|(key, _)| key == method)?;
        Some(Known { document, api, path, key, method, item, operation })
    };
    json::members(item).iter().filter_map(known).filter(Known::is_selected)
}

/// What is known of one operation.
struct Known<'d, 'a> {
    document: &'d Document<'a>,
    api: &'d Api,
    path: &'d str,
    key: &'static str,
    method: &'static str,
    item: &'d Value<'a>,
    operation: &'d Value<'a>,
}

impl<'d, 'a> Known<'d, 'a> {
    /// What settings call it.
    fn id(&self) -> Cow<'d, str> {
        match json::text_of(self.operation, "operationId") {
            Some(id) if !id.is_empty() => Cow::Borrowed(id),
            _ => Cow::Owned(format!("{} {}", self.method, self.path)),
        }
    }

    fn is_selected(&self) -> bool {
        let id = self.id();
        let tags: Vec<&str> =
            json::member(self.operation, "tags").map(json::items).unwrap_or_default().iter().filter_map(json::text).collect();
        let is_of = |selection: &Selection| {
            let Selection { operations, tags: of_tags, methods, paths } = selection;
            (operations.is_empty() || glob::any(operations, &id))
                && (of_tags.is_empty() || tags.iter().any(|tag| glob::any(of_tags, tag)))
                && (methods.is_empty() || methods.iter().any(|method| method == self.method))
                && (paths.is_empty() || glob::any(paths, self.path))
        };
        (self.api.include.is_empty() || self.api.include.iter().any(is_of)) && !self.api.exclude.iter().any(is_of)
    }

    fn read(&self, item_place: &str, place: &str, schemas: &mut Schemas<'d, 'a>) -> Result<Operation, String> {
        let mut input = schemas.writer(Purpose::Request);
        let (mut properties, mut required) = (Object::default(), Vec::new());
        let parameters = self.parameters(item_place, place, &mut input, &mut properties, &mut required)?;
        let pieces = pieces(self.path, &parameters).map_err(|mistake| format!("{place}: {mistake}"))?;
        let body = self.body(place, &parameters, &mut input, &mut properties)?;
        required.extend(body.iter().filter(|body| body.is_required).map(|body| body.argument.clone()));
        let mut schema = Object::default().with("type", r#""object""#).with("properties", &properties.finish());
        if !required.is_empty() {
            schema.put("required", &json::texts(&required));
        }
        schema.put("additionalProperties", "false");
        if let Some(definitions) = input.definitions()? {
            schema.put("$defs", &definitions);
        }
        let output = if self.api.output_schemas { self.output(place, schemas)? } else { None };
        let name = self.name();
        let definition = self.definition(&name, &schema.finish(), output.as_deref());
        if definition.len() > DEFINITION_BYTES_MAX {
            let (size, what) = (definition.len(), if output.is_some() { ", or set output_schemas to false" } else { "" });
            return Err(format!("{place}: its tool would be {size} bytes, and {DEFINITION_BYTES_MAX} are the most{what}"));
        }
        let (method, path) = (self.method, self.path.to_string());
        Ok(Operation { name, definition, method, path, pieces, parameters, body, promises: output.is_some() })
    }

    /// What its tool is called: by the operator, or by the document in letters that every client takes.
    fn name(&self) -> String {
        let id = self.id();
        let given = self.api.names.get(&*id).cloned().unwrap_or_else(|| {
            let plain: String = id.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
            let words: Vec<&str> = plain.split('_').filter(|word| !word.is_empty()).collect();
            let name = words.join("_");
            // `GET /pets/{id}` is `get_pets_id`.
            if id.contains(' ') { name.to_ascii_lowercase() } else { name }
        });
        let name = format!("{}{given}", self.api.prefix);
        if name.len() <= NAME_BYTES_MAX {
            return name;
        }
        // What is cut off still tells two apart.
        let mark = format!("{} {}", self.method, self.path)
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(0x0100_0193));
        format!("{}_{mark:08x}", &name[..NAME_BYTES_MAX - 9])
    }

    fn definition(&self, name: &str, input: &str, output: Option<&str>) -> String {
        let of = |member: &str| json::text_of(self.operation, member).map(str::trim).filter(|said| !said.is_empty());
        let (summary, description) = (of("summary"), of("description"));
        let mut about = match (summary, description) {
            (Some(summary), Some(description)) => format!("{summary}\n\n{description}"),
            (Some(one), None) | (None, Some(one)) => one.to_string(),
            (None, None) => format!("{} {}", self.method, self.path),
        };
        if json::is_true(self.operation, "deprecated") {
            about.insert_str(0, "Deprecated. ");
        }
        cut(&mut about, DESCRIPTION_BYTES_MAX);
        let mut definition = Object::default().with("name", &json::quote(name));
        if let Some(title) = summary.filter(|summary| summary.len() <= 128) {
            definition.put("title", &json::quote(title));
        }
        definition.put("description", &json::quote(&about));
        definition.put("inputSchema", input);
        if let Some(output) = output {
            definition.put("outputSchema", output);
        }
        definition.put("annotations", self.annotations());
        definition.finish()
    }

    /// What the method promises (RFC 9110 §9.2). Of `POST` and `PATCH` nothing is known, so nothing is said that would calm anybody.
    fn annotations(&self) -> &'static str {
        match self.method {
            _ if self.method == "GET" || glob::any(&self.api.read_only, &self.id()) => r#"{"readOnlyHint":true,"openWorldHint":true}"#,
            "PUT" | "DELETE" => r#"{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":true,"openWorldHint":true}"#,
            _ => r#"{"readOnlyHint":false,"destructiveHint":true,"idempotentHint":false,"openWorldHint":true}"#,
        }
    }

    fn parameters(
        &self,
        item_place: &str,
        place: &str,
        input: &mut Writer<'_, 'd, 'a>,
        properties: &mut Object,
        required: &mut Vec<String>,
    ) -> Result<Vec<Parameter>, String> {
        // Those of the operation take the place of the path's.
        let mut found: Vec<(&Value<'a>, String)> = Vec::new();
        for (holder, place) in [(self.item, item_place), (self.operation, place)] {
            let listed = json::member(holder, "parameters").map(json::items).unwrap_or_default();
            for (at, parameter) in listed.iter().enumerate() {
                let (parameter, place) = self.document.follow(parameter, &format!("{place}/parameters/{at}"))?;
                let is_same = |(other, _): &(&Value<'a>, String)| identity(other) == identity(parameter);
                match found.iter_mut().find(|other| is_same(other)) {
                    Some(other) => *other = (parameter, place),
                    None => found.push((parameter, place)),
                }
            }
        }
        let own: Vec<String> = self.api.own_headers().collect();
        let mut taken = BTreeSet::new();
        let mut parameters = Vec::new();
        for (said, place) in found {
            let name = json::text_of(said, "name").filter(|name| !name.is_empty()).ok_or_else(|| format!("{place}: it has no name"))?;
            let location = json::text_of(said, "in").unwrap_or_default();
            let is_required = json::is_true(said, "required");
            let at = match location {
                "path" => Place::Path,
                "query" => Place::Query,
                "header" => {
                    let lower = name.to_ascii_lowercase();
                    if ["accept", "content-type", "authorization"].contains(&lower.as_str()) || own.contains(&lower) {
                        continue;
                    }
                    if !lower.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
                        return Err(format!("{place}: {name:?} is no name of a header"));
                    }
                    Place::Header
                }
                "cookie" if !is_required => continue,
                "cookie" => return Err(format!("{place}: it is a cookie, and cookies are not sent")),
                _ => return Err(format!("{place}: \"in\" is {location:?}")),
            };
            let (form, schema, schema_place) = self.form(said, at, &place)?;
            let argument = argument(name, location, &mut taken);
            let written = match schema {
                Some(schema) => input.schema(schema, &schema_place)?,
                None => r#"{"type":"string"}"#.to_string(),
            };
            properties.put(&argument, &described(written, schema, self.document.is_3_0, json::text_of(said, "description")));
            let is_required = is_required || at == Place::Path;
            if is_required {
                required.push(argument.clone());
            }
            if parameters.len() == ARGUMENTS_MAX {
                return Err(format!("{place}: there are more than {ARGUMENTS_MAX} parameters"));
            }
            parameters.push(Parameter { argument, name: name.to_string(), place: at, is_required, form });
        }
        Ok(parameters)
    }

    /// How a parameter is written, and its schema.
    fn form<'v>(&self, said: &'v Value<'a>, at: Place, place: &str) -> Result<(Form, Option<&'v Value<'a>>, String), String> {
        if let Some(content) = json::member(said, "content") {
            let [(media_type, holder)] = json::members(content) else { return Err(format!("{place}/content: it has one entry")) };
            if !is_json(media_type) {
                return Err(format!("{place}/content: a parameter is JSON or has a style, and this one is {media_type:?}"));
            }
            let place = below(&below(&below(place, "content"), media_type), "schema");
            return Ok((Form::Json, json::member(holder, "schema"), place));
        }
        let usual = if at == Place::Query { "form" } else { "simple" };
        let named = json::text_of(said, "style").unwrap_or(usual);
        let style = match (at, named) {
            (_, "simple") if at != Place::Query => Style::Simple,
            (Place::Path, "label") => Style::Label,
            (Place::Path, "matrix") => Style::Matrix,
            (Place::Query, "form") => Style::Form,
            (Place::Query, "spaceDelimited") => Style::Delimited("%20"),
            (Place::Query, "pipeDelimited") => Style::Delimited("%7C"),
            (Place::Query, "deepObject") => Style::DeepObject,
            _ => return Err(format!("{place}/style: {named:?} is no style of a parameter that stands there")),
        };
        let explode = match json::member(said, "explode") {
            Some(Value::Bool(explode)) => *explode,
            _ => style == Style::Form,
        };
        let allow_reserved = at == Place::Query && json::is_true(said, "allowReserved");
        Ok((Form::Styled { style, explode, allow_reserved }, json::member(said, "schema"), below(place, "schema")))
    }

    fn body(
        &self,
        place: &str,
        parameters: &[Parameter],
        input: &mut Writer<'_, 'd, 'a>,
        properties: &mut Object,
    ) -> Result<Option<Body>, String> {
        let Some(said) = json::member(self.operation, "requestBody") else { return Ok(None) };
        let (said, place) = self.document.follow(said, &below(place, "requestBody"))?;
        let content = json::member(said, "content").map(json::members).unwrap_or_default();
        let kinds = [BodyKind::Json, BodyKind::Form, BodyKind::Text];
        let chosen =
            kinds.iter().find_map(|kind| content.iter().find(|(media_type, _)| kind.is_of(media_type)).map(|entry| (*kind, entry)));
        let Some((kind, (media_type, holder))) = chosen else {
            let offered: Vec<&str> = content.iter().map(|(media_type, _)| &**media_type).collect();
            return Err(format!("{place}: {} cannot be sent by a tool; JSON, forms and plain text can", json::texts(&offered)));
        };
        let schema_place = below(&below(&below(&place, "content"), media_type), "schema");
        let schema = json::member(holder, "schema");
        let written = match schema {
            Some(schema) => input.schema(schema, &schema_place)?,
            None if kind == BodyKind::Text => r#"{"type":"string"}"#.to_string(),
            None => "{}".to_string(),
        };
        let mut taken: BTreeSet<String> = parameters.iter().map(|parameter| parameter.argument.clone()).collect();
        let argument = argument("body", "request", &mut taken);
        properties.put(&argument, &described(written, schema, self.document.is_3_0, json::text_of(said, "description")));
        // Characters of a range (`application/*`) would be none of a header.
        let media_type = match kind {
            BodyKind::Json if media_type.contains('*') => "application/json".to_string(),
            BodyKind::Text if media_type.contains('*') => "text/plain".to_string(),
            _ => media_type.to_string(),
        };
        if !crate::config::is_header_value(&media_type) {
            return Err(format!("{place}: {media_type:?} is no media type"));
        }
        Ok(Some(Body { argument, is_required: json::is_true(said, "required"), media_type, kind }))
    }

    /// The schema of what it answers, if there is one answer that means success, and that is an object.
    fn output(&self, place: &str, schemas: &mut Schemas<'d, 'a>) -> Result<Option<String>, String> {
        let responses = json::member(self.operation, "responses").map(json::members).unwrap_or_default();
        let mut good = responses.iter().filter(|(status, _)| status.starts_with('2'));
        let (Some((status, response)), None) = (good.next(), good.next()) else { return Ok(None) };
        let (response, place) = self.document.follow(response, &below(&below(place, "responses"), status))?;
        let content = json::member(response, "content").map(json::members).unwrap_or_default();
        let Some((media_type, holder)) = content.iter().find(|(media_type, _)| is_json(media_type)) else { return Ok(None) };
        let Some(schema) = json::member(holder, "schema").filter(|schema| schema::is_object(self.document, schema)) else {
            return Ok(None);
        };
        let mut output = schemas.writer(Purpose::Response);
        let mut root = output.root(schema, &below(&below(&below(&place, "content"), media_type), "schema"))?;
        if let Some(definitions) = output.definitions()? {
            root.put("$defs", &definitions);
        }
        Ok(Some(root.finish()))
    }
}

impl BodyKind {
    fn is_of(self, media_type: &str) -> bool {
        let bare = essence(media_type);
        match self {
            BodyKind::Json => is_json(media_type) || bare == "*/*" || bare == "application/*",
            BodyKind::Form => bare == "application/x-www-form-urlencoded",
            BodyKind::Text => bare.starts_with("text/"),
        }
    }
}

/// A media type without its parameters, in lower case.
pub fn essence(media_type: &str) -> String {
    media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether a media type says that something is JSON.
pub fn is_json(media_type: &str) -> bool {
    let bare = essence(media_type);
    bare == "application/json" || bare == "text/json" || (bare.starts_with("application/") && bare.ends_with("+json"))
}

/// Where a parameter goes and what it is called: what no two have in common. Names of headers have no case (RFC 9110 §5.1).
fn identity<'v>(parameter: &'v Value<'_>) -> (Option<&'v str>, Option<Cow<'v, str>>) {
    let (location, name) = (json::text_of(parameter, "in"), json::text_of(parameter, "name"));
    let spelled = |name: &'v str| if location == Some("header") { name.to_ascii_lowercase().into() } else { name.into() };
    (location, name.map(spelled))
}

/// The path in its parts. The end of the sentence that says what is wrong with it.
fn pieces(path: &str, parameters: &[Parameter]) -> Result<Vec<Piece>, String> {
    if !path.starts_with('/') {
        return Err(format!("the path {path:?} does not begin with a slash"));
    }
    let mut pieces = Vec::new();
    let mut rest = path;
    while let Some(open) = rest.find('{') {
        let close = rest[open..].find('}').map(|length| open + length).ok_or_else(|| format!("the path {path:?} has a {{ without a }}"))?;
        let name = &rest[open + 1..close];
        let at = parameters.iter().position(|parameter| parameter.place == Place::Path && parameter.name == name);
        let at = at.ok_or_else(|| format!("the path {path:?} has {{{name}}}, and no parameter in path is called so"))?;
        pieces.push(Piece::Text(rest[..open].to_string()));
        pieces.push(Piece::Parameter(at));
        rest = &rest[close + 1..];
    }
    pieces.push(Piece::Text(rest.to_string()));
    pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
    let is_plain = |piece: &Piece| match piece {
        Piece::Text(text) => text.bytes().all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}#?".contains(&b)),
        Piece::Parameter(_) => true,
    };
    let template = path.replace(['{', '}'], "x");
    if !pieces.iter().all(is_plain) || style::has_dots(&template) {
        return Err(format!("the path {path:?} is no path of a URL"));
    }
    let unused =
        parameters.iter().enumerate().find(|(at, parameter)| parameter.place == Place::Path && !pieces.contains(&Piece::Parameter(*at)));
    match unused {
        Some((_, parameter)) => Err(format!("the path {path:?} has no {{{}}}, which a parameter is for", parameter.name)),
        None => Ok(pieces),
    }
}

/// The name of an argument: that of the parameter in letters that every client takes, and another if it is taken.
fn argument(name: &str, location: &str, taken: &mut BTreeSet<String>) -> String {
    let plain: String =
        name.chars().take(48).map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.') { c } else { '_' }).collect();
    let (mut wanted, mut more) = (plain.clone(), 1);
    while !taken.insert(wanted.clone()) {
        wanted = if more == 1 { format!("{location}_{plain}") } else { format!("{location}_{plain}_{more}") };
        more += 1;
    }
    wanted
}

/// A schema with a description, unless it has one.
fn described(written: String, schema: Option<&Value<'_>>, is_3_0: bool, description: Option<&str>) -> String {
    // Beside a reference of OpenAPI 3.0 nothing was written.
    let is_bare = is_3_0 && schema.is_some_and(|schema| document::reference(schema).is_some());
    let has_one = schema.is_some_and(|schema| json::member(schema, "description").is_some()) && !is_bare;
    let Some(description) = description.filter(|_| !has_one) else { return written };
    let mut about = description.trim().to_string();
    cut(&mut about, DESCRIPTION_BYTES_MAX);
    let comma = if written == "{}" { "" } else { "," };
    format!(r#"{{"description":{}{comma}{}"#, json::quote(&about), &written[1..])
}

/// At most so many bytes, at the end of a character.
pub fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - '…'.len_utf8()));
        text.push('…');
    }
}

/// All tools of all APIs: no two may be called alike.
pub fn check_names<'t>(tools: impl Iterator<Item = &'t Operation> + Clone) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for tool in tools.clone() {
        if !names.insert(tool.name.as_str()) {
            return Err(format!("two operations would be the tool {:?}: give one another name in names, or its API a prefix", tool.name));
        }
    }
    // Behind a prefix of `namespace` one would be called as the other.
    for name in &names {
        if let Some(own) = without_prefix(PLUGIN, name).filter(|own| names.contains(own)) {
            return Err(format!("the tool {own:?} could be called as {name:?}, which is another: give one another name in names"));
        }
    }
    Ok(())
}

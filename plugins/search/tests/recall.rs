//! How often the tool that is wanted is among the first five, and how much less a model reads, on a catalogue of hand (`catalogue/`). The
//! figures stand in the README; `SLUICE_BLESS=1` writes them there.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use sluice_plugin_search::Search;
use sluice_plugin_search::definition::Definition;
use sluice_plugin_search::index::{Alike, Index};
use sluice_sdk::prelude::*;
use sluice_sdk::testing::{self, FakeExchange, FakeViewer};

struct Tool {
    upstream: String,
    name: String,
    definition: String,
}

/// Under the names that `namespace` gives them.
fn tools() -> Vec<Tool> {
    let (mut tools, mut upstream) = (Vec::new(), "");
    for line in include_str!("catalogue/tools.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[') {
            upstream = name.trim_end_matches(']');
            continue;
        }
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [own, description, arguments] = fields[..] else { panic!("{line}") };
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for argument in arguments.split(',').filter(|argument| !argument.is_empty()) {
            let (name, kind) = argument.split_once(':').unwrap_or_else(|| panic!("{argument} in {line}"));
            let word = match kind.trim_end_matches('!') {
                "s" => "string",
                "i" => "integer",
                "b" => "boolean",
                "a" => "array",
                "o" => "object",
                other => panic!("{other} in {line}"),
            };
            properties.insert(name.into(), json!({"type": word}));
            required.extend(kind.ends_with('!').then(|| name.to_owned()));
        }
        let name = format!("{upstream}_{own}");
        let schema = json!({"type": "object", "properties": properties, "required": required});
        let definition = json!({"name": name, "description": description, "inputSchema": schema}).to_string();
        tools.push(Tool { upstream: upstream.into(), name, definition });
    }
    tools
}

struct Question {
    kind: &'static str,
    text: &'static str,
    right: Vec<&'static str>,
    /// As a model words it.
    reworded: Option<&'static str>,
}

fn questions() -> Vec<Question> {
    let lines = include_str!("catalogue/questions.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('|').map(str::trim).collect();
            let (kind, text, right, reworded) = match fields[..] {
                ["plain", text, right] => ("plain", text, right, None),
                ["hard", text, right, reworded] => ("hard", text, right, Some(reworded)),
                _ => panic!("{line}"),
            };
            Question { kind, text, right: right.split(',').collect(), reworded }
        })
        .collect()
}

/// Four bytes a token: what English and JSON come to, within a fifth, in the tokenisers of today's models. The same on both sides.
fn tokens(text: &str) -> usize {
    text.len().div_ceil(4)
}

fn exchange(tools: &[Tool], message: &Value) -> FakeExchange {
    let listed = |tool: &Tool| format!(r#"{{"upstream":"{}","tool":"t","definition":{}}}"#, tool.upstream, tool.definition);
    let x = FakeExchange::new(&message.to_string()).with_attr("host.tools", "one");
    tools.iter().fold(x, |x, tool| x.with_attr(&format!("host.tool.{}", tool.name), &listed(tool)))
}

/// What the model reads of an answer, and the tools in it.
fn asked(search: &Search, tools: &[Tool], question: &str) -> (String, Vec<String>) {
    let x = exchange(tools, &json!({"params": {"name": "search_tools", "arguments": {"query": question}}}));
    let Verdict::Reply(result) = search.on_request(&testing::head("tools/call").name("search_tools"), &x) else { panic!("{question}") };
    let result: Value = serde_json::from_str(&result).unwrap();
    let text = result["content"][0]["text"].as_str().unwrap().to_owned();
    let found: Value = serde_json::from_str(&text).unwrap();
    let names = found["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    (text, names)
}

#[test]
fn the_catalogue_is_what_it_says() {
    let (tools, questions) = (tools(), questions());
    let upstreams: BTreeSet<&str> = tools.iter().map(|tool| &*tool.upstream).collect();
    let names: BTreeSet<&str> = tools.iter().map(|tool| &*tool.name).collect();
    assert!(names.len() == tools.len() && tools.len() >= 500 && upstreams.len() >= 30, "{} of {}", tools.len(), upstreams.len());
    let texts: BTreeSet<&str> = questions.iter().map(|question| question.text).collect();
    assert_eq!(texts.len(), questions.len());
    for question in &questions {
        assert!(question.right.iter().all(|right| names.contains(right)), "{:?}: {}", question.right, question.text);
    }
}

#[test]
fn f039_the_wanted_tool_is_among_five_and_a_model_reads_less() {
    let (tools, questions) = (tools(), questions());
    let search: Search = testing::plugin("{}").unwrap();
    let entries: Vec<Entry> = tools.iter().map(|tool| Entry::new(&tool.upstream, &tool.name, "")).collect();
    let answer = search.on_catalog(&FakeViewer::of(41), ListKind::Tools, &entries);
    assert!(answer.changes.iter().all(|change| matches!(change, Change::Hide)));

    // The control: how much of it are the words that stand for each other?
    let mut index = Index::default();
    tools.iter().for_each(|tool| index.add(&tool.name, &tool.upstream, &Definition::read(&tool.definition)));
    let literal = Alike::default();

    // In words of the tool, in other words, and those as a model words them.
    let mut counts = [[0; 3]; 4];
    let mut read = Vec::new();
    for question in &questions {
        let asked_as = [(usize::from(question.kind == "hard"), Some(question.text)), (2, question.reworded)];
        for (kind, text) in asked_as.into_iter().filter_map(|(kind, text)| Some((kind, text?))) {
            let (answer, names) = asked(&search, &tools, text);
            let is_right = |name: &str| question.right.contains(&name);
            let (among, first) = (names.iter().any(|name| is_right(name)), names.first().is_some_and(|name| is_right(name)));
            let by_letter = index.search(text, &literal, 5).into_iter().any(|found| is_right(&found.name(&index)));
            for (row, counts_it) in counts.iter_mut().zip([true, among, first, by_letter]) {
                row[kind] += usize::from(counts_it);
            }
            read.push(tokens(&answer));
            if !among {
                println!("missed: {text}: wanted {:?}, got {names:?}", question.right);
            }
        }
    }
    let [all, found, first, by_letter] = counts;
    let plain: usize = tools.iter().map(|tool| tokens(&tool.definition)).sum();
    let listed: usize = answer.added.iter().map(|definition| tokens(definition)).sum();
    let mean = read.iter().sum::<usize>() / read.len();
    let upstreams = tools.iter().map(|tool| &*tool.upstream).collect::<BTreeSet<_>>().len();

    let share = |of: usize, all: usize| format!("{of} of {all} ({:.0} %)", of as f64 * 100.0 / all as f64);
    let mut table = format!("{} tools of {upstreams} servers, {} questions:\n\n", tools.len(), questions.len());
    table += "| | in words of the tool | in other words | those, as a model words them |\n|---|---|---|---|\n";
    for (what, counts) in [
        ("the plain list: all tools are in it", all),
        ("**a right tool among the first 5**", found),
        ("it is the very first", first),
        ("among the first 5, without the words that stand for each other", by_letter),
    ] {
        let cells: Vec<String> = counts.iter().zip(all).map(|(of, all)| share(*of, all)).collect();
        writeln!(table, "| {what} | {} |", cells.join(" | ")).unwrap();
    }
    table += "\n| what a model reads | tokens |\n|---|---|\n";
    writeln!(table, "| the plain list, in every turn | {plain} |").unwrap();
    writeln!(table, "| the two tools of this plugin, in every turn | {listed} |").unwrap();
    writeln!(table, "| the answer to a question, on average | {mean} |").unwrap();
    writeln!(table, "| **saved with one question** | {} |", share(plain - listed - mean, plain)).unwrap();
    println!("{table}");

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- figures -->\n").unwrap();
    let (there, after) = rest.split_once("<!-- /figures -->").unwrap();
    if std::env::var_os("SLUICE_BLESS").is_some() {
        std::fs::write(path, format!("{before}<!-- figures -->\n{table}<!-- /figures -->{after}")).unwrap();
    } else {
        assert_eq!(there, table, "SLUICE_BLESS=1 writes the figures into the README");
    }
    // What may not be lost, whatever is written.
    assert!(found.iter().zip(all).zip([95, 30, 90]).all(|((of, all), least)| of * 100 >= all * least), "{found:?} of {all:?}");
    assert!((listed + mean) * 10 <= plain, "{listed} and {mean} of {plain}");
}

//! Which tools mean what is asked: by the vectors of a service that speaks OpenAI's `POST /v1/embeddings`.
//!
//! Vectors of tools are kept in kv for all instances, under what stands for their texts. A question brings at most `texts_max` texts along
//! that have none yet, those first that its words are about, so a long list is known after some questions; until then words alone find the
//! rest. While the service does not answer, words alone count.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use sluice_sdk::fetch::{self, Place, Request};
use sluice_sdk::json;
use sluice_sdk::kv::{Bucket, Op, Outcome};
use sluice_sdk::log::{self, Level};
use sluice_sdk::metrics;
use sluice_sdk::prelude::*;
use sluice_sdk::secrets::Secret;

use crate::TOOL;
use crate::config::Embeddings;
use crate::definition::{Definition, Listed};
use crate::index::{Alike, Found, Index, mark, start};

/// How many of the best of each ranking are looked at.
const POOL: usize = 50;
/// Of reciprocal rank fusion, as its authors have it (Cormack, Clarke and Büttcher, 2009).
const RANK_0: f32 = 60.0;
/// Numbers of a vector that count.
const NUMBERS_MAX: usize = 1024;
/// Of a tool, as it is sent.
const TEXT_BYTES_MAX: usize = 2048;
/// In so many values the vectors of one model are kept, each of at most so many bytes; in a full one the oldest make room.
const SHELVES: u64 = 64;
const SHELF_BYTES_MAX: usize = 60 << 10;
/// How long a vector is kept, of a tool and of a question.
const TOOL_TTL_MS: u32 = 15 * 86_400_000;
const QUESTION_TTL_MS: u32 = 3_600_000;
/// A service that failed is left alone for so long.
const DOWN_MS: u32 = 30_000;

/// The direction of a text, each number in its share of the largest.
type Vector = Vec<i8>;

/// Of the tools of a list.
#[derive(Debug, Default)]
pub struct Vectors {
    by_mark: BTreeMap<u64, Vector>,
    is_read: bool,
}

impl Vectors {
    /// The tools that a question is about, best first, at most so many: by words and by meaning.
    pub fn search(&mut self, service: &Embeddings, asked: &str, index: &Index, alike: &Alike, most: usize, x: &Exchange) -> Vec<Found> {
        let mut by_words = index.search(asked, alike, POOL.max(most));
        match self.question(service, asked, index, &by_words, x) {
            Ok(question) => fuse(&by_words, &self.nearest(&question, index), most),
            Err(why) => {
                metrics::add("embeddings_failed", 1, &[]);
                log::write(Level::Warn, "the embeddings endpoint gave no vectors, so tools were found by words alone", &[("why", &why)]);
                by_words.truncate(most);
                by_words
            }
        }
    }

    /// The vector of a question; on the way, those of some tools.
    fn question(&mut self, service: &Embeddings, asked: &str, index: &Index, by_words: &[Found], x: &Exchange) -> Result<Vector, String> {
        let model = model(service);
        let bucket = Bucket::open("vectors").map_err(|error| format!("no store: {error:?}"))?;
        if !self.is_read {
            self.read(&bucket, model);
        }
        let asker = x.attr("principal.id").unwrap_or_default();
        let own = format!("question/{:x}", mark([&*format!("{model:x}"), &asker, asked]));
        let down = format!("down/{model:x}");
        let kept = bucket.batch(&[Op::get(&own), Op::get(&down)]).unwrap_or_default();
        let value = |at: usize| match kept.get(at) {
            Some(Ok(Outcome::Value(value))) => value.clone(),
            _ => None,
        };
        let missing = self.missing(index, by_words, service.texts_max);
        let question = value(0).map(|bytes| bytes.into_iter().map(u8::cast_signed).collect::<Vector>());
        if let Some(question) = &question
            && missing.is_empty()
        {
            return Ok(question.clone());
        }
        if value(1).is_some() {
            return question.ok_or_else(|| "it did not answer a moment ago".to_string());
        }
        match ask(service, asked, index, &missing, x) {
            Ok((question, of_tools)) => {
                let bytes: Vec<u8> = question.iter().map(|number| number.cast_unsigned()).collect();
                // A store that is full or away costs a question to the service, and nothing else.
                let _ = bucket.set(&own, &bytes, Some(QUESTION_TTL_MS));
                keep(&bucket, model, &of_tools);
                self.by_mark.extend(of_tools);
                Ok(question)
            }
            Err(why) => {
                let _ = bucket.set(&down, b"", Some(DOWN_MS));
                question.ok_or(why)
            }
        }
    }

    fn read(&mut self, bucket: &Bucket, model: u64) {
        let gets: Vec<Op> = (0..SHELVES).map(|shelf| Op::get(&shelf_key(model, shelf))).collect();
        for outcome in bucket.batch(&gets).unwrap_or_default() {
            if let Ok(Outcome::Value(Some(bytes))) = outcome {
                self.by_mark.extend(entries(&bytes));
            }
        }
        self.is_read = true;
    }

    /// Places of tools without a vector: those that the words are about, then the others.
    fn missing(&self, index: &Index, by_words: &[Found], most: usize) -> Vec<usize> {
        let mut missing: Vec<usize> = Vec::new();
        for at in by_words.iter().map(|found| found.at).chain(0..index.len()) {
            if missing.len() == most {
                break;
            }
            if !self.by_mark.contains_key(&index.mark(at)) && !missing.contains(&at) {
                missing.push(at);
            }
        }
        missing
    }

    fn nearest(&self, question: &Vector, index: &Index) -> Vec<Found> {
        let own = dot(question, question);
        let near = |at: usize| {
            let vector = self.by_mark.get(&index.mark(at)).filter(|vector| vector.len() == question.len())?;
            let (both, its) = (dot(question, vector), dot(vector, vector));
            // The cosine's square with its sign: in the same order, and without a root.
            (both > 0).then(|| Found { at, score: both as f32 * both as f32 / (own as f32 * its as f32) })
        };
        let mut near: Vec<Found> = (0..index.len()).filter_map(near).collect();
        near.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.at.cmp(&b.at)));
        near.truncate(POOL);
        near
    }
}

/// Two rankings in one: what stands high in either, and higher what does in both.
fn fuse(a: &[Found], b: &[Found], most: usize) -> Vec<Found> {
    let mut fused: Vec<Found> = Vec::new();
    for ranking in [a, b] {
        for (rank, found) in ranking.iter().enumerate() {
            let score = 1.0 / (RANK_0 + rank as f32 + 1.0);
            match fused.iter_mut().find(|known| known.at == found.at) {
                Some(known) => known.score += score,
                None => fused.push(Found { at: found.at, score }),
            }
        }
    }
    fused.sort_by(|a, b| b.score.total_cmp(&a.score));
    fused.truncate(most);
    fused
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(a, b)| i32::from(*a) * i32::from(*b)).sum()
}

/// What stands for whatever vectors can be compared.
fn model(service: &Embeddings) -> u64 {
    mark([&*service.url, &service.model, &service.dimensions.unwrap_or_default().to_string()])
}

type Answered = (Vector, Vec<(u64, Vector)>);

/// One request: the question, and the texts of these tools.
fn ask(service: &Embeddings, asked: &str, index: &Index, missing: &[usize], x: &Exchange) -> Result<Answered, String> {
    let mut input = json::string(asked);
    for at in missing {
        let listed = x.attr(&format!("{TOOL}{}", index.name(*at))).unwrap_or_default();
        let about = Listed::read(&listed).map(|listed| Definition::read(listed.definition.get()).description.to_string());
        input.push(',');
        input.push_str(&json::string(&format!("{}: {}", index.name(*at), start(&about.unwrap_or_default(), TEXT_BYTES_MAX))));
    }
    let dimensions = service.dimensions.map(|numbers| format!(r#","dimensions":{numbers}"#)).unwrap_or_default();
    let body = format!(r#"{{"model":{},"input":[{input}],"encoding_format":"float"{dimensions}}}"#, json::string(&service.model));
    let request = Request::post(&service.url, body.as_bytes()).header("content-type", "application/json").within_ms(service.timeout_ms);
    let secret = match &service.secret {
        Some(name) => Some(Secret::open(name).map_err(|error| format!("no secret {name:?}: {error:?}"))?),
        None => None,
    };
    let shown: Vec<_> = secret.iter().map(|secret| (Place::header("authorization", "Bearer "), secret)).collect();
    let response = fetch::send(x, &request, &shown, &[]).map_err(|error| format!("{error:?}"))?;
    if response.status != 200 {
        return Err(format!("it answered with status {}", response.status));
    }
    let answer: Answer = serde_json::from_slice(&response.body).map_err(|_| "its answer is no list of vectors".to_string())?;
    let mut vectors: Vec<Option<Vector>> = Vec::new();
    vectors.resize_with(missing.len() + 1, || None);
    for one in answer.data {
        if let Some(slot) = vectors.get_mut(one.index) {
            *slot = one.embedding.0;
        }
    }
    let mut vectors = vectors.into_iter();
    let question = vectors.next().flatten().ok_or("its answer has no vector for the question")?;
    let of_tools = missing.iter().zip(vectors).filter_map(|(at, vector)| Some((index.mark(*at), vector?)));
    Ok((question, of_tools.collect()))
}

#[derive(serde::Deserialize)]
struct Answer {
    data: Vec<One>,
}

#[derive(serde::Deserialize)]
struct One {
    index: usize,
    embedding: Numbers,
}

/// None: all are zero, so it points nowhere.
struct Numbers(Option<Vector>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Numbers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("numbers")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Numbers, A::Error> {
                let mut numbers: Vec<f32> = Vec::new();
                while numbers.len() < NUMBERS_MAX {
                    let Some(number) = seq.next_element::<f32>()? else { break };
                    numbers.push(number);
                }
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Numbers(direction(&numbers)))
            }
        }
        from.deserialize_seq(Reader)
    }
}

fn direction(numbers: &[f32]) -> Option<Vector> {
    let largest = numbers.iter().fold(0.0f32, |largest, number| largest.max(number.abs()));
    let share = |number: &f32| (number / largest * 127.0) as i8;
    (largest > 0.0 && largest.is_finite()).then(|| numbers.iter().map(share).collect())
}

fn shelf_key(model: u64, shelf: u64) -> String {
    format!("tools/{model:x}/{shelf}")
}

/// Vectors of a shelf: mark, length, numbers; little-endian.
fn entries(mut bytes: &[u8]) -> Vec<(u64, Vector)> {
    let mut entries = Vec::new();
    while let Some((mark, rest)) = bytes.split_first_chunk::<8>()
        && let Some((len, rest)) = rest.split_first_chunk::<2>()
        && let Some((vector, rest)) = rest.split_at_checked(u16::from_le_bytes(*len).into())
    {
        entries.push((u64::from_le_bytes(*mark), vector.iter().map(|byte| byte.cast_signed()).collect()));
        bytes = rest;
    }
    entries
}

/// Puts vectors with those that are kept already. Of two instances that do it at once the first one's are asked for again some time.
fn keep(bucket: &Bucket, model: u64, vectors: &[(u64, Vector)]) {
    let mut shelves: Vec<u64> = vectors.iter().map(|(mark, _)| mark % SHELVES).collect();
    shelves.sort_unstable();
    shelves.dedup();
    let gets: Vec<Op> = shelves.iter().map(|shelf| Op::get(&shelf_key(model, *shelf))).collect();
    let kept = bucket.batch(&gets).unwrap_or_default();
    let mut sets = Vec::with_capacity(shelves.len());
    for (shelf, outcome) in shelves.iter().zip(kept) {
        let mut bytes = match outcome {
            Ok(Outcome::Value(value)) => value.unwrap_or_default(),
            _ => continue,
        };
        for (mark, vector) in vectors.iter().filter(|(mark, _)| mark % SHELVES == *shelf) {
            bytes.extend_from_slice(&mark.to_le_bytes());
            bytes.extend_from_slice(&(vector.len() as u16).to_le_bytes());
            bytes.extend(vector.iter().map(|number| number.cast_unsigned()));
        }
        while bytes.len() > SHELF_BYTES_MAX {
            let first = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
            bytes.drain(..first.min(bytes.len()));
        }
        sets.push(Op::set(&shelf_key(model, *shelf), &bytes, Some(TOOL_TTL_MS)));
    }
    let _ = bucket.batch(&sets);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_survive_the_store_and_what_is_cut_is_left_out() {
        let mut bytes = Vec::new();
        for (mark, vector) in [(7u64, &[1i8, -2][..]), (u64::MAX, &[])] {
            bytes.extend_from_slice(&mark.to_le_bytes());
            bytes.extend_from_slice(&(vector.len() as u16).to_le_bytes());
            bytes.extend(vector.iter().map(|number| number.cast_unsigned()));
        }
        let whole = [(7, alloc::vec![1, -2]), (u64::MAX, Vec::new())];
        assert_eq!(entries(&bytes), whole);
        for cut in 0..bytes.len() {
            assert!(whole.starts_with(&entries(&bytes[..cut])), "{cut}");
        }
    }

    #[test]
    fn a_direction_has_no_length() {
        assert_eq!(direction(&[1.0, -0.5, 0.0]), direction(&[20.0, -10.0, 0.0]));
        assert_eq!(direction(&[1.0, -1.0]).unwrap(), [127, -127]);
        assert_eq!((direction(&[]), direction(&[0.0]), direction(&[f32::INFINITY])), (None, None, None));
    }

    #[test]
    fn what_stands_high_in_both_rankings_is_first() {
        let ranking = |places: &[usize]| places.iter().map(|at| Found { at: *at, score: 1.0 }).collect::<Vec<_>>();
        let fused = fuse(&ranking(&[1, 2, 3]), &ranking(&[4, 3]), 3);
        assert_eq!(fused.iter().map(|found| found.at).collect::<Vec<_>>(), [3, 1, 4]);
    }
}

//! What the revisions say MUST be refused: each clause names the test that shows it.

#[cfg(test)]
mod tests {
    use crate::{sources::tests, step::root};
    use std::collections::HashSet;

    const LIST: &str = "tests/statements/must-reject.txt";

    /// A test's name without the number of a statement, a threat or both in front.
    fn plain(name: &str) -> &str {
        let is_number = |part: &str| part.len() > 1 && part.starts_with(['c', 's', 't']) && part[1..].bytes().all(|b| b.is_ascii_digit());
        match name.split_once('_') {
            Some((first, rest)) if is_number(first) => plain(rest),
            _ => name,
        }
    }

    #[test]
    fn every_clause_names_a_test_that_exists() {
        let tests: HashSet<String> = tests().expect("the sources").keys().map(|name| plain(name).to_owned()).collect();
        let text = std::fs::read_to_string(root().join(LIST)).expect(LIST);
        let clauses = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (mut count, mut missing) = (0, Vec::new());
        for clause in clauses {
            let fields: Vec<&str> = clause.split('\t').collect();
            let [revision, _, _, test] = *fields else { panic!("{LIST}: not four fields: {clause}") };
            assert!(["2025-11-25", "2026-07-28", "both"].contains(&revision), "{clause}");
            count += 1;
            if !tests.contains(plain(test)) {
                missing.push(test);
            }
        }
        assert!(missing.is_empty(), "{LIST} names tests that do not exist: {missing:?}");
        assert!(!tests.contains("a_test_that_does_not_exist"), "the control");
        println!("{count} clauses, each with its test");
    }
}

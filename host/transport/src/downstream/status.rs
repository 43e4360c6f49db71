//! JSON-RPC code to HTTP status: here and nowhere else.

use sluice_wire::{code, revision::Era};

/// The status of an answer that came through the chain, by the code of its error.
///
/// Legacy answers are always 200: a legacy client reads 404 as the end of its session. Modern ones
/// have a status of their own where the specification gives one; -32602 stays 200, because a modern
/// client takes a 400 without a code it recognises for a legacy server (the transport's own refusals
/// of malformed `_meta` are 400, as the specification demands). A filter's own wish comes first.
pub(super) fn of_answer(era: Era, error: Option<i64>, wished: Option<u16>) -> u16 {
    let Some(error) = error else {
        return 200;
    };
    let wished = wished.filter(|status| (400..600).contains(status));
    match (era, wished, error) {
        (Era::Legacy, Some(404), _) => 200,
        (_, Some(status), _) => status,
        (Era::Legacy, None, _) => 200,
        (Era::Modern, None, code::METHOD_NOT_FOUND) => 404,
        (Era::Modern, None, code) if is_bad_request(code) => 400,
        (Era::Modern, None, _) => 200,
    }
}

/// Codes that say the request itself was not well-formed for the endpoint.
fn is_bad_request(error: i64) -> bool {
    matches!(
        error,
        code::PARSE_ERROR | code::INVALID_REQUEST | code::HEADER_MISMATCH | code::MISSING_CAPABILITY | code::UNSUPPORTED_VERSION
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page that users read holds this table; the code and the page change together.
    #[test]
    fn the_table_of_the_docs_is_the_table_of_the_code() {
        let mut table = String::from("| code | modern (2026-07-28) | legacy |\n| ---: | ---: | ---: |\n");
        let codes = [
            code::PARSE_ERROR,
            code::INVALID_REQUEST,
            code::METHOD_NOT_FOUND,
            code::INVALID_PARAMS,
            code::INTERNAL_ERROR,
            code::HEADER_MISMATCH,
            code::MISSING_CAPABILITY,
            code::UNSUPPORTED_VERSION,
        ];
        for code in codes {
            let status = |era| of_answer(era, Some(code), None);
            table.push_str(&format!("| {code} | {} | {} |\n", status(Era::Modern), status(Era::Legacy)));
        }
        let status = |era| of_answer(era, Some(-1), None);
        table.push_str(&format!("| any other | {} | {} |\n", status(Era::Modern), status(Era::Legacy)));
        let page = include_str!("../../../../docs/errors.md");
        assert!(page.contains(&table), "docs/errors.md should hold:\n{table}");
    }

    #[test]
    fn a_filter_may_choose_the_status_of_an_error_but_not_of_a_result() {
        assert_eq!(of_answer(Era::Modern, Some(5), Some(429)), 429);
        assert_eq!(of_answer(Era::Legacy, Some(5), Some(429)), 429);
        assert_eq!(of_answer(Era::Legacy, Some(5), Some(404)), 200, "404 would end the session");
        assert_eq!(of_answer(Era::Modern, Some(5), Some(200)), 200);
        assert_eq!(of_answer(Era::Modern, Some(5), Some(301)), 200);
        assert_eq!(of_answer(Era::Modern, None, Some(429)), 200);
    }
}

//! What a client hears.

use sluice_sdk::prelude::*;

use crate::work::STEPS_MAX;

/// Arguments do not fit.
pub const BAD_ARGUMENTS: i32 = 4220;
/// A result does not fit.
pub const BAD_RESULT: i32 = 4221;
/// Nobody can say whether they do.
pub const UNCHECKED: i32 = 4222;

/// As a result of the tool, which its model reads: it is to mend its call.
pub fn bad_arguments(tool: &str, mistakes: &[String]) -> Verdict {
    let message = format!("The arguments of {tool} do not fit its input schema. Mend these and call again:\n{}", lines(mistakes));
    Rejection::new(BAD_ARGUMENTS, &message).tool_result().into()
}

/// The same for a result: its model reads that there is none, and that another call would change nothing.
pub fn bad_result(tool: &str, mistakes: &[String]) -> Verdict {
    let message = format!("{tool} answered with what does not fit its output schema. That is its server's mistake:\n{}", lines(mistakes));
    Rejection::new(BAD_RESULT, &message).tool_result().into()
}

/// A call of a tool without a schema. Its list does not show it, so this is for names that are given behind this plugin.
pub fn unknown(tool: &str) -> Verdict {
    let message = format!("what {tool} takes is not known here, so it cannot be called; that is the operator's to settle");
    Rejection::new(UNCHECKED, &message).status(403).into()
}

/// Values that would take too long to check.
pub fn too_much(tool: &str) -> Verdict {
    let message = format!("these values are more than {tool}'s schema can be held against in {STEPS_MAX} steps: send or ask for less");
    Rejection::new(UNCHECKED, &message).status(403).into()
}

fn lines(mistakes: &[String]) -> String {
    mistakes.iter().map(|mistake| format!("- {mistake}")).collect::<Vec<_>>().join("\n")
}

//! What the person is asked, and what each answer means.

use sluice_example_confirm::Confirm;
use sluice_sdk::{
    prelude::*,
    testing::{self, FakeExchange},
};

fn call(tool: &str, x: &FakeExchange) -> Verdict {
    let confirm: Confirm = testing::plugin(r#"{"tools":["rm"]}"#).unwrap();
    confirm.on_request(&testing::head("tools/call").name(tool), x)
}

#[test]
fn a_dangerous_tool_waits_and_others_do_not() {
    let x = FakeExchange::default().with_upstream("files");
    assert_eq!(call("ls", &x), Verdict::Next);
    let Verdict::Suspend(asks) = call("rm", &x) else { panic!("nobody was asked") };
    assert_eq!(asks, Suspension::confirm("Run the tool rm of the server files now?"));
}

#[test]
fn yes_is_yes_and_all_else_is_no() {
    let said = |said: &Elicited| call("rm", &FakeExchange::default().with_elicited("confirm", said));
    assert_eq!(said(&Elicited::Accept("{}".into())), Verdict::Next);
    for no in [Elicited::Decline, Elicited::Cancel] {
        let Verdict::Reject(refused) = said(&no) else { panic!("{no:?} let it pass") };
        assert!(refused.as_tool_result && refused.message.starts_with("the user"), "{refused:?}");
    }
    let other = FakeExchange::default().with_elicited("other", &Elicited::Accept("{}".into()));
    assert!(matches!(call("rm", &other), Verdict::Suspend(_)), "an answer to somebody else");
}

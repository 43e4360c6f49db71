//! A program with a gateway inside (`host/app/examples/embedded.rs`).

use crate::{
    caller::{Caller, Era},
    folder::{Folder, sluice},
    turn::beside,
};
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
};

struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn f030_f033_a_gateway_from_an_object_serves_inside_another_program() {
    beside("a gateway inside", 120, async {
        let folder = Folder::new();
        let binary = sluice().with_file_name("examples").join("embedded");
        let mut command = Command::new(&binary);
        command.arg(folder.root()).current_dir(folder.root()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = Program(command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary.display())));
        let mut ready = String::new();
        BufReader::new(program.0.stdout.take().expect("its output")).read_line(&mut ready).expect("a line");
        let address = ready.strip_prefix("ready http://").and_then(|rest| rest.split('/').next()).unwrap_or_else(|| panic!("{ready}"));
        assert!(ready.trim_end().ends_with("with redact, namespace"), "{ready}");
        let token = folder.read("token");
        for era in Era::BOTH {
            let mut caller = Caller::new(address, era, token.trim()).await;
            let result = caller.result("clock_echo", r#"{"text":"write to ada@example.com"}"#).await;
            assert!(!result.to_string().contains("ada@example.com"), "{era:?}: the chain is in force: {result}");
        }
        drop(program.0.stdin.take());
        assert!(program.0.wait().expect("it ends").success());
        assert!(folder.read("audit.jsonl").contains("clock_echo"), "what is written is written to the end");
    });
}

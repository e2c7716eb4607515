//! Files, scripts and configs as people have them: `what_people_bring.py` makes each, and says what is right.

use std::process::Command;

use crate::support::{python, root, run};

#[test]
fn what_people_bring_gets_the_right_answer() {
    let Some(python) = python() else { return };
    let mut command = Command::new(python);
    command.arg(root().join("tests/what_people_bring.py")).arg(env!("CARGO_BIN_EXE_magellan"));
    let (code, out, err) = run(&mut command);
    let wrong: Vec<&str> = out.lines().filter(|line| !line.starts_with("right")).collect();
    assert_eq!(code, 0, "{}\n{err}", wrong.join("\n"));
}

//! Where one path through a script has got to.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::value::Value;
use crate::shell::ShellOptions;

/// First byte and the byte behind the last.
pub(crate) type Place = (usize, usize);

/// What became of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    /// Another command stands in for it: `||`.
    Or,
    /// What stands before `&&` doesn't end a script.
    And,
    /// It is the answer to a question: `if`, `while`, `until`.
    Asked,
    /// `!`
    Not,
    /// `set +e`
    ErrexitOff,
    /// The shell was never told to stop.
    NoErrexit,
    /// It is inside of what `||`, `if` or `!` asks, where the shell doesn't stop.
    WithinQuestion,
    /// It is inside of `$(…)`, where bash doesn't stop.
    WithinSubstitution,
    /// Only the last command of a pipe counts.
    Pipe,
    /// `&`
    Background,
    /// `echo $(…)`
    Argument,
    /// `<(…)`
    Process,
    /// A trap says how the script ends.
    Trap,
    /// The program that runs it doesn't hand it on.
    Runner,
    /// The script ends with a code of its own.
    Ended,
}

/// A command on which a stage depends has failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lost {
    /// What was run.
    pub(super) command: String,
    pub(super) at: Place,
    /// What became of it first.
    pub(super) how: Option<(How, Place)>,
}

/// How a statement ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flow {
    Next,
    Exit,
    Return,
    /// Of so many loops.
    Break(u8),
    Continue(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    /// `$?`
    pub(super) status: Value,
    /// `PIPESTATUS`
    pub(super) pipe: Vec<Value>,
    pub(super) variables: BTreeMap<String, Value>,
    /// Names of functions, and which of all bodies each has.
    pub(super) functions: BTreeMap<String, usize>,
    /// `$1` and so on.
    pub(super) arguments: Vec<Value>,
    pub(super) errexit: bool,
    pub(super) pipefail: bool,
    /// Whether `-e` also counts inside `$(…)`.
    pub(super) inherits: bool,
    /// Whether functions have the trap of what calls them.
    pub(super) errtrace: bool,
    /// What switched `-e` off.
    pub(super) weakened: Option<(How, Place)>,
    pub(super) on_exit: Option<(Rc<str>, Place)>,
    pub(super) on_error: Option<(Rc<str>, Place)>,
    /// How each job ended.
    pub(super) jobs: Vec<Value>,
    /// Scripts that were written into files.
    pub(super) files: BTreeMap<String, Rc<str>>,
    pub(super) lost: Option<Lost>,
}

impl State {
    pub(super) fn new(shell: ShellOptions) -> Self {
        Self {
            status: Value::zero(),
            pipe: Vec::new(),
            variables: BTreeMap::new(),
            functions: BTreeMap::new(),
            arguments: Vec::new(),
            errexit: shell.errexit,
            pipefail: shell.pipefail,
            inherits: !shell.bash,
            errtrace: false,
            weakened: (!shell.errexit).then_some((How::NoErrexit, (0, 0))),
            on_exit: None,
            on_error: None,
            jobs: Vec::new(),
            files: BTreeMap::new(),
            lost: None,
        }
    }

    pub(super) fn with(mut self, status: Value) -> Self {
        self.status = status;
        self
    }

    pub(super) fn has_failed(&self) -> bool {
        self.status.is_zero() != Some(true)
    }

    /// Notes what became of a failure that nothing has taken up yet.
    pub(super) fn taken_up(mut self, how: How, at: Place) -> Self {
        if self.has_failed()
            && let Some(lost) = &mut self.lost
        {
            lost.how.get_or_insert((how, at));
        }
        self
    }

    /// A copy for what runs in a process of its own, without traps.
    pub(super) fn forked(&self) -> Self {
        Self { on_exit: None, on_error: self.on_error.clone().filter(|_| self.errtrace), ..self.clone() }
    }

    /// This one, after such a process ended.
    pub(super) fn after(&self, ended: Self) -> Self {
        Self { status: ended.status, lost: ended.lost, ..self.clone() }
    }
}

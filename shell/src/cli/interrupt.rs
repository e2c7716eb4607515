//! What Ctrl-C says.

use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// From now on Ctrl-C says what becomes of the work, runs `clean` and ends the program.
pub(super) fn on_interrupt(last_words: String, clean: impl FnOnce() + Send + 'static) {
    // Without a listener Ctrl-C ends the program as ever.
    let Ok(mut signals) = Signals::new([SIGINT]) else { return };
    let listen = move || {
        if signals.forever().next().is_some() {
            eprintln!("\ninterrupted: {last_words}");
            clean();
            std::process::exit(INTERRUPTED);
        }
    };
    drop(std::thread::Builder::new().name("interrupt".to_owned()).spawn(listen));
}

//! Whether there is a stdout to write results to.
//!
//! Rust opens /dev/null in the place of a closed stdout before `main`, and whatever is written then is lost in silence.
//! So this looks before Rust does.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether this program was started without a stdout.
pub(super) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

#[cfg(target_os = "linux")]
mod before_main {
    use std::io::ErrorKind;
    use std::path::Path;
    use std::sync::atomic::Ordering;

    // SAFETY: the loader calls what this section lists once, on the only thread, with the C library set up; `look` has
    // the signature that it calls.
    #[expect(unsafe_code, reason = "a closed stdout can be seen only before Rust replaces it")]
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOOK: extern "C" fn() = look;

    extern "C" fn look() {
        let stdout = Path::new("/proc/self/fd/1").symlink_metadata();
        let missing = stdout.is_err_and(|e| e.kind() == ErrorKind::NotFound);
        // Without /proc nothing can be said.
        super::CLOSED.store(missing && Path::new("/proc/self/fd").is_dir(), Ordering::Relaxed);
    }
}

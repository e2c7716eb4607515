//! Threads that fit a limited address space (`ulimit -v`, a batch system's limit).
//!
//! Each thread's allocator reserves 64 MB of addresses. Where it can't, it asks the kernel again at every allocation, and
//! a sweep of seconds takes minutes. So a process under a limit takes fewer threads, or says what it needs.

use magellan::error::{Error, Result};

use crate::codes;

const MB: u64 = 1 << 20;
/// The program, its stack and mapped bars, about.
const PROGRAM: u64 = 64 * MB;
/// A thread's reserve and stack, with what it computes in.
const THREAD: u64 = 80 * MB;

/// Takes as many threads as the address space allows beside `memory` bytes of indicator columns.
///
/// # Errors
/// Usage error if it allows none.
pub(super) fn fit_threads(memory: usize) -> Result<()> {
    let Some(limit) = limit() else { return Ok(()) };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = std::env::var("RAYON_NUM_THREADS").ok().and_then(|n| n.parse().ok()).filter(|n| *n > 0);
    let wanted = asked.unwrap_or(cores);
    let fitting = threads(limit, memory as u64);
    if fitting == 0 {
        let needed = (PROGRAM + THREAD).saturating_add(memory as u64).div_ceil(MB);
        let what = format!(
            "the address space is limited to {} MB; with --memory {}MB at least {needed} MB are needed",
            limit / MB,
            memory as u64 / MB,
        );
        return Err(
            Error::new(codes::ENVIRONMENT, what).help("raise the limit (`ulimit -v unlimited`), or lower --memory")
        );
    }
    if fitting < wanted {
        // Whoever has begun with more threads keeps them.
        drop(rayon::ThreadPoolBuilder::new().num_threads(fitting).build_global());
    }
    Ok(())
}

fn threads(limit: u64, memory: u64) -> usize {
    usize::try_from(limit.saturating_sub(PROGRAM).saturating_sub(memory) / THREAD).unwrap_or(usize::MAX)
}

/// The limit of the address space in bytes, if there is one and the system says so.
fn limit() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_fit_what_is_left_beside_the_columns() {
        for (limit, memory, fitting) in
            [(64, 0, 0), (271, 128, 0), (272, 128, 1), (352, 128, 2), (144, 0, 1), (1 << 20, 128, 13_104)]
        {
            assert_eq!(threads(limit * MB, memory * MB), fitting, "{limit} MB, {memory} MB of columns");
        }
    }
}

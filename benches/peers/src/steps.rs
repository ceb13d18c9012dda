//! Counts instructions by the processor's trap flag, one signal an instruction: for code that valgrind cannot run.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;

/// A signal handler has nowhere else to count.
static STEPS: AtomicU64 = AtomicU64::new(0);

extern "C" fn step(_: libc::c_int) {
    STEPS.fetch_add(1, Ordering::Relaxed);
}

/// Instructions that `work` takes, with a handful for getting there.
#[cfg(target_arch = "x86_64")]
pub fn count(work: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
    use std::arch::asm;

    let handler: extern "C" fn(libc::c_int) = step;
    // SAFETY: the handler only adds to an atomic number.
    let previous = unsafe { libc::signal(libc::SIGTRAP, handler as libc::sighandler_t) };
    if previous == libc::SIG_ERR {
        return Err(std::io::Error::last_os_error().into());
    }
    STEPS.store(0, Ordering::Relaxed);
    // SAFETY: sets the trap flag and nothing else; the handler is there.
    unsafe { asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq") };
    let result = work();
    // SAFETY: clears the trap flag and nothing else.
    unsafe { asm!("pushfq", "and qword ptr [rsp], -257", "popfq") };
    result.map(|()| STEPS.load(Ordering::Relaxed))
}

/// Only x86-64 has the trap flag; callgrind runs all kernels of other processors.
#[cfg(not(target_arch = "x86_64"))]
pub fn count(_: impl FnOnce() -> Result<(), Error>) -> Result<u64, Error> {
    Err("single steps need an x86-64 processor".into())
}

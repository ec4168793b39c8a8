//! The randomness of Olm, supplied from the seed. vodozemac draws its own from the operating system; here that answer is ours, so
//! that a run can be repeated to the byte. Nothing else may be in this file, and nothing but simulations may be built with it.

#![expect(unsafe_code, reason = "a function of libc is replaced, which has no safe form")]

use libc::{c_uint, c_void, size_t, ssize_t};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::cell::RefCell;

thread_local! {
    /// The source of all random bytes of this thread; none: the system's.
    static RANDOM: RefCell<Option<ChaCha20Rng>> = const { RefCell::new(None) };
}

/// From now on this thread gets its randomness from the seed. Before anything on it asked for any.
pub(crate) fn enter(seed: u64) {
    RANDOM.set(Some(ChaCha20Rng::seed_from_u64(seed)));
}

/// libc's function of this name.
///
/// # Safety
///
/// `buffer` must point to `length` bytes that may be written.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    let ours = RANDOM.with_borrow_mut(|random| {
        let random = random.as_mut()?;
        if length > 0 && !buffer.is_null() {
            // SAFETY: the caller promises that so many bytes may be written there. They are not read before they were written.
            let bytes = unsafe {
                buffer.cast::<u8>().write_bytes(0, length);
                std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
            };
            random.fill_bytes(bytes);
        }
        Some(ssize_t::try_from(length).unwrap_or(-1))
    });
    ours.unwrap_or_else(|| {
        // SAFETY: the system call that the function of this name makes, with what the caller promises of the buffer.
        let answer = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        ssize_t::try_from(answer).unwrap_or(-1)
    })
}

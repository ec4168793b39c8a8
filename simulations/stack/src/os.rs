//! What the operating system is asked for, answered by the simulation: random bytes and the time. Everything in the process asks
//! through these two symbols of libc, the standard library's clocks and hash maps, libp2p, Olm and the rest, and none of it has to
//! know. Threads that simulate nothing get the system's own answers.
//!
//! The only unsafe code of the project. Nothing else may be in this file, and nothing but simulations may be built with it.

#![expect(unsafe_code, reason = "two functions of libc are replaced, which has no safe form")]

use libc::{c_int, c_long, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use tokio::time::Instant;

/// What the wall clock shows when a run begins: noon (UTC) of 1 May 2026. Days and epochs begin elsewhere.
pub const BEGINNING: Duration = Duration::from_secs(1_777_636_800);

/// What the monotonic clock shows then. Not zero: some subtract from it.
const UP: Duration = Duration::from_secs(1_000_000);

thread_local! {
    /// The source of all random bytes of this thread, if it simulates.
    static RANDOM: RefCell<Option<ChaCha20Rng>> = const { RefCell::new(None) };
    /// When the run began, on the clock of its runtime; none before there is one.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static SIMULATES: Cell<bool> = const { Cell::new(false) };
    /// The clock is being asked by us: tokio's own question on the way is answered without it.
    static ASKING: Cell<bool> = const { Cell::new(false) };
}

/// From now on this thread gets its time and randomness from the simulation. Before anything on it asked for either.
pub fn enter(seed: u64) {
    RANDOM.set(Some(ChaCha20Rng::seed_from_u64(seed)));
    SIMULATES.set(true);
}

/// The run begins: time passes as the current runtime's does.
pub fn begin() {
    BEGAN.set(Some(Instant::now()));
}

/// How long the run has gone on, in virtual time.
#[must_use]
pub fn elapsed() -> Duration {
    let Some(began) = BEGAN.get() else {
        return Duration::ZERO;
    };
    if ASKING.replace(true) {
        return Duration::ZERO;
    }
    let elapsed = began.elapsed();
    ASKING.set(false);
    elapsed
}

/// The machine's own monotonic clock, for what measures the simulation itself.
#[must_use]
pub fn real_now() -> Duration {
    ask(libc::CLOCK_MONOTONIC)
}

/// How long a processor has worked for this process: as much as it would take on a machine with nothing else to do.
#[must_use]
pub fn worked() -> Duration {
    ask(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn ask(clock: clockid_t) -> Duration {
    let mut time = timespec { tv_sec: 0, tv_nsec: 0 };
    ask_system(clock, &raw mut time);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
}

fn ask_system(clock: clockid_t, time: *mut timespec) -> c_int {
    // SAFETY: the system call that the function of this name makes; `time` is the caller's, who promises that it may be written.
    let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, c_long::from(clock), time) };
    c_int::try_from(answer).unwrap_or(-1)
}

/// libc's function of this name.
///
/// # Safety
///
/// `time` must be null or point to what may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
    let base = match clock {
        _ if !SIMULATES.get() => return ask_system(clock, time),
        libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => BEGINNING,
        libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_MONOTONIC_RAW | libc::CLOCK_BOOTTIME => UP,
        // Processor time is no time of the simulation.
        _ => return ask_system(clock, time),
    };
    let shown = base + elapsed();
    // SAFETY: the caller promises that it may be written, or that it is null.
    if let Some(time) = unsafe { time.as_mut() } {
        time.tv_sec = libc::time_t::try_from(shown.as_secs()).unwrap_or(libc::time_t::MAX);
        time.tv_nsec = c_long::from(shown.subsec_nanos());
    }
    0
}

/// libc's function of this name.
///
/// # Safety
///
/// `buffer` must point to `length` bytes that may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
    if !SIMULATES.get() {
        // SAFETY: the system call that the function of this name makes, with what the caller promises of the buffer.
        let answer = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        return ssize_t::try_from(answer).unwrap_or(-1);
    }
    if length == 0 || buffer.is_null() {
        return 0;
    }
    // SAFETY: the caller promises that so many bytes may be written there. They are not read before they were written.
    let bytes = unsafe {
        buffer.cast::<u8>().write_bytes(0, length);
        std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
    };
    RANDOM.with_borrow_mut(|random| {
        if let Some(random) = random {
            random.fill_bytes(bytes);
        }
    });
    ssize_t::try_from(length).unwrap_or(-1)
}

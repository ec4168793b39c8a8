//! The whole node in deterministic virtual time: driver, core, network adapter and libp2p as they are in the product, many of them
//! on one thread, over a network of this crate's making. The same seed and the same story give the same trace, byte for byte.
//!
//! How: [`os`] answers for the operating system's clock and randomness; the workspace patches libp2p's timers onto tokio's
//! clock, which is paused and jumps to the next timer when nothing is left to do; [`network`] carries the bytes; [`disk`] keeps
//! what is written. What that leaves to chance is nothing, as long as a process simulates once ([`simulate`] sees to that):
//! libp2p counts its connections in statics.
//!
//! Here must never be: a model of what the node does. What is modelled is what surrounds it.

pub mod acts;
pub mod disk;
mod draw;
pub mod figures;
pub mod geography;
pub mod instruments;
pub mod journal;
pub mod machine;
pub mod network;
pub mod os;
mod pipe;
pub mod story;
pub mod trace;
mod way;

use anyhow::{Context, Result, bail};
use journal::Journal;
use machine::World;
use network::Network;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use trace::Trace;

/// What a run was.
#[derive(Clone, Debug)]
pub struct Ran<T> {
    /// What the story came to.
    pub result: T,
    /// The hash of all that happened.
    pub trace_hash: String,
    /// Of how many lines.
    pub trace_lines: u64,
    /// How long it took in the world.
    pub virtual_time: Duration,
    /// How long it took here.
    pub real_time: Duration,
}

/// Stack of the thread that everything runs on: futures of libp2p nest deeply.
const STACK: usize = 64 << 20;

/// Tells a story in a world of its own, on a thread of its own, in virtual time. Lines of the trace go to `copy` as well.
///
/// # Errors
///
/// What the story fails with, or that this process has simulated before: a second run would not be the same as in a new one.
pub fn simulate<T, F>(seed: u64, copy: Option<File>, story: impl FnOnce(World) -> F + Send + 'static) -> Result<Ran<T>>
where
    T: Send + 'static,
    F: Future<Output = Result<T>>,
{
    static SIMULATED: AtomicBool = AtomicBool::new(false);
    if SIMULATED.swap(true, Ordering::SeqCst) {
        bail!("this process has simulated before; a run is the same as another only as the first one of its process");
    }
    let thread = std::thread::Builder::new()
        .name("simulation".to_owned())
        .stack_size(STACK)
        .spawn(move || tell(seed, copy, story))
        .context("no thread can be had")?;
    match thread.join() {
        Ok(ran) => ran,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn tell<T, F>(seed: u64, copy: Option<File>, story: impl FnOnce(World) -> F) -> Result<Ran<T>>
where
    F: Future<Output = Result<T>>,
{
    let began = os::real_now();
    os::enter(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .context("no runtime can be had")?;
    runtime.block_on(async {
        os::begin();
        let trace = Trace::new(copy);
        let world = World {
            network: Network::new(seed, trace.clone()),
            trace: trace.clone(),
            journal: Journal::default(),
        };
        let result = story(world).await?;
        let (trace_hash, trace_lines) = trace.so_far();
        Ok(Ran {
            result,
            trace_hash,
            trace_lines,
            virtual_time: os::elapsed(),
            real_time: os::real_now().saturating_sub(began),
        })
    })
}

//! Which checks a build has.
//!
//! Some rules cost more than the function that they are about. A build with the feature `bench`, which measures the
//! driver in its own process, leaves those out and keeps every other. No test but the benchmarks' runs with it.

/// The costly checks are on: painted stacks, fences and patterns around and in what the driver is given, memory that
/// is watched when it was given back, what replies have in them, the order in which locks are taken, and that
/// a device's requests are gone when it is.
pub const COSTLY: bool = !cfg!(feature = "bench");

/// What the driver and its imports take is measured.
#[cfg(windows)]
pub const MEASURED: bool = cfg!(feature = "bench");

/// What is measured does not wait for Wine's heap.
#[cfg(all(windows, feature = "bench"))]
#[global_allocator]
static ALLOCATOR: tlsgate_lab_allocator::Allocator = tlsgate_lab_allocator::Allocator;

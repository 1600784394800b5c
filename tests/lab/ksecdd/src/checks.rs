//! Which checks a build has.
//!
//! A build with the feature `bench`, which measures the driver, leaves out those that cost more than the call itself:
//! whether each pointer can be accessed, and whether a call's memory is as it was. It keeps every other.

/// The costly checks are on.
pub const COSTLY: bool = !cfg!(feature = "bench");

/// What is measured does not wait for Wine's heap.
#[cfg(all(windows, feature = "bench"))]
#[global_allocator]
static ALLOCATOR: tlsgate_lab_allocator::Allocator = tlsgate_lab_allocator::Allocator;

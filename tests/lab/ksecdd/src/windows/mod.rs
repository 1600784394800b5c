//! The machine under test: Windows, or Wine's likeness of it.

pub mod attach;
pub mod certificate_store;
pub mod kernel;

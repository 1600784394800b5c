//! The zip for test machines, and the two ways of installing what is in it. On Windows none of it was
//! run.

mod signature;
mod ways;
mod zip;

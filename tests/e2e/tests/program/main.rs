//! `tlsgate.exe` as people and scripts use it: what its commands say and with which exit code they end,
//! before there is a driver, with it, after it, and when something is wrong.

mod certificates;
mod life;
mod mistakes;
mod serving;
mod talking;
mod tool;

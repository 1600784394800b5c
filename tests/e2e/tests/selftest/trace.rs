//! `tlsgate trace`.

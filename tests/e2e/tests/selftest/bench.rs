//! `tlsgate bench`.

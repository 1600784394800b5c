//! The look-aside lists: what a leg, a session or a pended request is made of.

use crate::{
    leg::HandshakeLeg, nt::lookaside::Lookaside, operation::Operation, pending::Pending,
    session::Session, shared::SharedStock, sspi::CallBlocks, stock::Stock,
};
use tlsgate_protocol::NtStatus;

/// Bytes of a block: what a leg's output starts with, and most inputs fit in.
const BLOCK: usize = 8 * 1024;

/// Bytes of a small block: what most sessions' first calls get besides their tokens, a server's name and
/// protocols to choose from.
const SMALL_BLOCK: usize = 640;

/// The lists.
pub struct Lists {
    /// For tokens.
    pub blocks: Lookaside,
    /// For names and protocols.
    pub small_blocks: Lookaside,
    /// For operations.
    pub operations: Stock<Operation>,
    /// For legs.
    pub legs: Stock<HandshakeLeg>,
    /// For pended requests.
    pub pending: SharedStock<Pending>,
    /// For sessions.
    pub sessions: SharedStock<Session>,
    /// For what calls and their callbacks share.
    pub calls: CallBlocks<Operation>,
}

impl Lists {
    /// Makes them. IRQL: PASSIVE_LEVEL.
    ///
    /// # Errors
    ///
    /// What [`Lookaside::new`] says.
    pub fn new() -> Result<Self, NtStatus> {
        Ok(Self {
            blocks: Lookaside::new(BLOCK)?,
            small_blocks: Lookaside::new(SMALL_BLOCK)?,
            operations: Stock::new()?,
            legs: Stock::new()?,
            pending: SharedStock::new()?,
            sessions: SharedStock::new()?,
            calls: CallBlocks::new()?,
        })
    }
}

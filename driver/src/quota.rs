//! Shares of quotas: taken when something comes into being, given back when it is dropped.

use crate::{
    gate::{Gate, Quota},
    handle::Handle,
    shared::Shared,
};
use tlsgate_protocol::NtStatus;

/// A share of a driver-wide quota.
pub struct Share {
    quota: &'static Quota,
    amount: usize,
}

impl Share {
    /// Takes a share. IRQL: any.
    ///
    /// # Errors
    ///
    /// So much is not left; it is counted.
    pub fn take(
        gate: &'static Gate,
        quota: &'static Quota,
        amount: usize,
    ) -> Result<Self, NtStatus> {
        if quota.take(amount) {
            return Ok(Self { quota, amount });
        }
        gate.counters.quota_refusals.up();
        Err(NtStatus::STATUS_QUOTA_EXCEEDED)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.quota.give_back(self.amount);
    }
}

/// What a request that pends costs: of its handle's, and of the driver's.
pub struct Place {
    _all: Share,
    handle: Shared<Handle>,
}

impl Place {
    /// Takes one. IRQL: any.
    ///
    /// # Errors
    ///
    /// None is left; it is counted.
    pub fn take(handle: &Shared<Handle>) -> Result<Self, NtStatus> {
        let gate = handle.gate;
        let all = Share::take(gate, &gate.quotas.pending, 1)?;
        if !handle.places.take(1) {
            gate.counters.quota_refusals.up();
            return Err(NtStatus::STATUS_QUOTA_EXCEEDED);
        }
        Ok(Self {
            _all: all,
            handle: handle.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handle.places.give_back(1);
    }
}

/// What waiting input costs: of its handle's bytes, and of the driver's.
pub struct Charge {
    _all: Share,
    handle: Shared<Handle>,
    bytes: usize,
}

impl Charge {
    /// Charges for `length` bytes. IRQL: any.
    ///
    /// # Errors
    ///
    /// So much is not left; it is counted.
    pub fn take(handle: &Shared<Handle>, length: usize) -> Result<Self, NtStatus> {
        let gate = handle.gate;
        // A block is a block, however little of it is used.
        let bytes = length.max(gate.lists.blocks.size());
        let all = Share::take(gate, &gate.quotas.bytes, bytes)?;
        if !handle.bytes.take(bytes) {
            gate.counters.quota_refusals.up();
            return Err(NtStatus::STATUS_QUOTA_EXCEEDED);
        }
        Ok(Self {
            _all: all,
            handle: handle.clone(),
            bytes,
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.handle.bytes.give_back(self.bytes);
    }
}

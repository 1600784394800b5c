//! The METHOD_BUFFERED system buffer that a driver sees: a fenced copy, which tells who writes past
//! its end or after completion.

use crate::{
    blocks::{self, Use},
    checks,
    ffi::Out,
    guard::{Block, FREED, Noise, first_change},
    object::lock,
    reply,
    stop::stop,
    wdm::Irp,
};
use std::{collections::VecDeque, sync::Mutex};

/// How many buffers of freed requests are kept and watched for late writers.
const WATCHED: usize = 64;

static FORMER: Mutex<VecDeque<Block>> = Mutex::new(VecDeque::new());

/// One request's system buffer: input in front, output over it.
pub enum Buffer {
    /// A copy of the IRP's.
    Copied(Copied),
    /// The caller's own, which has it back when the request is completed: nobody but the caller and the driver
    /// touches it.
    #[cfg(feature = "bench")]
    Lent(Vec<u8>),
}

/// A copy of an IRP's buffer.
pub struct Copied {
    block: Block,
    noise: Noise,
    input: usize,
}

impl Buffer {
    /// Copies the input of an IRP. As on Windows the buffer has room for the longer of both, and
    /// what the input does not cover is old memory, not zeros.
    pub fn new(irp: Irp, input: usize, output: usize) -> Self {
        let mut block = Block::zeroed(Use::Buffer, input.max(output));
        let noise = Noise::next();
        if checks::COSTLY {
            noise.fill(block.bytes_mut());
        }
        let source = irp.system_buffer() as *const u8;
        if input > 0 {
            // SAFETY: Wine's system buffer holds the input's bytes as long as the IRP lives; the
            // copy is as long.
            unsafe { source.copy_to_nonoverlapping(block.bytes_mut().as_mut_ptr(), input) };
        }
        Self::Copied(Copied {
            block,
            noise,
            input,
        })
    }

    /// The input, as long as nobody has written over it.
    pub fn input(&self) -> &[u8] {
        match self {
            Self::Copied(copied) => &copied.block.bytes()[..copied.input],
            #[cfg(feature = "bench")]
            Self::Lent(_) => &[],
        }
    }

    /// Where the driver finds it.
    pub fn address(&self) -> usize {
        match self {
            Self::Copied(copied) => copied.block.address(),
            #[cfg(feature = "bench")]
            Self::Lent(bytes) => bytes.as_ptr().expose_provenance(),
        }
    }

    /// Hands `information` bytes to the caller of this control code, and takes the buffer from the
    /// driver. Gives back what was lent.
    pub fn complete(&mut self, irp: Option<Irp>, code: u32, information: usize) -> Vec<u8> {
        match self {
            Self::Copied(copied) => {
                if let Some(irp) = irp {
                    copied.complete(irp, code, information);
                }
                Vec::new()
            }
            #[cfg(feature = "bench")]
            Self::Lent(bytes) => std::mem::take(bytes),
        }
    }
}

impl Copied {
    fn complete(&mut self, irp: Irp, code: u32, information: usize) {
        if let Some(place) = self.block.overrun() {
            stop!(
                "buffer-overrun",
                "system buffer of {} bytes, at {place}",
                self.block.size()
            );
        }
        if information > 0 {
            if checks::COSTLY {
                reply::check(
                    code,
                    &self.block.bytes()[..information],
                    self.input,
                    self.noise,
                );
            }
            let target = irp.system_buffer() as *mut u8;
            // SAFETY: the caller has checked that the output is at least this long, and Wine's
            // buffer is as long as the output.
            unsafe { target.copy_from_nonoverlapping(self.block.bytes().as_ptr(), information) };
        }
        blocks::bury(Use::Buffer, &self.block.bytes()[information..]);
        self.block.bytes_mut().fill(FREED);
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if !checks::COSTLY {
            return;
        }
        check(&self.block);
        let block = std::mem::replace(&mut self.block, Block::zeroed(Use::Buffer, 0));
        let mut former = lock(&FORMER);
        former.push_back(block);
        if former.len() > WATCHED
            && let Some(oldest) = former.pop_front()
        {
            check(&oldest);
        }
    }
}

/// Looks at every buffer that is still watched.
pub fn check_all() {
    lock(&FORMER).drain(..).for_each(|block| check(&block));
}

fn check(block: &Block) {
    if let Some(place) =
        first_change(block.bytes(), FREED).or(block.overrun().map(isize::unsigned_abs))
    {
        stop!(
            "buffer-touched-after-completion",
            "system buffer of {} bytes, at {place}",
            block.size()
        );
    }
}

/// Where the result of a retrieval goes.
pub fn give(address: usize, length: usize, buffer: Out<usize>, size: Out<usize>) {
    buffer.set(address);
    size.set_if_wanted(length);
}

//! One IOCTL on its way: a block of memory that belongs to the kernel until it has answered.

use crate::Unclaimed;
use std::{
    cell::UnsafeCell,
    fmt,
    fs::File,
    mem,
    os::windows::io::AsRawHandle,
    pin::Pin,
    ptr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use tlsgate_protocol::NtStatus;
use windows_sys::{
    Wdk::System::IO::NtDeviceIoControlFile,
    Win32::System::IO::{CancelIoEx, OVERLAPPED},
};

type Answer = Result<Vec<u8>, NtStatus>;

/// An IOCTL that has been issued. Dropping it cancels it; the buffers live on until the kernel has
/// let go of them.
#[must_use = "dropping it cancels the IOCTL"]
pub struct Operation {
    /// `None` once the answer has been taken, or when nobody waits for it.
    pending: Option<Canceller>,
    unclaimed: Option<Unclaimed>,
}

/// Cancels an IOCTL from elsewhere. Its future then ends with what the driver makes of that.
#[derive(Clone, Debug)]
pub struct Canceller {
    block: Arc<Block>,
    file: Arc<File>,
}

/// What the kernel holds on to: one reference is lent to it from the call until its packet has come
/// out of the completion port.
#[derive(Debug)]
#[repr(C)]
pub struct Block {
    /// First, so that the address in the packet is the block's. Written by the kernel.
    overlapped: UnsafeCell<Overlapped>,
    input: Vec<u8>,
    /// Written by the kernel while the operation is pending.
    output: UnsafeCell<Vec<u8>>,
    state: Mutex<State>,
}

#[repr(transparent)]
struct Overlapped(OVERLAPPED);

impl fmt::Debug for Overlapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OVERLAPPED")
    }
}

enum State {
    Pending(Option<Waker>),
    /// Its future was dropped.
    GivenUp(Option<Unclaimed>),
    Done(Answer),
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending(_) => "Pending",
            Self::GivenUp(_) => "GivenUp",
            Self::Done(_) => "Done",
        })
    }
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation")
            .field("pending", &self.pending)
            .finish_non_exhaustive()
    }
}

// SAFETY: `overlapped` and `output` are touched by the kernel alone from the call to the packet,
// and then by `finish` alone, which runs once; everything after that goes through the mutex.
unsafe impl Sync for Block {}
// SAFETY: nothing in it is bound to a thread: the OVERLAPPED's event handle stays null.
unsafe impl Send for Block {}

impl Operation {
    /// Issues the IOCTL through the native function, whose `NTSTATUS` tells the driver's errors
    /// apart that Win32 maps to one code.
    pub(super) fn issue(file: &Arc<File>, code: u32, input: Vec<u8>, output_length: usize) -> Self {
        let block = Arc::new(Block {
            overlapped: UnsafeCell::new(Overlapped(OVERLAPPED::default())),
            input,
            output: UnsafeCell::new(vec![0; output_length]),
            state: Mutex::new(State::Pending(None)),
        });
        let (Ok(input_size), Ok(output_size)) = (
            u32::try_from(block.input.len()),
            u32::try_from(output_length),
        ) else {
            block.answer(Err(NtStatus::STATUS_INVALID_PARAMETER));
            return Self {
                pending: Some(Canceller {
                    block,
                    file: Arc::clone(file),
                }),
                unclaimed: None,
            };
        };
        // SAFETY: nobody else has the block yet, so this is the only reference to `output`.
        let output = unsafe { &mut *block.output.get() }.as_mut_ptr();
        let lent = Arc::into_raw(Arc::clone(&block));
        // SAFETY: the handle is open; the I/O status block (the first two fields of OVERLAPPED) and
        // the buffers belong to the block, which the lent reference keeps alive and in place until
        // the packet with its address has been taken.
        let status = NtStatus(unsafe {
            NtDeviceIoControlFile(
                file.as_raw_handle(),
                ptr::null_mut(),
                None,
                lent.cast(),
                block.overlapped.get().cast(),
                code,
                block.input.as_ptr().cast(),
                input_size,
                output.cast(),
                output_size,
            )
        });
        // "If the status is an error severity, no completion packet is queued" (documentation of
        // FileCompletionInformation): success, warning and pending all bring one.
        if status.0.cast_unsigned() >> 30 == 3 {
            // SAFETY: no packet will come, so the lent reference is ours again.
            drop(unsafe { Arc::from_raw(lent) });
            block.answer(Err(status));
        }
        Self {
            pending: Some(Canceller {
                block,
                file: Arc::clone(file),
            }),
            unclaimed: None,
        }
    }

    /// Undoes what the IOCTL has made, if the future is dropped and it is done all the same.
    pub(super) fn with_unclaimed(mut self, unclaimed: Option<Unclaimed>) -> Self {
        self.unclaimed = unclaimed;
        self
    }

    /// A handle that cancels it from elsewhere.
    ///
    /// # Panics
    ///
    /// The future has ended.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        self.pending.clone().expect("the operation has ended")
    }

    /// Lets it run without anybody who waits for it.
    pub fn detach(mut self) {
        self.pending = None;
    }
}

impl Future for Operation {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let pending = self.pending.as_ref().expect("polled after it was ready");
        let mut state = pending.block.state();
        match &mut *state {
            State::Pending(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            State::GivenUp(_) => unreachable!("only dropping gives it up"),
            State::Done(answer) => {
                let answer = mem::replace(answer, Ok(Vec::new()));
                drop(state);
                self.pending = None;
                Poll::Ready(answer)
            }
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(pending) = &self.pending else { return };
        let given_up = State::GivenUp(self.unclaimed.take());
        // The lock is let go before anybody else is called.
        let before = mem::replace(&mut *pending.block.state(), given_up);
        match before {
            State::Pending(_) => pending.cancel(),
            // It was done before anybody looked. The kernel calls nobody any more: it is done here.
            State::Done(answer) => pending.block.answer(answer),
            State::GivenUp(_) => unreachable!("it is dropped once"),
        }
    }
}

impl Canceller {
    /// Asks the driver to give the request up. Too late is not an error.
    pub fn cancel(&self) {
        if matches!(*self.block.state(), State::Done(_)) {
            return;
        }
        // SAFETY: the handle is open, and the block is alive, so its address can name no other
        // operation; when the answer came in between there is nothing with that name to cancel.
        unsafe {
            CancelIoEx(
                self.file.as_raw_handle(),
                self.block.overlapped.get().cast(),
            )
        };
    }
}

impl Block {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, answer: Answer) {
        let mut state = self.state();
        if let State::GivenUp(unclaimed) = &mut *state {
            let unclaimed = unclaimed.take();
            *state = State::Done(Ok(Vec::new()));
            drop(state);
            if let (Some(undo), Ok(output)) = (unclaimed, answer) {
                undo(&output);
            }
            return;
        }
        let before = mem::replace(&mut *state, State::Done(answer));
        drop(state);
        if let State::Pending(Some(waker)) = before {
            waker.wake();
        }
    }

    /// Takes the lent reference back: the kernel is done with the block.
    ///
    /// # Safety
    ///
    /// `overlapped` came out of the completion port, in a packet of an operation issued here.
    pub(super) unsafe fn finish(overlapped: *const OVERLAPPED) {
        // SAFETY: the block's address is that of its first field, and this packet is the one for
        // which the reference was lent.
        let block = unsafe { Arc::from_raw(overlapped.cast::<Self>()) };
        // SAFETY: the kernel has written its last to it.
        let status_block = unsafe { &*block.overlapped.get() };
        // The NTSTATUS lies in the low half of Internal, the count of bytes in InternalHigh.
        let [a, b, c, d, ..] = status_block.0.Internal.to_le_bytes();
        let status = NtStatus(i32::from_le_bytes([a, b, c, d]));
        let written = status_block.0.InternalHigh;
        // SAFETY: the kernel is done with it, and `finish` runs once for a block.
        let output = unsafe { &mut *block.output.get() };
        let mut output = mem::take(output);
        output.truncate(written);
        block.answer(if status.is_success() {
            Ok(output)
        } else {
            Err(status)
        });
    }
}

//! What the wrong driver does wrong on request, and the rule that must catch it. Shared with the
//! tests.

/// How far a test has to go until the fault must have been caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caught {
    /// Start the driver.
    AtStart,
    /// Send the IOCTL.
    AtOnce,
    /// Have ksecdd hold calls back, and send the IOCTL.
    WhileHeld,
    /// Have ksecdd hold calls back, send the IOCTL, and have the calls released.
    OnRelease,
    /// Send the IOCTL, overlapped, and cancel it.
    OnCancel,
    /// Send the IOCTL, close the handle, and stop the driver.
    AtUnload,
    /// Never: it is right.
    Never,
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $rule:literal, $caught:ident;)+) => {
        /// A fault, by the function code of the IOCTL that commits it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Fault {
            /// Nothing wrong: the reply is the request, as far as there is room.
            Nothing = FIRST_FUNCTION,
            /// Nothing wrong: the request pends until it is cancelled.
            Pending,
            $($(#[$doc])* $name,)+
        }

        impl Fault {
            /// Every fault.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The name of the rule that must catch it.
            #[must_use]
            pub const fn rule(self) -> &'static str {
                match self {
                    Self::Nothing | Self::Pending => "",
                    $(Self::$name => $rule,)+
                }
            }

            /// When it must be caught.
            #[must_use]
            pub const fn caught(self) -> Caught {
                match self {
                    Self::Nothing | Self::Pending => Caught::Never,
                    $(Self::$name => Caught::$caught,)+
                }
            }
        }
    };
}

/// A service's name, without the fault's number. Each fault is committed by a service of its own: of a driver that
/// was stopped in the middle, Wine's kernel keeps the names, and its service manager the state.
pub const SERVICE_NAME: &str = "TlsGateWrong";
/// The file that a service runs.
pub const FILE: &str = "wrong.sys";
/// A copy of it.
pub const SECOND_FILE: &str = "wrong-2.sys";
/// An import of it that a test makes another one of, in a copy.
pub const IMPORT: &[u8] = b"KeQueryInterruptTimePrecise\0";
/// The other one: there is none of that name.
pub const NO_IMPORT: &[u8] = b"KeQueryInterruptTimeVaguely\0";
/// The device's type; the vendor's range.
const DEVICE_TYPE: u32 = 0x8542;
/// The first function code of the vendor's range.
const FIRST_FUNCTION: u32 = 0x800;

impl Fault {
    /// The control code: METHOD_BUFFERED, any access.
    #[must_use]
    pub const fn code(self) -> u32 {
        DEVICE_TYPE << 16 | (self as u32) << 2
    }

    /// The fault with this function code.
    #[must_use]
    pub fn from_function(function: u32) -> Option<Self> {
        Self::from_code(DEVICE_TYPE << 16 | function << 2)
    }

    /// The fault with this control code.
    #[must_use]
    pub fn from_code(code: u32) -> Option<Self> {
        let all = Self::ALL.iter().copied();
        all.chain([Self::Nothing, Self::Pending])
            .find(|fault| fault.code() == code)
    }
}

faults! {
    /// Completes a request twice, with a reference to keep the handle.
    DoubleCompletion = "double-completion", AtOnce;
    /// Completes a request twice, without a reference.
    DoubleCompletionFreed = "double-completion", AtOnce;
    /// Completes a cancelable request.
    MissingUnmark = "missing-unmark-cancelable", AtOnce;
    /// Marks a request cancelable twice.
    MarkedTwice = "marked-twice", AtOnce;
    /// Unmarks what is not marked.
    UnmarkNotMarked = "unmark-not-marked", AtOnce;
    /// Completes in EvtRequestCancel twice.
    DoubleCompletionOnCancel = "double-completion", OnCancel;
    /// Unmarks a request that `EvtRequestCancel` has completed, with a reference to keep the handle.
    UnmarkAfterCompletion = "unmark-after-completion", OnCancel;
    /// Asks for the buffer of a completed request.
    UseAfterCompletion = "request-use-after-completion", AtOnce;
    /// Reports more output than there is room.
    InformationTooLarge = "information-too-large", AtOnce;
    /// Writes past the system buffer.
    BufferOverrun = "buffer-overrun", AtOnce;
    /// Writes to the system buffer after completion.
    BufferTouchedAfterCompletion = "buffer-touched-after-completion", AtOnce;
    /// Reports more output than it has written.
    ReplyNotWritten = "reply-not-written", AtOnce;
    /// Replies with pool that it has not written.
    ReplyOfFreshPool = "reply-not-written", AtOnce;
    /// Replies with the address of a block of pool, at an odd place.
    AddressInReply = "address-in-reply", AtOnce;
    /// Replies with the address of something in its image.
    ImageAddressInReply = "address-in-reply", AtOnce;
    /// Replies with an object's handle.
    HandleInReply = "address-in-reply", AtOnce;
    /// EvtIoInCallerContext neither completes nor enqueues.
    RequestLost = "request-lost", AtOnce;
    /// Forgets a request.
    RequestLeft = "request-left-at-unload", AtUnload;
    /// Enqueues a request that a queue has delivered.
    EnqueuedTwice = "enqueued-twice", AtOnce;
    /// Enqueues a request that it has marked cancelable.
    CancelableQueued = "cancelable-request-queued", AtOnce;
    /// Completes a request that it has enqueued.
    CompletedWhileQueued = "completed-while-queued", AtOnce;
    /// Asks for the buffer of a request that it has enqueued.
    UsedWhileQueued = "request-use-while-queued", AtOnce;
    /// Completes a request with `STATUS_PENDING`.
    CompletedAsPending = "completed-as-pending", AtOnce;

    /// Uses a handle that never was.
    InvalidHandle = "invalid-handle", AtOnce;
    /// Uses a deleted object's handle.
    FreedHandle = "freed-handle", AtOnce;
    /// Passes a request for a spin lock.
    WrongHandleType = "wrong-handle-type", AtOnce;
    /// Gives back a reference it has not taken.
    OverDereference = "over-dereference", AtOnce;
    /// Deletes an object twice.
    DoubleDelete = "double-delete", AtOnce;
    /// Deletes what the framework deletes.
    DeleteNotAllowed = "delete-not-allowed", AtOnce;
    /// Keeps a reference to a request.
    ObjectLeak = "object-leak", AtUnload;
    /// Keeps memory of a look-aside list.
    MemoryLeak = "memory-leak", AtUnload;
    /// Calls a function of the framework that the lab does not have.
    Unimplemented = "unimplemented", AtOnce;
    /// Uses an object that is deleted, with a reference to keep the handle.
    UseAfterDelete = "use-after-delete", AtOnce;
    /// Takes memory from a look-aside list that is deleted, with a reference to keep the handle.
    LookasideUsedAfterDelete = "use-after-delete", AtOnce;
    /// Writes past memory of a look-aside list.
    LookasideOverrun = "pool-overrun", AtOnce;
    /// Writes to memory that has gone back to its look-aside list.
    LookasideTouchedAfterDelete = "pool-touched-after-free", AtUnload;
    /// Gives a look-aside list a tag that cannot be printed.
    LookasideTagUnprintable = "pool-tag", AtOnce;
    /// Keeps a look-aside list of the kernel's beyond unload.
    KernelListLeak = "lookaside-leak", AtUnload;
    /// Keeps an entry of a look-aside list of the kernel's that it deletes.
    KernelListEntryLeak = "pool-leak", AtUnload;
    /// Initialises a look-aside list that is not aligned.
    KernelListUnaligned = "lookaside-bad-request", AtOnce;
    /// Initialises a look-aside list in paged pool.
    KernelListPaged = "lookaside-bad-request", AtOnce;
    /// Initialises a look-aside list of entries that no link fits in.
    KernelListTooSmall = "lookaside-bad-request", AtOnce;
    /// Asks a look-aside list for an entry of another kind of pool.
    KernelListOtherKind = "lookaside-bad-request", AtOnce;
    /// Gives a block of pool to a look-aside list.
    KernelListBlockOfPool = "lookaside-wrong-list", AtOnce;
    /// Initialises a look-aside list with a depth.
    KernelListWithDepth = "lookaside-bad-request", AtOnce;
    /// Initialises a look-aside list that is one.
    KernelListTwice = "lookaside-bad-request", AtOnce;
    /// Deletes a look-aside list twice.
    KernelListDeletedTwice = "lookaside-bad-request", AtOnce;
    /// Takes an entry from a look-aside list that is deleted.
    KernelListUsedAfterDelete = "lookaside-use-after-delete", AtOnce;
    /// Gives an entry back to a look-aside list that is deleted.
    KernelListGivenAfterDelete = "lookaside-use-after-delete", AtOnce;
    /// Gives an entry to another look-aside list than its own.
    KernelListOfAnother = "lookaside-wrong-list", AtOnce;
    /// Frees an entry of a look-aside list as if it were the pool's.
    KernelListEntryFreed = "lookaside-wrong-list", AtOnce;
    /// Puts an entry on a look-aside list that keeps none.
    KernelListOverfull = "lookaside-overfull", AtOnce;
    /// Gives an entry back twice.
    KernelListEntryTwice = "pool-double-free", AtOnce;
    /// Writes past an entry.
    KernelListOverrun = "pool-overrun", AtOnce;
    /// Writes to an entry that it has given back.
    KernelListTouchedAfterFree = "pool-touched-after-free", AtUnload;
    /// Writes past an object's context.
    ContextOverrun = "context-overrun", AtOnce;
    /// Passes attributes that nobody has initialised.
    AttributesNotInitialised = "object-attributes", AtOnce;
    /// Passes a structure of another version's size.
    StructureSize = "structure-size", AtOnce;
    /// Passes no configuration.
    NoConfiguration = "null-pointer", AtOnce;

    /// Calls the framework before `WdfDriverCreate`.
    CallBeforeDriver = "no-driver", AtStart;
    /// Calls `WdfDriverCreate` twice.
    DriverTwice = "driver-config", AtStart;
    /// Has no `EvtDriverUnload`.
    DriverWithoutUnload = "driver-config", AtStart;
    /// Creates a control device without a name.
    DeviceWithoutName = "device-init", AtStart;
    /// Imports what no kernel has.
    UnknownImport = "unknown-import", AtStart;
    /// Shares its process with another driver.
    TwoDrivers = "two-drivers", AtStart;
    /// Allocates a `WDFDEVICE_INIT` and forgets it.
    DeviceInitLeak = "device-init-leak", AtUnload;
    /// Creates a second default queue.
    SecondDefaultQueue = "queue-config", AtOnce;

    /// Creates a timer without a parent.
    TimerWithoutParent = "timer-config", AtOnce;
    /// Waits in a timer's callback for the timer's callback.
    TimerWaitsForItself = "timer-waits-for-itself", AtOnce;
    /// Creates a work item without a parent.
    WorkItemWithoutParent = "work-item-config", AtOnce;

    /// Uses much stack in `EvtIoDeviceControl`.
    DeepInRequest = "stack-too-deep", AtOnce;
    /// Uses much stack in `EvtRequestCancel`.
    DeepInCancel = "stack-too-deep", OnCancel;
    /// Uses much stack in a timer's callback.
    DeepInTimer = "stack-too-deep", AtOnce;
    /// Uses much stack in a work item.
    DeepInWorkItem = "stack-too-deep", AtOnce;
    /// Uses much stack in a system thread, and a wait is what comes next.
    DeepInThread = "stack-too-deep", AtOnce;
    /// Uses much stack in a callback of ksecdd's.
    DeepInSspiCallback = "stack-too-deep", AtOnce;

    /// Calls a PASSIVE_LEVEL function under a spin lock.
    IrqlTooHigh = "irql", AtOnce;
    /// Sleeps under a spin lock.
    DelayAtRaisedIrql = "irql", AtOnce;
    /// Waits under a spin lock.
    WaitAtRaisedIrql = "wait-at-raised-irql", AtOnce;
    /// Returns from a callback with a spin lock.
    SpinLockHeld = "spin-lock-held", AtOnce;
    /// Takes a spin lock twice.
    SpinLockRecursion = "spin-lock-recursion", AtOnce;
    /// Releases a spin lock it does not hold.
    SpinLockNotHeld = "spin-lock-not-held", AtOnce;
    /// Takes two spin locks in both orders.
    LockOrder = "lock-order", AtOnce;
    /// Takes three spin locks in a circle, two at a time.
    LockOrderOfThree = "lock-order", AtOnce;
    /// Deletes a spin lock that it holds.
    SpinLockDeletedHeld = "spin-lock-held", AtOnce;
    /// Returns from a callback at another IRQL.
    IrqlChanged = "irql-changed", AtOnce;
    /// Returns from a callback of ksecdd's with a spin lock.
    SspiCallbackKeepsSpinLock = "spin-lock-held", AtOnce;
    /// Completes a request under a spin lock.
    CompletedUnderSpinLock = "completed-under-spin-lock", AtOnce;

    /// Keeps a block of pool.
    PoolLeak = "pool-leak", AtUnload;
    /// Frees a block twice.
    PoolDoubleFree = "pool-double-free", AtOnce;
    /// Frees what is no block.
    PoolBadFree = "pool-bad-free", AtOnce;
    /// Writes past a block.
    PoolOverrun = "pool-overrun", AtOnce;
    /// Writes to a freed block.
    PoolTouchedAfterFree = "pool-touched-after-free", AtUnload;

    /// Allocates with a tag of 0.
    PoolTagMissing = "pool-tag", AtOnce;
    /// Allocates with a tag that cannot be printed.
    PoolTagUnprintable = "pool-tag", AtOnce;
    /// Frees a block with another tag than it has.
    PoolWrongTag = "pool-wrong-tag", AtOnce;
    /// Allocates nothing.
    PoolBadRequest = "pool-bad-request", AtOnce;

    /// Unloads when a thread has set an event, which may not have returned from that.
    ThreadReturnsLate = "thread-still-running", AtUnload;
    /// Unloads when a callback of ksecdd's has set an event, which may not have returned from that.
    SspiCallbackReturnsLate = "callback-still-running", AtUnload;
    /// Leaves a thread running.
    ThreadStillRunning = "thread-still-running", AtUnload;
    /// Forgets a thread's handle.
    HandleLeak = "handle-leak", AtUnload;
    /// Forgets the reference to a thread.
    ObjectReferenceLeak = "object-reference-leak", AtUnload;
    /// Closes a handle twice.
    BadHandle = "bad-handle", AtOnce;
    /// Gives back a kernel object's reference twice.
    ObjectOverDereference = "object-over-dereference", AtOnce;

    /// Returns from a callback impersonating.
    LeftImpersonating = "left-impersonating", AtOnce;
    /// Waits while it impersonates.
    WaitImpersonating = "left-impersonating", AtOnce;
    /// A thread ends while it impersonates.
    ThreadLeftImpersonating = "left-impersonating", AtOnce;
    /// Reverts without having impersonated.
    RevertWithoutImpersonation = "revert-without-impersonation", AtOnce;
    /// Impersonates while it impersonates.
    ImpersonatedTwice = "impersonated-twice", AtOnce;
    /// Asks for an impersonation level that there is not.
    ImpersonationLevel = "impersonation-level", AtOnce;
    /// Impersonates a token that it has given back.
    TokenUsedAfterFree = "token-use-after-free", AtOnce;
    /// Keeps a token.
    TokenLeak = "token-leak", AtUnload;
    /// Gives back a token it has not got.
    TokenOverDereference = "token-over-dereference", AtOnce;

    /// Reads through NULL.
    Exception = "exception", AtOnce;

    /// Calls SSPI under a spin lock.
    SspiIrqlTooHigh = "sspi-irql-too-high", AtOnce;
    /// Frees an async context twice.
    UnknownAsyncContext = "unknown-async-context", AtOnce;
    /// Asks for the status of no call.
    StatusWithoutCall = "status-without-call", AtOnce;
    /// Keeps an async context.
    SspiLeak = "sspi-leak", AtUnload;
    /// Issues a call without having set a callback.
    CallbackMissing = "callback-missing", AtOnce;
    /// Issues a second call while the first one is pending.
    AsyncContextBusy = "async-context-busy", WhileHeld;
    /// Issues a second call, after the first one's completion, without a reset.
    AsyncContextNotReinitialised = "async-context-not-reinitialised", AtOnce;
    /// Frees an async context while its call is pending.
    AsyncContextFreedPending = "async-context-freed-pending", WhileHeld;
    /// Changes what it passed to a pending call.
    InputChanged = "input-changed-during-call", OnRelease;
    /// Frees what it passed to a pending call.
    InputFreed = "input-changed-during-call", OnRelease;
    /// Writes to the place for a pending call's result.
    OutputTouched = "output-touched-during-call", OnRelease;

    /// Nothing wrong: registers a provider, writes an event, unregisters.
    EventsRight = "", Never;
    /// Leaves a provider registered.
    ProviderLeft = "etw-still-registered", AtUnload;
    /// Unregisters a provider twice.
    UnregisteredTwice = "etw-not-registered", AtOnce;
    /// Writes an event after having unregistered.
    WrittenAfterUnregister = "etw-not-registered", AtOnce;
    /// Writes an event with less data than its metadata say.
    EventCut = "etw-bad-event", AtOnce;
    /// Writes metadata without having set the provider's traits.
    EventWithoutTraits = "etw-bad-event", AtOnce;
    /// Writes data that are not there.
    EventUnreadable = "etw-bad-data", AtOnce;
    /// Writes an event of more than 64 KiB.
    EventTooLarge = "etw-too-large", AtOnce;
    /// Writes data of paged pool under a spin lock.
    EventPageable = "etw-pageable-data", AtOnce;
    /// Writes the address of a block of pool.
    AddressInEvent = "address-in-event", AtOnce;
    /// Writes the address of something in its image.
    ImageAddressInEvent = "address-in-event", AtOnce;
    /// Writes a number from the kernel's half of the address space.
    KernelAddressInEvent = "address-in-event", AtOnce;

    /// Nothing wrong: reads values of its Parameters key.
    RegistryRight = "", Never;
    /// Opens its Parameters key for writing.
    RegistryWrite = "registry-write", AtOnce;
    /// Leaves its Parameters key open.
    KeyLeftOpen = "key-left-open", AtUnload;
    /// Reads a `REG_SZ` without bytes as a string.
    EmptyValueAsString = "registry-bad-read", AtOnce;
    /// Reads a `REG_DWORD` of three bytes as a number.
    ShortValueAsNumber = "registry-bad-read", AtOnce;

    /// Nothing wrong: waits for hours that the test lets pass.
    TimeRight = "", Never;
}

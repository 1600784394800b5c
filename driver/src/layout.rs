//! Sizes and offsets of the foreign structures that the driver builds or reads, beside those of
//! Schannel in [`crate::sspi::schannel`]. They are asserted here, in the driver's own source, so
//! that a build with the genuine WDK checks what the lab's headers say.
//!
//! x64; KMDF 1.33 from Microsoft's KMDF repository (`src/publicinc/wdf/kmdf/1.33`), the rest from
//! the public headers `wdm.h`, `ntifs.h` and `ntdef.h`.

use core::mem::offset_of;
use wdk_sys::{
    GENERAL_LOOKASIDE_POOL, KEVENT, KSEMAPHORE, LARGE_INTEGER, LOOKASIDE_LIST_EX,
    OBJECT_ATTRIBUTES, SECURITY_CLIENT_CONTEXT, SECURITY_QUALITY_OF_SERVICE,
    SECURITY_SUBJECT_CONTEXT, UNICODE_STRING, WDF_DRIVER_CONFIG, WDF_FILEOBJECT_CONFIG,
    WDF_IO_QUEUE_CONFIG, WDF_OBJECT_ATTRIBUTES, WDF_OBJECT_CONTEXT_TYPE_INFO,
    WDF_REQUEST_PARAMETERS,
};

/// One structure: its size, and the offsets of the fields in use.
macro_rules! layout {
    ($type:ty: $size:literal $(, $field:ident = $offset:literal)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(offset_of!($type, $field) == $offset);)*
        };
    };
}

layout!(WDF_DRIVER_CONFIG: 32, EvtDriverUnload = 16, DriverInitFlags = 24, DriverPoolTag = 28);
layout!(
    WDF_OBJECT_ATTRIBUTES: 56,
    EvtCleanupCallback = 8,
    ExecutionLevel = 24,
    SynchronizationScope = 28,
    ParentObject = 32,
    ContextTypeInfo = 48,
);
layout!(
    WDF_OBJECT_CONTEXT_TYPE_INFO: 40,
    ContextName = 8,
    ContextSize = 16,
    UniqueType = 24,
    EvtDriverGetUniqueContextType = 32,
);
layout!(
    WDF_FILEOBJECT_CONFIG: 40,
    EvtDeviceFileCreate = 8,
    EvtFileClose = 16,
    EvtFileCleanup = 24,
    AutoForwardCleanupClose = 32,
    FileObjectClass = 36,
);
layout!(
    WDF_IO_QUEUE_CONFIG: 96,
    DispatchType = 4,
    PowerManaged = 8,
    DefaultQueue = 13,
    EvtIoDeviceControl = 40,
    Settings = 80,
);
layout!(WDF_REQUEST_PARAMETERS: 40, Type = 4, Parameters = 8);
layout!(UNICODE_STRING: 16, Length = 0, MaximumLength = 2, Buffer = 8);
layout!(LARGE_INTEGER: 8);
layout!(OBJECT_ATTRIBUTES: 48, Length = 0, Attributes = 24);
layout!(KEVENT: 24);
layout!(KSEMAPHORE: 32);
layout!(SECURITY_SUBJECT_CONTEXT: 32, ClientToken = 0, PrimaryToken = 16);
layout!(
    SECURITY_QUALITY_OF_SERVICE: 12,
    ImpersonationLevel = 4,
    ContextTrackingMode = 8,
    EffectiveOnly = 9,
);
layout!(SECURITY_CLIENT_CONTEXT: 72, ClientToken = 16);
layout!(LOOKASIDE_LIST_EX: 96, L = 0);
layout!(
    GENERAL_LOOKASIDE_POOL: 96,
    __bindgen_anon_1 = 0,
    Depth = 16,
    TotalAllocates = 20,
    __bindgen_anon_2 = 24,
    TotalFrees = 28,
    __bindgen_anon_3 = 32,
    Type = 36,
    Tag = 40,
    Size = 44,
    __bindgen_anon_4 = 48,
    __bindgen_anon_5 = 56,
);

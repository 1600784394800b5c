/*
 * Kernel functions and types that the WDK declares and mingw-w64's headers lack. Each is documented
 * in windows-driver-docs-ddi, in the page of its name.
 */
#ifndef TLSGATE_STAND_IN_GAPS_H
#define TLSGATE_STAND_IN_GAPS_H

/* wdm.h: flags of ExAllocatePool2; wdk-sys has the constants. */
typedef ULONG64 POOL_FLAGS;

/* wdm.h, from Windows 10 version 2004: zeroed memory, or NULL. */
NTKERNELAPI PVOID NTAPI ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag);

/* wdm.h: the IRQL of the calling processor. */
NTKERNELAPI KIRQL NTAPI KeGetCurrentIrql(VOID);

/* wdm.h, from Windows 8: system time with sub-tick precision. */
NTKERNELAPI VOID NTAPI KeQuerySystemTimePrecise(PLARGE_INTEGER CurrentTime);

/* wdm.h, from Windows 8.1: interrupt time with sub-tick precision, with the time that the machine slept. */
NTKERNELAPI ULONG64 NTAPI KeQueryInterruptTimePrecise(PULONG64 QpcTimeStamp);

#endif

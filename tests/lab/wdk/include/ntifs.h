/*
 * Stand-in for the WDK's ntifs.h: Debian's mingw-w64 header of that name, with the gaps filled that
 * the genuine kit would not have, and followed by the kernel-mode half of sspi.h.
 *
 * The genuine ntifs.h carries the whole ISSP_MODE 0 block of sspi.h, so wdk-sys binds the Sspi*Async
 * functions through its base headers. mingw-w64 keeps that block in sspi.h only.
 */
#ifndef TLSGATE_STAND_IN_NTIFS_H
#define TLSGATE_STAND_IN_NTIFS_H

/* Handles as distinct pointer types, as the WDK's default is. */
#define STRICT 1

/* mingw-w64 has an inline KeGetCurrentIrql for x64; the WDK declares a function (wdk-sys binds it). */
#define KeGetCurrentIrql KeGetCurrentIrqlInline
#include_next <ntifs.h>
#undef KeGetCurrentIrql

#include "gaps.h"

/* sspi.h must not take the user-mode UNICODE_STRING of ntsecapi.h. */
#define _NTSECAPI_
#define SECURITY_KERNEL
#include <sspi.h>

#endif

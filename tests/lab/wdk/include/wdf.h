/*
 * Stand-in for KMDF 1.33's wdf.h: as much of the framework's interface as TlsGate and the `wdk` crate
 * use. Layouts, enumerators, table indices and prototypes are facts of the public KMDF headers
 * (microsoft/Windows-Driver-Frameworks, src/publicinc/wdf/kmdf/1.33); sizes and offsets are asserted,
 * so that a slip here is a compile error.
 *
 * The framework's calls go through one table of function pointers that WDFLDR fills in. This header
 * only declares the table and the pointer types; wdk-sys generates the calls.
 */
#ifndef TLSGATE_STAND_IN_WDF_H
#define TLSGATE_STAND_IN_WDF_H

/* A driver that mixes framework versions fails to link: the table's name carries the version. */
#define WdfFunctions WdfFunctions_01033

typedef VOID (*WDFFUNC)(VOID);
extern const WDFFUNC *WdfFunctions;

#include "wdftypes.h"
#include "wdffuncenum.h"
#include "wdfobject.h"
#include "wdfdriver.h"
#include "wdfdevice.h"
#include "wdfrequest.h"
#include "wdfio.h"
#include "wdfmemory.h"
#include "wdfregistry.h"
#include "wdfsync.h"
#include "wdfwork.h"

#endif

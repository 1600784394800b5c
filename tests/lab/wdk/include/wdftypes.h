/* Handles and globals of the framework, and the two macros that the other stand-in headers use. */
#ifndef TLSGATE_STAND_IN_WDFTYPES_H
#define TLSGATE_STAND_IN_WDFTYPES_H

/* A fact about a structure, checked when the header is compiled. */
#define WDF_ASSERT_SIZE(Type, Bytes) C_ASSERT(sizeof(Type) == (Bytes))
#define WDF_ASSERT_OFFSET(Type, Field, Bytes) C_ASSERT(FIELD_OFFSET(Type, Field) == (Bytes))

/* The pointer type of one entry of the function table: the globals come first in every call. */
#define WDF_FUNCTION(Return, Name, ...) \
    typedef Return(NTAPI *Name)(PWDF_DRIVER_GLOBALS DriverGlobals, __VA_ARGS__)

typedef enum _WDF_TRI_STATE {
    WdfFalse = FALSE,
    WdfTrue = TRUE,
    WdfUseDefault = 2,
} WDF_TRI_STATE, *PWDF_TRI_STATE;

typedef HANDLE WDFOBJECT, *PWDFOBJECT;
typedef PVOID WDFCONTEXT;

DECLARE_HANDLE(WDFDRIVER);
DECLARE_HANDLE(WDFDEVICE);
DECLARE_HANDLE(WDFQUEUE);
DECLARE_HANDLE(WDFREQUEST);
DECLARE_HANDLE(WDFFILEOBJECT);
DECLARE_HANDLE(WDFTIMER);
DECLARE_HANDLE(WDFWORKITEM);
DECLARE_HANDLE(WDFWAITLOCK);
DECLARE_HANDLE(WDFSPINLOCK);
DECLARE_HANDLE(WDFMEMORY);
DECLARE_HANDLE(WDFLOOKASIDE);
DECLARE_HANDLE(WDFKEY);
DECLARE_HANDLE(WDFSTRING);

typedef struct WDFDEVICE_INIT *PWDFDEVICE_INIT;

#define WDF_DRIVER_GLOBALS_NAME_LEN (32)

typedef struct _WDF_DRIVER_GLOBALS {
    WDFDRIVER Driver;
    ULONG DriverFlags;
    ULONG DriverTag;
    CHAR DriverName[WDF_DRIVER_GLOBALS_NAME_LEN];
    BOOLEAN DisplaceDriverUnload;
} WDF_DRIVER_GLOBALS, *PWDF_DRIVER_GLOBALS;
WDF_ASSERT_SIZE(WDF_DRIVER_GLOBALS, 56);
WDF_ASSERT_OFFSET(WDF_DRIVER_GLOBALS, DriverName, 16);
WDF_ASSERT_OFFSET(WDF_DRIVER_GLOBALS, DisplaceDriverUnload, 48);

extern PWDF_DRIVER_GLOBALS WdfDriverGlobals;

/* What the framework tells a driver that may be newer than itself. */
extern BOOLEAN WdfClientVersionHigherThanFramework;
extern ULONG WdfFunctionCount;
extern ULONG WdfStructureCount;
typedef size_t *WDF_STRUCT_INFO;
extern WDF_STRUCT_INFO WdfStructures;

/* The oldest framework the driver accepts; the entry code hands it to WDFLDR. */
__declspec(selectany) ULONG WdfMinimumVersionRequired =
#ifdef KMDF_MINIMUM_VERSION_REQUIRED
    KMDF_MINIMUM_VERSION_REQUIRED;
#else
    KMDF_VERSION_MINOR;
#endif

#define WDF_STRUCTURE_TABLE_NUM_ENTRIES 81

#endif

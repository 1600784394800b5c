/*
 * Stand-in for the WDK's WdfDriverEntry.lib: the code a KMDF driver starts in. It binds the driver to
 * the framework through WDFLDR, calls DriverEntry, and puts itself in front of the driver's unload so
 * that it can unbind.
 *
 * The bind structures and the loader's prototypes are facts of the public KMDF source
 * (microsoft/Windows-Driver-Frameworks, src/framework/shared/inc/private/common/fxldr.h).
 */
#include <ntifs.h>
#include <wdf.h>

typedef struct _BIND_INFO {
    ULONG Size;
    PWCHAR Component;
    struct {
        ULONG Major;
        ULONG Minor;
        ULONG Build;
    } Version;
    ULONG FuncCount;
    const WDFFUNC **FuncTable;
    PVOID Module;
} BIND_INFO;
C_ASSERT(sizeof(BIND_INFO) == 48);

/* The second form lets a driver run on an older framework than the one it was built for. */
typedef struct _BIND_INFO2 {
    BIND_INFO V1;
    ULONG *MinimumVersionRequired;
    BOOLEAN *ClientVersionHigherThanFramework;
    ULONG *FuncCount;
    ULONG *StructCount;
    WDF_STRUCT_INFO *StructTable;
} BIND_INFO2;
C_ASSERT(sizeof(BIND_INFO2) == 88);

NTSTATUS NTAPI WdfVersionBind(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath, BIND_INFO *BindInfo, PWDF_DRIVER_GLOBALS *Globals);
NTSTATUS NTAPI WdfVersionUnbind(PUNICODE_STRING RegistryPath, BIND_INFO *BindInfo, PWDF_DRIVER_GLOBALS Globals);
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);

const WDFFUNC *WdfFunctions;
PWDF_DRIVER_GLOBALS WdfDriverGlobals;
BOOLEAN WdfClientVersionHigherThanFramework;
ULONG WdfFunctionCount = WdfFunctionTableNumEntries;
ULONG WdfStructureCount = WDF_STRUCTURE_TABLE_NUM_ENTRIES;
WDF_STRUCT_INFO WdfStructures;

static BIND_INFO2 BindInfo = {
    .V1 = {
        .Size = sizeof(BIND_INFO2),
        .Component = L"KmdfLibrary",
        .Version = {KMDF_VERSION_MAJOR, KMDF_VERSION_MINOR, 0},
        .FuncCount = WdfFunctionTableNumEntries,
        .FuncTable = &WdfFunctions,
    },
    .MinimumVersionRequired = &WdfMinimumVersionRequired,
    .ClientVersionHigherThanFramework = &WdfClientVersionHigherThanFramework,
    .FuncCount = &WdfFunctionCount,
    .StructCount = &WdfStructureCount,
    .StructTable = &WdfStructures,
};

/* The path outlives DriverEntry: unbinding needs it. A service's path is at most this long. */
static WCHAR PathBuffer[260];
static UNICODE_STRING Path = {0, sizeof(PathBuffer), PathBuffer};
static PDRIVER_UNLOAD DriversUnload;

static VOID Unbind(VOID)
{
    WdfVersionUnbind(&Path, &BindInfo.V1, WdfDriverGlobals);
}

static VOID NTAPI Unload(PDRIVER_OBJECT DriverObject)
{
    if (DriversUnload != NULL) {
        DriversUnload(DriverObject);
    }
    Unbind();
}

NTSTATUS NTAPI FxDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;
    USHORT Bytes;

    for (Bytes = 0; Bytes < RegistryPath->Length && Bytes < Path.MaximumLength; Bytes += sizeof(WCHAR)) {
        PathBuffer[Bytes / sizeof(WCHAR)] = RegistryPath->Buffer[Bytes / sizeof(WCHAR)];
    }
    Path.Length = Bytes;

    Status = WdfVersionBind(DriverObject, &Path, &BindInfo.V1, &WdfDriverGlobals);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = DriverEntry(DriverObject, RegistryPath);
    if (!NT_SUCCESS(Status)) {
        Unbind();
        return Status;
    }
    if (WdfDriverGlobals->DisplaceDriverUnload) {
        DriversUnload = DriverObject->DriverUnload;
        DriverObject->DriverUnload = Unload;
    }
    return Status;
}

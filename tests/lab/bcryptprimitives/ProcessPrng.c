/*
 * Stand-in for bcryptprimitives.dll, which Wine 8 lacks: Rust's standard library takes its random
 * numbers from ProcessPrng.
 */
#include <windows.h>

/* RtlGenRandom, by the name that advapi32 exports it under. */
BOOLEAN NTAPI SystemFunction036(PVOID Buffer, ULONG Length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE Buffer, SIZE_T Length)
{
    while (Length != 0) {
        ULONG Part = Length > MAXLONG ? MAXLONG : (ULONG)Length;
        if (!SystemFunction036(Buffer, Part)) {
            return FALSE;
        }
        Buffer += Part;
        Length -= Part;
    }
    return TRUE;
}

<#
.SYNOPSIS
Runs TlsGate under Driver Verifier on a Windows test machine.

.DESCRIPTION
Not run by this project's tests: it needs Windows. A broken rule is a bug check, so use a machine that
may crash, with a kernel debugger or memory dumps set up.

Driver Verifier's flags 0x209BB: special pool, forced IRQL checks, pool tracking, I/O verification,
deadlock detection, DMA checks, security checks, miscellaneous checks, DDI compliance checks.

.PARAMETER Client
The program tlsgate.exe.
#>
#Requires -RunAsAdministrator
#Requires -Version 5.1
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [ValidateScript({ Test-Path -PathType Leaf $_ })] [string] $Client
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

# /volatile takes effect when the driver is loaded next, without a restart.
Stop-Service -Name TlsGate -ErrorAction SilentlyContinue
& verifier.exe /volatile /flags 0x209BB /adddriver tlsgate.sys
if ($LASTEXITCODE -ne 0) { throw "verifier failed: $LASTEXITCODE" }
try {
    Start-Service -Name TlsGate
    & $Client doctor
    if ($LASTEXITCODE -ne 0) { throw "tlsgate doctor failed: $LASTEXITCODE" }
    # Leaks are found when the driver is unloaded.
    Stop-Service -Name TlsGate
}
finally {
    & verifier.exe /volatile /removedriver tlsgate.sys
}

<#
.SYNOPSIS
Runs TlsGate under Driver Verifier on a Windows test machine and collects what there is to see.

.DESCRIPTION
Install first (install.ps1). A broken rule is a blue screen: use a machine that may crash, with memory
dumps set up.

Driver Verifier watches tlsgate.sys while the driver is loaded and unloaded again and again and
`tlsgate selftest` runs. Into the report's folder go: selftest.json, what the programs printed, the
driver's ETW events (events.etl, and events.xml for reading), what Driver Verifier says, and dumps that are
new. At the end Driver Verifier is reset: it watches nothing any more.

Not run by this project's tests, which only read it for mistakes of syntax: it needs Windows.

.PARAMETER Verifier
Now: what Driver Verifier can switch on without a restart. Restart: flags 0x209BB, that is special pool, forced
IRQL checks, pool tracking, I/O verification, deadlock detection, DMA checks, security checks, miscellaneous
checks and DDI compliance checks. The first run switches them on and ends with exit code 3010: restart,
and run it again.

.PARAMETER Loads
How often the driver is loaded and unloaded.

.PARAMETER Report
The folder for what is collected; it is made.

.EXAMPLE
.\verify.ps1 -Verifier Restart -Report C:\report
#>
#Requires -RunAsAdministrator
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateSet('Now', 'Restart')] [string] $Verifier = 'Now',
    [ValidateRange(1, 10000)] [int] $Loads = 20,
    [string] $Report = (Join-Path (Get-Location) "tlsgate-verify-$(Get-Date -Format yyyyMMdd-HHmmss)")
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$driver = 'tlsgate.sys'
$provider = '{d0abeb88-2f9d-5c8e-084e-76aee76d0f1d}'
$trace = 'TlsGateVerify'
$program = Join-Path $PSScriptRoot 'tlsgate.exe'

# Runs a program of Windows; its output goes to the report.
function Invoke-Tool {
    param([string] $Name, [string[]] $Arguments, [int[]] $Good = @(0))
    # Windows PowerShell takes what a program writes to its standard error for an error of its own.
    $ErrorActionPreference = 'Continue'
    $said = & $Name @Arguments 2>&1 | Out-String
    Add-Content -Path (Join-Path $Report 'tools.txt') -Value "> $Name $Arguments`r`n$said"
    if ($LASTEXITCODE -notin $Good) { throw "$Name $Arguments failed: $LASTEXITCODE`r`n$said" }
    $said
}

function Enable-VerifierNow {
    if ([Environment]::OSVersion.Version.Build -ge 22000) {
        # Rule classes of 0x209BB that /now may switch on; then deadlock detection and DMA checks,
        # which only /volatile may (windows-driver-docs, devtest/verifier-command-line,
        # devtest/using-volatile-settings).
        Invoke-Tool verifier.exe '/dif', '1', '2', '4', '5', '9', '12', '18', '/now', '/driver', $driver
        Invoke-Tool verifier.exe '/volatile', '/flags', '0xA0'
    }
    else {
        # All but DDI compliance checks (0x20000), which want a restart.
        Invoke-Tool verifier.exe '/volatile', '/adddriver', $driver, '/flags', '0x9BB'
    }
}

function Test-Watched {
    (Invoke-Tool verifier.exe '/query') -match [regex]::Escape($driver)
}

# Dumps of kernel crashes, and when they were written.
function Get-Dump {
    Get-ChildItem -Path "$env:SystemRoot\Minidump\*.dmp", "$env:SystemRoot\MEMORY.DMP" -ErrorAction SilentlyContinue
}

if (-not (Get-Service -Name TlsGate -ErrorAction SilentlyContinue)) {
    throw 'TlsGate is not installed: .\install.ps1 installs it.'
}
if (-not $PSCmdlet.ShouldProcess("$driver, $Loads loads, report in $Report", 'Run under Driver Verifier')) { return }
New-Item -ItemType Directory -Path $Report -Force | Out-Null

if ($Verifier -eq 'Restart') {
    $settings = Invoke-Tool verifier.exe '/querysettings'
    if ($settings -notmatch [regex]::Escape($driver)) {
        # A crash at the next start switches Driver Verifier off again. 2: it wants a restart.
        Invoke-Tool verifier.exe '/bootmode', 'resetonbootfail' -Good 0, 2 | Out-Null
        Invoke-Tool verifier.exe '/flags', '0x209BB', '/driver', $driver -Good 0, 2 | Out-Null
        Write-Warning 'Driver Verifier is set: restart, and run this again.'
        exit 3010
    }
    Start-Service -Name TlsGate
    if (-not (Test-Watched)) {
        Write-Warning 'Driver Verifier is set, but only for the next start: restart, and run this again.'
        exit 3010
    }
}

# Dumps of a crash since the last start belong to the report: that crash may have been this script's.
$started = (Get-CimInstance Win32_OperatingSystem).LastBootUpTime
try {
    # Verified is what is loaded from now on.
    Stop-Service -Name TlsGate
    if ($Verifier -eq 'Now') { Enable-VerifierNow | Out-Null }

    Invoke-Tool logman.exe 'create', 'trace', $trace, '-p', $provider, '0xffffffffffffffff', '0xff', '-ets', '-o', (Join-Path $Report 'events.etl') | Out-Null

    for ($load = 1; $load -le $Loads; $load++) {
        Write-Progress -Activity 'Loading and unloading the driver' -Status "$load of $Loads" -PercentComplete (100 * $load / $Loads)
        Start-Service -Name TlsGate
        # Leaks are found when the driver is unloaded.
        Stop-Service -Name TlsGate
    }
    Write-Progress -Activity 'Loading and unloading the driver' -Completed

    Start-Service -Name TlsGate
    if (-not (Test-Watched)) { throw 'Driver Verifier does not watch the driver.' }
    # 1: something is left to do, for instance a certificate to be made.
    Invoke-Tool $program 'doctor' -Good 0, 1 | Write-Host
    & $program selftest --report (Join-Path $Report 'selftest.json')
    if ($LASTEXITCODE -ne 0) { throw "tlsgate selftest failed: $LASTEXITCODE; see selftest.json" }
    Stop-Service -Name TlsGate
    Invoke-Tool verifier.exe '/query' | Out-Null
}
finally {
    # Whatever fails here must not keep the rest from being put right.
    $ErrorActionPreference = 'Continue'
    & logman.exe stop $trace -ets | Out-Null
    if (Test-Path (Join-Path $Report 'events.etl')) {
        & tracerpt.exe (Join-Path $Report 'events.etl') -y -o (Join-Path $Report 'events.xml') -of XML | Out-Null
    }
    Get-Dump | Where-Object { $_.LastWriteTime -gt $started } | Copy-Item -Destination $Report
    Stop-Service -Name TlsGate -ErrorAction SilentlyContinue
    & verifier.exe /volatile /removedriver $driver | Out-Null
    & verifier.exe /reset | Out-Null
    Write-Host "The report is in $Report."
}

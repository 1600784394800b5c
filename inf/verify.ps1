<#
.SYNOPSIS
Runs TlsGate under Driver Verifier on a Windows test machine and collects what there is to see.

.DESCRIPTION
Install first (install.ps1). A broken rule is a blue screen: use a machine that may crash, with memory
dumps set up.

Driver Verifier watches tlsgate.sys while the driver is loaded and unloaded again and again and
`tlsgate selftest` runs. Into the report's folder go: selftest.json, what the programs printed, the
driver's ETW events (events.etl, and events.xml for reading), and what Driver Verifier says. Dumps written
since the last start are copied there before anything else, so that a crash that comes again loses none.
At the end Driver Verifier is reset: it watches nothing after the next start. Restart between runs, too: what was
verified once may stay so until then.

A driver that is not unloaded within a minute ends the run: some program has its device open, or the unload
hangs.

Not run by this project's tests, which only read it for mistakes of syntax: it needs Windows.

.PARAMETER Verifier
Now: what Driver Verifier can switch on without a restart; from Windows 11 on these are not the forced IRQL
checks, and nothing may be switched on already. Restart: flags 0x209BB, that is special pool, forced
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
# How long the driver may take to be unloaded.
$patience = [TimeSpan]::FromSeconds(60)
# From Windows 11 on rule classes are switched on by /dif /now; before, flags by /volatile.
$rules = [Environment]::OSVersion.Version.Build -ge 22000

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

# Exit code 2, "a restart is needed", is no failure yet: Test-Watched tells whether the driver is watched, and
# /query writes to the report what is switched on.
function Enable-VerifierNow {
    if ($rules) {
        # Rule classes of 0x209BB that /now may switch on: not 2, forced IRQL checks. Then deadlock detection
        # and DMA checks, which only /volatile may (windows-driver-docs, devtest/verifier-command-line,
        # devtest/using-volatile-settings).
        Invoke-Tool verifier.exe '/dif', '1', '4', '5', '9', '12', '18', '/now', '/driver', $driver -Good 0, 2
        Invoke-Tool verifier.exe '/volatile', '/flags', '0xA0' -Good 0, 2
    }
    else {
        # All but DDI compliance checks (0x20000), which want a restart.
        Invoke-Tool verifier.exe '/volatile', '/adddriver', $driver, '/flags', '0x9BB' -Good 0, 2
    }
    Invoke-Tool verifier.exe '/query'
}

function Test-Watched {
    (Invoke-Tool verifier.exe '/query') -match [regex]::Escape($driver)
}

# Dumps of kernel crashes, and when they were written.
function Get-Dump {
    Get-ChildItem -Path "$env:SystemRoot\Minidump\*.dmp", "$env:SystemRoot\MEMORY.DMP" -ErrorAction SilentlyContinue
}

$service = Get-Service -Name TlsGate -ErrorAction SilentlyContinue
if (-not $service) { throw 'TlsGate is not installed: .\install.ps1 installs it.' }

# Unloads the driver, if it is loaded. Stop-Service has no deadline; and where the unload hangs, so does whoever
# asked for it: hence a process of its own.
$unload = {
    $start = New-Object System.Diagnostics.ProcessStartInfo "$env:SystemRoot\System32\sc.exe", 'stop TlsGate'
    $start.UseShellExecute = $false
    $start.RedirectStandardOutput = $true
    $stop = [System.Diagnostics.Process]::Start($start)
    if (-not $stop.WaitForExit($patience.TotalMilliseconds)) {
        throw "The driver's unload hangs: it takes longer than $patience."
    }
    $said = $stop.StandardOutput.ReadToEnd()
    # 1062: it was not loaded.
    if ($stop.ExitCode -notin 0, 1062) { throw "sc stop TlsGate failed: $($stop.ExitCode)`r`n$said" }
    try { $service.WaitForStatus('Stopped', $patience) }
    catch { throw "The driver is still loaded after $patience; does a program have its device open? $_" }
}

if (-not $PSCmdlet.ShouldProcess("$driver, $Loads loads, report in $Report", 'Run under Driver Verifier')) { return }
New-Item -ItemType Directory -Path $Report -Force | Out-Null

# Dumps of a crash since the last start belong to the report: that crash may have been this script's. Now, not at
# the end: the same crash may come again.
$started = (Get-CimInstance Win32_OperatingSystem).LastBootUpTime
Get-Dump | Where-Object { $_.LastWriteTime -gt $started } | Copy-Item -Destination $Report

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

try {
    # Verified is what is loaded from now on.
    & $unload
    if ($Verifier -eq 'Now') { Enable-VerifierNow | Out-Null }

    Invoke-Tool logman.exe 'create', 'trace', $trace, '-p', $provider, '0xffffffffffffffff', '0xff', '-ets', '-o', (Join-Path $Report 'events.etl') | Out-Null

    for ($load = 1; $load -le $Loads; $load++) {
        Write-Progress -Activity 'Loading and unloading the driver' -Status "$load of $Loads" -PercentComplete (100 * $load / $Loads)
        Start-Service -Name TlsGate
        # Leaks are found when the driver is unloaded.
        & $unload
    }
    Write-Progress -Activity 'Loading and unloading the driver' -Completed

    Start-Service -Name TlsGate
    if (-not (Test-Watched)) { throw 'Driver Verifier does not watch the driver.' }
    # 1: something is left to do, for instance a certificate to be made.
    Invoke-Tool $program 'doctor' -Good 0, 1 | Write-Host
    & $program selftest --report (Join-Path $Report 'selftest.json')
    if ($LASTEXITCODE -ne 0) { throw "tlsgate selftest failed: $LASTEXITCODE; see selftest.json" }
    & $unload
    Invoke-Tool verifier.exe '/query' | Out-Null
}
finally {
    # Whatever fails here must not keep the rest from being put right.
    $ErrorActionPreference = 'Continue'
    # First of all: whatever hangs below, nothing is verified after the next start.
    & verifier.exe /reset | Out-Null
    & logman.exe stop $trace -ets | Out-Null
    if (Test-Path (Join-Path $Report 'events.etl')) {
        & tracerpt.exe (Join-Path $Report 'events.etl') -y -o (Join-Path $Report 'events.xml') -of XML | Out-Null
    }
    # What runs until then: the flags, and what /dif /now began.
    & verifier.exe /volatile /flags 0 | Out-Null
    if ($rules) { & verifier.exe /stop | Out-Null }
    # A driver that is loaded cannot be removed.
    try { & $unload } catch { Write-Warning "$_" }
    & verifier.exe /volatile /removedriver $driver | Out-Null
    Write-Host "The report is in $Report. Restart before the next run."
}

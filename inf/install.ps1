<#
.SYNOPSIS
Installs and starts TlsGate on a Windows test machine.

.DESCRIPTION
Trusts the test certificate on this machine, if you say yes, and installs the driver: from this folder
by the service manager, or from a package with a catalogue by its INF.

Not run by this project's tests, which only read it for mistakes of syntax: it needs Windows 11 or Windows
Server 2022, x64, with test signing on and Secure Boot off.

.PARAMETER Package
A package with a catalogue, as `cargo make` makes it: the folder that holds tlsgate.inf, tlsgate.sys,
tlsgate.cat and the test certificate. pnputil installs it. Without this, the tlsgate.sys beside this
script is installed. Exit code 3010: Windows wants a restart; after it, start the service TlsGate.

.PARAMETER Force
Asks nothing: for machines that nobody sits at.

.EXAMPLE
.\install.ps1 -WhatIf

Says what would be done.

.EXAMPLE
.\install.ps1 -Package C:\src\tlsgate\target\debug\tlsgate_package
#>
#Requires -RunAsAdministrator
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')]
param(
    [ValidateScript({ Test-Path -PathType Container $_ })] [string] $Package,
    [switch] $Force
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'
if ($Force) { $ConfirmPreference = 'None' }

$folder = $PSScriptRoot
if ($Package) { $folder = (Resolve-Path $Package).Path }

# KMDF 1.33 is part of Windows from these builds on.
if ([Environment]::OSVersion.Version.Build -lt 20348) {
    throw 'This Windows is too old: it must be Windows Server 2022 or Windows 11, or later.'
}

# The command fails where there is no UEFI, and so no Secure Boot either.
$secureBoot = try { Confirm-SecureBootUEFI } catch { $false }
if ($secureBoot) {
    throw 'Secure Boot is on: Windows would not load a driver with a test signature. Switch it off in the settings of the machine.'
}

# What Windows was started with; `bcdedit` shows what it will be started with, in the user's language.
$control = Get-ItemProperty 'HKLM:\SYSTEM\CurrentControlSet\Control'
if ($control.SystemStartOptions -notmatch '\bTESTSIGNING\b') {
    throw 'Test signing is off: run `bcdedit /set testsigning on` and restart.'
}

$certificates = @(Get-ChildItem -Path $folder -Filter '*.cer' -File)
if ($certificates.Count -ne 1) { throw "There must be one certificate (.cer) in $folder." }
$certificate = $certificates[0].FullName
# What it is, for whoever is asked.
$details = New-Object System.Security.Cryptography.X509Certificates.X509Certificate2 $certificate
$who = "$($details.Subject), SHA-1 $($details.Thumbprint), until $($details.NotAfter)"
foreach ($store in 'Root', 'TrustedPublisher') {
    if ($PSCmdlet.ShouldProcess("$who, in the machine's store $store", 'Trust the certificate')) {
        Import-Certificate -FilePath $certificate -CertStoreLocation "Cert:\LocalMachine\$store" -Confirm:$false | Out-Null
    }
}

if ($Package) {
    if ($PSCmdlet.ShouldProcess("$folder\tlsgate.inf", 'pnputil /add-driver /install')) {
        & pnputil.exe /add-driver (Join-Path $folder 'tlsgate.inf') /install
        # 259: it was installed already. 3010: done, after a restart.
        if ($LASTEXITCODE -notin 0, 259, 3010) { throw "pnputil failed: $LASTEXITCODE" }
        if ($LASTEXITCODE -eq 3010) {
            Write-Warning 'Installed, but Windows wants a restart: restart, then run `Start-Service TlsGate`.'
            exit 3010
        }
        Start-Service -Name TlsGate
    }
}
elseif ($PSCmdlet.ShouldProcess("$folder\tlsgate.sys", 'tlsgate install')) {
    & (Join-Path $folder 'tlsgate.exe') install
    if ($LASTEXITCODE -ne 0) { throw "tlsgate install failed: $LASTEXITCODE" }
}
if (-not $WhatIfPreference) { Get-Service -Name TlsGate }

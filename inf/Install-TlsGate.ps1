<#
.SYNOPSIS
Installs and starts TlsGate on a Windows test machine, from the package of `cargo make`.

.DESCRIPTION
Not run by this project's tests: it needs Windows 11 21H2 or Windows Server 2022, x64, with test
signing on and Secure Boot off (`bcdedit /set testsigning on`, then a restart).

.PARAMETER Package
The folder that holds tlsgate.inf, tlsgate.sys, tlsgate.cat and the test certificate.
#>
#Requires -RunAsAdministrator
#Requires -Version 5.1
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [ValidateScript({ Test-Path -PathType Container $_ })] [string] $Package
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$certificate = Join-Path $Package 'WDRLocalTestCert.cer'
if (Test-Path $certificate) {
    foreach ($store in 'Root', 'TrustedPublisher') {
        Import-Certificate -FilePath $certificate -CertStoreLocation "Cert:\LocalMachine\$store" | Out-Null
    }
}

& pnputil.exe /add-driver (Join-Path $Package 'tlsgate.inf') /install
if ($LASTEXITCODE -ne 0) { throw "pnputil failed: $LASTEXITCODE" }

Start-Service -Name TlsGate
Get-Service -Name TlsGate

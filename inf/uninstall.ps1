<#
.SYNOPSIS
Removes TlsGate from a Windows test machine: the driver, its service, and the trust in its test
certificate.

.DESCRIPTION
Undoes install.ps1, whichever way it installed. The folder must hold the certificate that install.ps1
found there, and no other; what else is not there is no error. The trust in the certificate goes even if the
driver cannot be removed, as when a program has its device open for longer than 30 seconds. Certificates
that `tlsgate cert new` made stay: `tlsgate cert list` and `tlsgate cert remove`.

Not run by this project's tests, which only read it for mistakes of syntax: it needs Windows.

.PARAMETER Package
The folder that was given to install.ps1.

.EXAMPLE
.\uninstall.ps1 -WhatIf

Says what would be done.
#>
#Requires -RunAsAdministrator
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidateScript({ Test-Path -PathType Container $_ })] [string] $Package
)
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$folder = $PSScriptRoot
if ($Package) { $folder = (Resolve-Path $Package).Path }

$program = Join-Path $PSScriptRoot 'tlsgate.exe'

# Only what install.ps1 trusted is trusted no longer.
$certificates = @(Get-ChildItem -Path $folder -Filter '*.cer' -File)
if ($certificates.Count -ne 1) { throw "There must be one certificate (.cer) in $folder." }
$certificate = New-Object System.Security.Cryptography.X509Certificates.X509Certificate2 $certificates[0].FullName

try {
    # The driver store names the INF oem<number>.inf; its own name is in the description.
    $published = @(Get-WindowsDriver -Online |
        Where-Object { (Split-Path -Leaf $_.OriginalFileName) -eq 'tlsgate.inf' })

    # Without an INF `tlsgate uninstall` stops the driver itself.
    $service = Get-Service -Name TlsGate -ErrorAction SilentlyContinue
    if ($service -and ($published -or -not (Test-Path $program)) -and
        $PSCmdlet.ShouldProcess('TlsGate', 'Stop the driver')) {
        Stop-Service -Name TlsGate -NoWait
        try { $service.WaitForStatus('Stopped', [TimeSpan]::FromSeconds(30)) }
        catch { throw "The driver does not stop; does a program have its device open? $_" }
    }

    foreach ($driver in $published) {
        if ($PSCmdlet.ShouldProcess($driver.Driver, 'pnputil /delete-driver /uninstall')) {
            & pnputil.exe /delete-driver $driver.Driver /uninstall
            # 3010: done, after a restart.
            if ($LASTEXITCODE -notin 0, 3010) { throw "pnputil failed: $LASTEXITCODE" }
        }
    }

    # What the service manager was told is left, if it was told.
    if ((Test-Path $program) -and $PSCmdlet.ShouldProcess('TlsGate', 'tlsgate uninstall')) {
        & $program uninstall
        if ($LASTEXITCODE -ne 0) { throw "tlsgate uninstall failed: $LASTEXITCODE" }
    }
}
finally {
    foreach ($store in 'Root', 'TrustedPublisher') {
        $path = "Cert:\LocalMachine\$store\$($certificate.Thumbprint)"
        if ((Test-Path $path) -and $PSCmdlet.ShouldProcess($path, 'Trust the certificate no longer')) {
            Remove-Item -Path $path
        }
    }
}

<#
.SYNOPSIS
Stops TlsGate and removes it from a Windows test machine.

.DESCRIPTION
Not run by this project's tests: it needs Windows.
#>
#Requires -RunAsAdministrator
#Requires -Version 5.1
[CmdletBinding()]
param()
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

if (Get-Service -Name TlsGate -ErrorAction SilentlyContinue) {
    Stop-Service -Name TlsGate
}

# The driver store names the INF oem<number>.inf; its original name is in the description.
$published = Get-WindowsDriver -Online |
    Where-Object { (Split-Path -Leaf $_.OriginalFileName) -eq 'tlsgate.inf' }
foreach ($driver in $published) {
    & pnputil.exe /delete-driver $driver.Driver /uninstall
    if ($LASTEXITCODE -ne 0) { throw "pnputil failed: $LASTEXITCODE" }
}

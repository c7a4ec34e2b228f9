# Every SMTP address of an Exchange organisation, in the Exchange Management
# Shell (or after Connect-ExchangeOnline), into a file that is replaced as one:
#
#	.\from-exchange.ps1 -File C:\inetpub\wwwroot\mx20\users.txt [-Domain example.com,example.org]
param(
	[Parameter(Mandatory = $true)][string]$File,
	[string[]]$Domain = @()
)
$ErrorActionPreference = 'Stop'
Set-StrictMode -Version 2

$addresses = Get-Recipient -ResultSize Unlimited |
	ForEach-Object { $_.EmailAddresses } |
	ForEach-Object { "$_" } |
	Where-Object { $_ -match '^smtp:' } |
	ForEach-Object { $_.Substring(5).ToLowerInvariant() } |
	Where-Object { $Domain.Count -eq 0 -or $Domain -contains ($_ -split '@')[-1] } |
	Sort-Object -Unique
if (@($addresses).Count -eq 0) {
	throw 'found nobody: nothing is written'
}

# UTF-8 without a mark, lines that end as on the host that reads them
$new = "$File.new"
$text = ($addresses -join "`n") + "`n"
[System.IO.File]::WriteAllText($new, $text, (New-Object System.Text.UTF8Encoding($false)))
Move-Item -Force -Path $new -Destination $File

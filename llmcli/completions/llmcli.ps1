
Register-ArgumentCompleter -Native -CommandName llmcli -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.StartOffset -lt $cursorPosition })
    $Env:_LLMCLI_COMPLETE = 'complete_powershell'
    $Env:COMP_WORDS = ($words | ForEach-Object { $_.Extent.Text }) -join ' '
    $Env:COMP_CWORD = if ($wordToComplete) { $words.Count - 1 } else { $words.Count }
    try {
        llmcli 2>$null | Where-Object { $_ } | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:_LLMCLI_COMPLETE, Env:COMP_WORDS, Env:COMP_CWORD -ErrorAction Ignore
    }
}


function __llmcli_wants_file
    contains -- (commandline -opc)[-1] -a -f --attach --file --api-key-file --ca-file --service-account --out --messages --record
    or string match -qr -- '^--(attach|file|api-key-file|ca-file|service-account|out|messages|record)=' (commandline -ct)
end

function __llmcli_complete
    set -l words (commandline -opc)
    set -l line (commandline -cp | string collect)
    set -l run (string replace -r -- '^~(?=/)' $HOME $words[1])
    type -q -- $run; or set run llmcli
    _LLMCLI_COMPLETE=complete_fish COMP_WORDS=$line COMP_CWORD=(count $words) $run 2>/dev/null
end

complete -c llmcli -n __llmcli_wants_file -F
complete -c llmcli -n 'not __llmcli_wants_file' -f -a '(__llmcli_complete)'

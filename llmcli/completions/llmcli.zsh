#compdef llmcli

_llmcli() {
    local run=${~words[1]} line value
    local -a whole open
    if [[ ${words[CURRENT-1]} == (-a|-f|--attach|--file|--api-key-file|--ca-file|--service-account|--out|--messages|--record) ]] ||
        compset -P '(--attach|--file|--api-key-file|--ca-file|--service-account|--out|--messages|--record)='; then
        _files
        return
    fi
    whence -p -- $run >/dev/null || run=llmcli
    for line in ${(f)"$(_LLMCLI_COMPLETE=complete_zsh COMP_WORDS="${words[1,CURRENT-1]} $PREFIX" \
        COMP_CWORD=$((CURRENT - 1)) $run 2>/dev/null)"}; do
        value=${line%%$'\t'*}
        line=${value//:/\\:}${${line#$value}/$'\t'/:}
        if [[ $value == *: ]]; then open+=($line); else whole+=($line); fi
    done
    _describe -t values value whole -- open -S ''
}

if [[ $funcstack[1] == _llmcli ]]; then
    _llmcli "$@"
else
    compdef _llmcli llmcli
fi

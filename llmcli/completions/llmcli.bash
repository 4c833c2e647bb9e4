
_llmcli_completion() {
    local line=${COMP_LINE:0:COMP_POINT} run=${1/#\~/$HOME} breaks=${COMP_WORDBREAKS//[^:=]/}
    local rest=$line n=-1 prev="" cur="" kept="" word
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}" ""; do
        if [[ $n -lt 0 || $rest == [[:space:]]* ]]; then
            n=$((n + 1)) prev=$cur cur=""
            rest=${rest#"${rest%%[![:space:]]*}"}
        fi
        cur+=$word
        rest=${rest#"$word"}
    done
    cur+=$rest
    COMPREPLY=()
    case $prev:$cur in
        -a:* | -f:* | --attach:* | --file:* | --api-key-file:* | --ca-file:* | --service-account:* | --out:* | --messages:* | --record:* | *[\<\>]:* | \
            *:--attach=* | *:--file=* | *:--api-key-file=* | *:--ca-file=* | *:--service-account=* | *:--out=* | *:--messages=* | *:--record=* | *:*[\<\>]*)
            compopt -o default 2>/dev/null
            return
            ;;
    esac
    [[ -n $breaks ]] && kept=${cur%"${cur##*[$breaks]}"}
    [[ $cur == *[\"\']* ]] && kept=${cur%%[\"\']*}
    type -P -- "$run" >/dev/null || run=llmcli
    while IFS=$'\t' read -r word _; do
        [[ -n $word ]] && COMPREPLY+=("${word#"$kept"}")
    done < <(_LLMCLI_COMPLETE=complete_bash COMP_WORDS=$line COMP_CWORD=$n "$run" 2>/dev/null)
    [[ ${#COMPREPLY[@]} -eq 1 && $COMPREPLY == *: ]] && compopt -o nospace 2>/dev/null
    return 0
}

complete -F _llmcli_completion llmcli

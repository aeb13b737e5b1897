#compdef dogwatch
# Completions of dogwatch for zsh. Once, after compinit: source <(dogwatch completions zsh)
_dogwatch() {
    local said line
    local -a before found shown
    (( CURRENT > 2 )) && before=("${(@Q)words[2,CURRENT-1]}")
    if ! said=$(command dogwatch complete zsh -- "${before[@]}" "${(Q)PREFIX}" 2>/dev/null); then
        _files
        return
    fi
    for line in "${(@f)said}"; do
        [[ -z $line ]] && continue
        found+=("${line%%$'\t'*}")
        shown+=("${line/$'\t'/  -- }")
    done
    (( $#found )) && compadd -V dogwatch -l -d shown -a found
}
if [[ $funcstack[1] == _dogwatch ]]; then
    _dogwatch "$@"
else
    compdef _dogwatch dogwatch
fi

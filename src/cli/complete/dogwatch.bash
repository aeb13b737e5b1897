# Completions of dogwatch for bash. Once: source <(dogwatch completions bash)
_dogwatch() {
    local found word
    COMPREPLY=()
    # It reads the line itself: only it knows where a name that has spaces or = in it ends.
    if ! found=$(command dogwatch complete bash -- "$COMP_WORDBREAKS" "${COMP_LINE:0:COMP_POINT}" 2>/dev/null); then
        compopt -o default
        return
    fi
    while IFS= read -r word; do
        [[ -n $word ]] && COMPREPLY+=("$word")
    done <<<"$found"
}
complete -o nosort -F _dogwatch dogwatch

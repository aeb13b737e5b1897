# Completions of dogwatch for fish. Once: dogwatch completions fish | source
function __dogwatch_complete
    set -l before (commandline -opc)
    set -e before[1]
    set -l last (commandline -ct)
    set -q last[1]; or set last ''
    set -l found (command dogwatch complete fish -- $before $last 2>/dev/null)
    if test $status -ne 0
        __fish_complete_path $last
    else if set -q found[1]
        printf '%s\n' $found
    end
end
complete -c dogwatch -f -k -a '(__dogwatch_complete)'

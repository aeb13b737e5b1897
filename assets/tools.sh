# Sourced by try.sh and tests/run.sh: look for what they need, say what is missing, install it. POSIX sh.
# The caller stands in the project's folder. 3 is the exit code for "a person has to do something first".

say() { printf '%s\n' "$*"; }

# Leave with one sentence on what to do.
leave() {
    say "$*" >&2
    exit 3
}

# tmux and the pictures of steps need UTF-8. C.UTF-8 is always there on Debian.
use_utf8() {
    case ${LC_ALL:-${LC_CTYPE:-${LANG:-}}} in
    *UTF-8* | *utf-8* | *UTF8* | *utf8*) ;;
    *)
        unset LC_ALL LC_CTYPE
        LANG=C.UTF-8
        export LANG
        ;;
    esac
}

# A Rust toolchain that is new enough for Cargo.toml, on PATH.
need_rust() {
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! command -v cargo >/dev/null 2>&1; then
        PATH=${CARGO_HOME:-${HOME:-/root}/.cargo}/bin:$PATH
        export PATH
    fi
    if ! command -v cargo >/dev/null 2>&1 || ! command -v rustc >/dev/null 2>&1; then
        leave "No Rust toolchain was found: install Rust $wanted or newer from https://rustup.rs and run this again."
    fi
    found=$(rustc --version 2>/dev/null | sed -n 's/^rustc \([0-9]*\.[0-9]*\).*/\1/p')
    [ -n "$found" ] ||
        leave "rustc is there but does not run (rustc --version fails): repair the toolchain, for example with 'rustup default stable', and run this again."
    if [ "${found%%.*}" -lt "${wanted%%.*}" ] ||
        { [ "${found%%.*}" -eq "${wanted%%.*}" ] && [ "${found#*.}" -lt "${wanted#*.}" ]; }; then
        leave "rustc $found is too old: dogwatch needs Rust $wanted or newer; get it from https://rustup.rs or with 'rustup update' and run this again."
    fi
}

# The parts of the toolchain that a minimal installation leaves out.
need_rust_parts() {
    parts=
    cargo fmt --version >/dev/null 2>&1 || parts="$parts rustfmt"
    cargo clippy --version >/dev/null 2>&1 || parts="$parts clippy"
    [ -z "$parts" ] && return
    say "Missing of the Rust toolchain:$parts"
    command -v rustup >/dev/null 2>&1 ||
        leave "Install$parts for this toolchain (there is no rustup to do it) and run this again."
    say "Running: rustup component add$parts"
    # shellcheck disable=SC2086 # a list of words
    rustup component add $parts || leave "rustup could not add$parts: see the message above."
}

# Whether what a Debian package gives is here, wherever it came from.
is_here() {
    case $1 in
    gcc) command -v cc >/dev/null 2>&1 ;;
    libc6-dev) links ;;
    bubblewrap) command -v bwrap >/dev/null 2>&1 ;;
    python3) python3 -c 'import gzip, resource, sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1 ;;
    ca-certificates) # cargo fetches over https
        [ -n "${SSL_CERT_FILE:-}${CARGO_HTTP_CAINFO:-}" ] || [ -e /etc/ssl/certs/ca-certificates.crt ] ||
            [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/ca-bundle.pem ] || [ -e /etc/ssl/cert.pem ]
        ;;
    docker.io) command -v dockerd >/dev/null 2>&1 && command -v docker >/dev/null 2>&1 ;;
    busybox-static) # the tests' images hold nothing else: it must need no libraries
        busybox=$(command -v busybox) && ! ldd "$busybox" >/dev/null 2>&1
        ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# Whether a C program can be compiled and linked; without a compiler, whether the headers are there.
links() {
    command -v cc >/dev/null 2>&1 || {
        [ -e /usr/include/stdio.h ]
        return
    }
    try=$(mktemp -d) || return
    printf '#include <stdio.h>\nint main(void) { return puts("") < 0; }\n' >"$try/a.c"
    cc "$try/a.c" -o "$try/a" >/dev/null 2>&1
    linked=$?
    rm -r "$try"
    return "$linked"
}

missing_of() {
    for package; do
        is_here "$package" || printf ' %s' "$package"
    done
}

# Install those of the named Debian packages that are missing. Says what and how before it does anything.
need_packages() {
    missing=$(missing_of "$@")
    [ -z "$missing" ] && return
    say "Missing:$missing"
    command -v apt-get >/dev/null 2>&1 ||
        leave "There is no apt-get here: install the equivalents of$missing with this system's own tool and run this again."

    as=
    if [ "$(id -u)" -ne 0 ]; then
        as="sudo "
        [ -t 0 ] || as="sudo -n " # nobody is there to type a password
    fi
    install="${as}apt-get update && ${as}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$missing"
    if [ -n "$as" ] && ! command -v sudo >/dev/null 2>&1; then
        say "To install it, run as root:"
        say "  apt-get update && apt-get install -y --no-install-recommends$missing"
        leave "You are not root and there is no sudo: nothing was installed. Run the command above and then this again."
    fi
    say "Running: $install"
    eval "$install" || leave "That did not work: see the message above, install$missing and run this again."
    missing=$(missing_of "$@")
    [ -z "$missing" ] || leave "Installed, and still not usable:$missing. An older one may come first on PATH."
}

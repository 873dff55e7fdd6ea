# Debian's packages for setup-registry, setup-redis and setup-faketime: unpacked into a folder of .tools, not
# installed, because installing one may start a service.
#
# To be sourced by bash scripts that stand in the checkout's folder.

# Fetching packages, and on a fresh image their lists.
readonly UNPACK_SECONDS_MAX=300

can_unpack() { command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; }

# Run among what was unpacked, before it is put in its place; scripts that want more than the packages hold
# define their own.
finish() { :; }

fetch() { timeout "$UNPACK_SECONDS_MAX" apt-get download -q "$@" >apt.log 2>&1; }

# Puts what the packages hold into the folder, or fails and leaves it as it was.
unpack() { # folder package...
    local place=$1 scratch
    shift
    scratch=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder of now
    trap "rm -rf '$scratch'" EXIT
    # apt's own user writes into it.
    chmod 755 "$scratch"
    (
        cd "$scratch" || exit 1
        # A fresh image has no package lists; only root can fetch them.
        fetch "$@" || { timeout "$UNPACK_SECONDS_MAX" apt-get update -q >apt.log 2>&1 && fetch "$@"; } || exit 1
        for package in *.deb; do dpkg-deb -x "$package" unpacked || exit 1; done
        cd unpacked && finish
    ) || return 1
    rm -rf "$place"
    mkdir -p .tools
    mv "$scratch/unpacked" "$place"
}

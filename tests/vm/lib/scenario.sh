#!/bin/sh
# Sourced by scenarios: saying what happens and when, and checking it. The folder is the lab's.
set -u
cd "${VM_LAB:?not in a lab: tests/vm/run SCENARIO}" || exit 69
said='' took=''

# In hundredths of a second: the shell counts in whole numbers.
now() {
    sed 's/^\([0-9]*\)\.\([0-9]*\).*/\1\2/' /proc/uptime
}
began=$(now)

seconds() { # HUNDREDTHS
    printf '%d.%02d' $(($1 / 100)) $(($1 % 100))
}

# One line of the timeline; time counts from when the machines were up. Where several scenarios run at a time it is said of which.
say() {
    told=$(printf '%8s s  %s' "$(seconds $(($(now) - began)))" "$*")
    printf '%s\n' "$told" >>timeline
    printf '%s%s\n' "${SCENARIO_PREFIX-}" "$told"
}

# The machines are up.
begin() {
    began=$(now)
    say "the machines are up"
}

# More of what a scenario's machines have to say, for whoever looks for a cause; others may have another one.
evidence() { :; }

fail() {
    say "FAILED: $*"
    evidence
    # What each machine is at, for whoever looks for the cause.
    for pid in *.pid; do
        printf 'info status\ninfo registers\n' |
            timeout 5 socat -t 2 - "UNIX-CONNECT:${pid%.pid}.monitor" >"${pid%.pid}.state" 2>&1
    done
    exit 1
}

# on NAME COMMANDS [SECONDS]: what they said is in $said, how many hundredths they took in $took; their status.
on() {
    on_began=$(now)
    said=$(vm run "$@")
    on_status=$?
    # shellcheck disable=SC2034 # for scenarios
    took=$(($(now) - on_began))
    return "$on_status"
}

# expect STATUS NAME COMMANDS [SECONDS]: they have to end with that.
expect() {
    wanted=$1
    shift
    status=0
    on "$@" || status=$?
    printf '%s: %s -> %s\n%s\n' "$1" "$2" "$status" "$said" >>orders
    [ "$status" -eq "$wanted" ] || fail "$1: status $status in place of $wanted: $2: $said"
}

# has WORDS...: each stands in what was said last.
has() {
    for words in "$@"; do
        case $said in
        *"$words"*) ;;
        *) fail "no '$words' in: $said" ;;
        esac
    done
}

# check WHAT COMMAND...: the command has to succeed.
check() {
    what=$1
    shift
    "$@" || fail "$what"
}

# until_true SECONDS WHAT COMMAND...: it has to succeed within that time.
until_true() {
    until_limit=$(($(now) + $1 * 100)) what=$2
    shift 2
    until "$@"; do
        [ "$(now)" -lt "$until_limit" ] || fail "not in time: $what"
        sleep 0.2
    done
}

# Several machines at once: up_all, and then each line NAME ADDRESS OPTION...
up_all() {
    pids=''
    while read -r line; do
        [ -n "$line" ] || continue
        # shellcheck disable=SC2086 # words
        vm up $line &
        pids="$pids $!"
    done
    for pid in $pids; do
        wait "$pid" || exit 69
    done
}

# The bytes of a disk, as a number that shows whether one has changed.
sum() {
    sha256sum <"$1"
}

# How many blocks of 4 KiB differ between two files.
blocks_changed() {
    cmp -l "$1" "$2" 2>/dev/null | awk '{ block[int(($1 - 1) / 4096)] } END { n = 0; for (b in block) n++; print n }'
}

# Text of one field of the event that was said last with that name, or of any.
field() { # FIELD [EVENT]
    printf '%s\n' "$said" | grep "\"event\":\"${2-}" | sed -n "s/.*\"$1\":\"\\([^\"]*\\)\".*/\\1/p" | tail -n 1
}

# Two writers on /srv/data of a machine, both working in that folder: rows, each noted in /run/acknowledged once it is on
# the disk, and pages that are dirty at any time. They end with their first error.
start_writers() { # NAME
    # shellcheck disable=SC2016 # the machine expands it
    expect 0 "$1" '
        rm -f /run/acknowledged
        cd /srv/data
        (n=0; while n=$((n + 1)) && echo "row $n" >>rows && sync rows; do echo "row $n" >>/run/acknowledged; done) >/dev/null 2>&1 &
        echo $! >/run/rows.pid
        (while dd if=/dev/urandom of=bulk bs=64k count=64 conv=notrunc; do sleep 0.1; done) >/dev/null 2>&1 &
        echo $! >/run/bulk.pid
        sleep 8; wc -l </run/acknowledged'
    say "$1: writes; $said rows are acknowledged so far"
}

# Whether a writer, rows or bulk, has ended.
ended() { # NAME WRITER
    vm run "$1" "! kill -0 \$(cat /run/$2.pid)" 20 >/dev/null
}

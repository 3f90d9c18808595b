#!/bin/sh
# Sourced by scenarios after scenario.sh: nodes of a cluster on the machines, and what a client on the LAN sees of them.
# A scenario sets $ha_cf and $haresources, and in $furniture the commands of its own that a machine needs at each boot;
# $heartbeat_scripts, where /etc/ha.d is to have what heartbeat's package puts there.
# needs: python3:python3 mkfs.ext4:e2fsprogs
# shellcheck disable=SC2154 # scenario.sh has set began and said
nodes='' step_began=$began ha_cf='' haresources='' furniture='' heartbeat_scripts=''

# The times of a cluster as it was published, keepalive 2 and deadtime 60, divided by this: what an emulated machine bears
# depends on what else its host has to do.
scale=${VM_SCALE:-4}
deadtime=$((60 / scale))
# shellcheck disable=SC2034 # for scenarios
times="logfile /var/log/ha-log
keepalive $((2000 / scale))ms
deadtime $deadtime
initdead $((2 * deadtime))
env TAKEOVER_LEASE=$((deadtime / 2 + 1))s
udpport 694"

# Installed once, for all machines: their files are this host's.
repository=$(cd "$(dirname "$0")/../../.." && pwd)
[ -d installed ] || "$repository/scripts/install" --bin-dir "${TAKEOVER_BIN:-$repository/target/release}" --destdir "$VM_LAB/installed" \
    >installed.list 2>&1 || fail "scripts/install: $(tail -n 1 installed.list)"

# For $furniture: the resource web::PORT, a web server whose only page says who it is.
# shellcheck disable=SC2016,SC2034 # the machine expands it; for scenarios
web_resource='
        mkdir -p /etc/ha.d/resource.d
        cat >/etc/ha.d/resource.d/web <<"END"
#!/bin/sh
here=/run/web-$1.pid
running() { pid=$(cat "$here" 2>/dev/null) && grep -q serve "/proc/$pid/cmdline" 2>/dev/null; }
case $2 in
start) running || { /run/takeover-bin/lab-client serve "0.0.0.0:$1" --body "$(uname -n)" </dev/null >/dev/null 2>&1 & echo $! >"$here"; } ;;
stop) ! running || { kill "$pid"; while running; do sleep 0.1; done; } ;;
status) if running; then echo running; else echo stopped; fi ;;
esac
END
        chmod 755 /etc/ha.d/resource.d/web'

# boot NAME OPTION...: one machine; ha1 is 10.77.0.1. What it has to remember is on a disk that outlasts its power.
boot() {
    booted=$1
    shift
    [ -f "$booted.img" ] || { truncate -s 24M "$booted.img" && mkfs.ext4 -q -F "$booted.img"; } || fail "no disk for $booted"
    vm up "$booted" "10.77.0.${booted#ha}" --disk "$booted.img:state" "$@" || fail "$booted does not boot"
    furnish "$booted"
}

# What a machine has to be given at each boot.
furnish() { # NAME
    expect 0 "$1" "
        set -e
        mount --bind '$VM_LAB/installed/usr/local' /usr/local
        mkdir -p /var/lib/takeover
        mount -t ext4 /dev/lab/state /var/lib/takeover
        # What Debian's heartbeat has there is another matter.
        [ -n '$heartbeat_scripts' ] || mount -t tmpfs -o mode=755 tmpfs /etc/ha.d
        cat >/etc/ha.d/ha.cf <<'END'
$ha_cf
END
        cat >/etc/ha.d/haresources <<'END'
$haresources
END
        (umask 077; printf 'auth 1\n1 sha1 of-the-machines\n' >/etc/ha.d/authkeys)
        for n in 1 2 3 4 5; do echo 10.77.0.\$n ha\$n; done >>/etc/hosts
        echo 'OPTIONS=\"--timeout 120s\"' >/etc/default/takeover # a start takes longer under emulation, too
        ln -sf /usr/local/share/takeover/init.d/takeover /etc/init.d/takeover
        $furniture"
}

# Several at once: boot_all, and then each line NAME OPTION...
boot_all() {
    pids=''
    while read -r line; do
        [ -n "$line" ] || continue
        nodes="$nodes ${line%% *}"
        # shellcheck disable=SC2086 # words
        boot $line &
        pids="$pids $!"
    done
    for pid in $pids; do
        wait "$pid" || exit 1
    done
}

# Commands of a node's operator.
node() { # NAME start|stop
    expect 0 "$1" "/etc/init.d/takeover $2" 330
}

# Several at the same time.
together() { # COMMAND NAME WORDS... : NAME is a list
    what=$1 names=$2 pids=''
    shift 2
    for name in $names; do
        "$what" "$name" "$@" &
        pids="$pids $!"
    done
    for pid in $pids; do
        wait "$pid" || exit 1
    done
}

# watch NAME ADDRESS PORT PATH: from now on NAME.seen has what a client sees of it.
watch() {
    "$repository/tests/vm/lib/observer" "$2" "$3" "$4" "$1.seen" 2>"$1.observer" &
}

# page ADDRESS PORT PATH: what a client gets, or why not.
page() {
    "$repository/tests/vm/lib/observer" "$@"
}

# Long enough for a deadtime to be over, and for what follows from it.
a_while() {
    sleep $((deadtime + 10))
}

# A step of the scenario begins: outages count from here.
step() { # WORDS...
    say "-- $*"
    step_began=$(now)
}

# Whether the last pages are of that node; NODE none: whether there are none.
served_by() { # NAME NODE
    tail -n 30 "$1.seen" | awk -v want="$2" '
        $2 == "page" { who = $3 } $2 == "none" { who = "none" } $2 == "page" || $2 == "none" { same = who == want ? same + 1 : 0 }
        END { exit same >= 3 ? 0 : 1 }'
}

# The longest time since the step began in which a client had no page.
outage() { # NAME
    awk -v from="$step_began" -v end="$(now)" '
        $2 == "page" { if ($1 >= from && last && $1 - last > most) most = $1 - last; last = $1 }
        END { if (end - last > most) most = end - last; printf "%.1f s", most / 100 }' "$1.seen"
}

# For how long two machines had the address at the same time, since the step began.
doubles() { # NAME
    awk -v from="$step_began" '$1 >= from && $2 == "double" { n++ } END { printf "%.1f", n / 5 }' "$1.seen"
}

# await_page NAME NODE [SECONDS]
await_page() {
    until_true "${3:-60}" "$1 is served by $2" served_by "$1" "$2"
}

# Where a node thinks that the group is, if it runs: the node's name.
thinks() { # NODE GROUP
    vm run "$1" 'ha-status --fields event,group,is,node' 30 | awk -v group="$2" '$1 == "group-status" && $2 == group && $3 == "running" { print $4 }'
}
agrees() { # NODE GROUP WHERE; to ask more often would slow down what is asked about
    [ "$(thinks "$1" "$2")" = "$3" ] || { sleep 1; false; }
}

# settled NAME GROUP WHERE [NODE...]: the page is served from there, and the nodes (all, unless some are named) say so.
settled() {
    settled_name=$1 settled_group=$2 settled_where=$3
    shift 3
    await_page "$settled_name" "$settled_where" 300
    # shellcheck disable=SC2086 # a list
    [ $# -gt 0 ] || set -- $nodes
    for each in "$@"; do
        until_true 150 "$each says that $settled_group runs on $settled_where" agrees "$each" "$settled_group" "$settled_where"
    done
}

# What the step cost, and that nobody had the address while another had it.
tell() { # NAME WORDS...
    tell_name=$1
    shift
    say "$*; without a page for $(outage "$tell_name")"
    [ "$(doubles "$tell_name")" = 0.0 ] || fail "two machines had the address of $tell_name for $(doubles "$tell_name") s"
}

# What each node has to say, and what it did: of a failure, and at the end.
evidence_of() { # NODE
    vm run "$1" 'cat /var/lib/takeover/events.jsonl.1 /var/lib/takeover/events.jsonl' 60 >"$1.events.jsonl" 2>/dev/null
    vm run "$1" 'ps -ef; ip addr; cat /proc/mounts; ha-status --human; cat /var/log/takeover.log; tail -n 200 /var/log/ha-log' 30 >"$1.evidence" 2>&1
    true # a machine that is dead has nothing to say
}
evidence() {
    together evidence_of "$nodes"
}

# No address, no process and no mount is left on a machine.
nothing_left_on() { # NODE ADDRESS...
    left_on=$1
    shift
    # The pattern does not match the program that looks for it, and one program looks at all of them: each takes its time here.
    # shellcheck disable=SC2016 # the machine expands it
    expect 0 "$left_on" '
        for file in $(grep -alE "[h]a-node|[h]a-decide|[h]b-send|[h]b-listen|[p]robe-ping|[v]ip-take|[f]s-claim|[r]un-resource|[h]ttpd.conf|[l]ab-client|[m]ariadbd" /proc/[0-9]*/cmdline 2>/dev/null); do
            tr "\0" " " <"$file"
        done
        ip -o addr; cat /proc/mounts; ls /run/takeover'
    for gone in ha-node ha-decide hb-send hb-listen probe-ping vip-take fs-claim run-resource httpd.conf lab-client "$@"; do
        case $said in *"$gone"*) fail "$left_on: $gone is left behind: $said" ;; esac
    done
}

# Everything is stopped.
nothing_left() { # ADDRESS...
    together nothing_left_on "$nodes" "$@"
    evidence
    say "nothing is left behind"
}

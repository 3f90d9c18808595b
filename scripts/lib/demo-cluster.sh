#!/bin/sh
# Sourced by scripts/demo: two nodes of a cluster, a disk that both reach, and what happens to them. Not installed. It ends the
# script.
# shellcheck disable=SC2154 # lab, root, vip, work, words, pace: scripts/demo has set them

# What both nodes have in common: the disk, the record of its lease, the place where it is mounted, the configuration.
mkdir "$work/srv" "$work/cable" && head -c 65536 /dev/zero >"$work/lease" || exit 70
if [ "$(id -u)" -eq 0 ]; then
    # Detached while it is open, the device is freed with its last user.
    { truncate -s 16M "$work/image" && mke2fs -q -t ext4 -O ^has_journal "$work/image" &&
        disk=$(losetup -f --show "$work/image") && exec 8<"$disk" && losetup -d "$disk"; } || fail 70 "cannot make a disk"
    type=ext4 what="$disk, ext4"
    export LAB_USERNS=no
else
    disk=$work/disk type=none::bind what="the folder $work/disk"
    mkdir "$disk" || exit 70
fi
{ mkfifo "$work/orders" && exec 7<>"$work/orders"; } || fail 70 "cannot make a pipe"
: >"$work/cable.log"
lab-serial "$work/cable" <"$work/orders" >"$work/cable.log" 2>&1 &
cable=$!
trap 'kill "$cable"; "$lab" down "$work/lab"; rm -rf "$work"' EXIT
await "the serial line is there" "$work/cable.log" '"ready"' 1 || exit 70
for node in ha1 ha2; do
    ha_d=$work/$node/ha.d
    mkdir -p "$ha_d/resource.d" "$work/$node/state" && : >"$work/$node/state/events.jsonl" || exit 70
    case $node in ha1) end=a ;; *) end=b ;; esac
    cat >"$ha_d/ha.cf" <<END
keepalive 200ms
deadtime 1
initdead 3
bcast eth0
baud 115200
serial $work/cable/$end
node ha1 ha2
ping 10.9.0.3
auto_failback on
env TAKEOVER_FS_CLAIM=--guard lease --lease-dev $work/lease --lease 2s
END
    echo "ha1 $vip/24/eth0 Filesystem::$disk::$work/srv::$type WebServer" >"$ha_d/haresources"
    (umask 077 && printf 'auth 1\n1 sha1 %s\n' demo >"$ha_d/authkeys") || exit 70
    # The page is on the disk, and says who serves it.
    cat >"$ha_d/resource.d/WebServer" <<END
#!/bin/sh
pid=\$(cat /run/web.pid 2>/dev/null) && kill -0 "\$pid" 2>/dev/null || pid=
case \$1 in
start)
    [ -z "\$pid" ] || exit 0
    echo "served by the node \$(uname -n)" >'$work/srv/index.html' || exit 1
    setsid sh '$work/serve' $vip '$work/srv' </dev/null &
    echo \$! >/run/web.pid
    probe-http --every 10ms --rise 1 --until up --for 5s --timeout 500ms http://$vip/ >/dev/null ;;
stop)
    [ -n "\$pid" ] || exit 0
    # With its children: one may be at an answer to a client that is out of reach.
    kill -- "-\$pid"; while kill -0 -- "-\$pid" 2>/dev/null; do sleep 0.02; done ;;
status) if [ -n "\$pid" ]; then echo running; else echo stopped; fi ;;
esac
END
    chmod 755 "$ha_d/resource.d/WebServer"
done

"$lab" up --with $$ "$work/lab" ha1=10.9.0.1/24 ha2=10.9.0.2/24 client=10.9.0.3/24 || exit
: >"$work/marks"
# A node is a process space of its own, with mounts of its own: both go with its first process, and its kernel stays. The
# first process buries what the others leave, as an init does.
start_node() { # start_node NODE: sets $pid_NODE
    TAKEOVER_RESOURCE_D="$root/scripts/resource.d" TAKEOVER_LOCKS="$work/$1/locks" \
        "$lab" run "$work/lab" "$1" unshare -pfm --mount-proc --propagation slave --kill-child sh -c \
        'mount -t tmpfs -o mode=755 run /run && { ha-node "$@" & wait; }' sh --ha-d "$work/$1/ha.d" --node "$1" \
        --run-dir "$work/$1/run" --state-dir "$work/$1/state" 2>>"$work/$1/words" &
    eval "pid_$1=$!"
}
on() { # on NODE COMMAND...: as its operator would
    host=$1
    eval "first=\$pid_$host"
    shift
    "$lab" run "$work/lab" "$host" nsenter -t "$(tr -d ' ' <"/proc/$first/task/$first/children")" -p -m -- "$@"
}
runs_on() { # runs_on NODE COUNT: the group has come to it so many times
    await "the group runs on $1" "$work/$1/state/events.jsonl" "\"tool\":\"ha-decide\",\"event\":\"state\".*\"node\":\"$1\".*\"is\":\"running\"" "$2" &&
        page "node $1"
}
cat <<END
demo: two nodes on this machine, ha1 10.9.0.1 and ha2 10.9.0.2, and a client 10.9.0.3, which is their ping node, too
demo: the group prefers ha1: the address $vip, the file system on $what, and $words
demo: each node runs ha-node, with keepalive 200ms, deadtime 1, and a lease of 2s on the disk
demo: the client asks http://$vip/ every $pace
END
act_1() {
    echo "demo: act 1: both nodes start"
    mark act what=start "cause=starts both nodes" expect=nothing
    start_node ha1; start_node ha2
    runs_on ha1 1 || return
    "$lab" run "$work/lab" client lab-client http "http://$vip/" --every "$pace" --for 180s --follow >"$work/client" &
    client=$!
    await "the client is served" "$work/client" '"served"' 1 || return
    sleep 3 # ha2 learns who answers for the address
}
act_2() {
    echo "demo: act 2: every process of ha1 is killed; its kernel still holds the address"
    mark act "what=node killed" "cause=kills every process of ha1; its kernel still holds $vip"
    kill -KILL "$pid_ha1"
    wait "$pid_ha1" 2>/dev/null
    runs_on ha2 1 || return
    mark repair "cause=starts ha1 again"
    start_node ha1
    runs_on ha1 2
}
act_3() {
    echo "demo: act 3: standby by order"
    mark act "what=standby by order" "cause=runs ha-standby on ha1"
    on ha1 ha-standby --run-dir "$work/ha1/run" --wait 20s && runs_on ha2 2 || return
    mark repair "cause=runs ha-failback on ha2"
    on ha2 ha-failback --run-dir "$work/ha2/run" --wait 20s && runs_on ha1 3
}
act_4() {
    echo "demo: act 4: the serial line is cut"
    mark act "what=serial line cut" "cause=cuts the serial line" expect=nothing
    echo cut >&7
    await "ha1 misses it" "$work/ha1/state/events.jsonl" '"event":"link".*"medium":"serial.*"is":"dead"' 1 && sleep 1 && page 'node ha1' || return
    mark repair "cause=mends it"
    echo heal >&7
    sleep 1 && page 'node ha1'
}
act_5() {
    echo "demo: act 5: ha1 is cut off from the network; the serial line is left"
    mark act "what=network cut" "cause=cuts ha1 off from the network: its link stays up, and nothing passes"
    "$lab" cut "$work/lab" ha1 silent && runs_on ha2 3 || return
    mark repair "cause=connects it again"
    "$lab" heal "$work/lab" ha1 && runs_on ha1 4
}
client='' well_done=1
act_1 && act_2 && act_3 && act_4 && act_5 || well_done=0
if [ -n "$client" ]; then kill -TERM "$client"; wait "$client"; fi

# What each node heard and decided, as a part of the story.
for node in ha1 ha2; do
    case $node in ha1) home=true ;; *) home=false ;; esac
    sed -n -e '/"tool":"ha-decide","event":"\(acquire\|release\)"/b tell' \
        -e '/"tool":"ha-decide","event":"state".*"node":"'"$node"'".*"is":"running"/b tell' \
        -e '/"tool":"hb-listen","event":"\(node\|link\)".*"is":"\(dead\|up\|left\)"/b tell' -e d \
        -e ': tell' -e 's/"tool":"[^"]*"/"tool":"cluster","who":"'"$node"'","home":'"$home/" -e "s|$work/cable/.@|the cable at |" -e p \
        "$work/$node/state/events.jsonl" >"$work/$node/story"
done
lab-client timeline "$work/marks" "$work/client" "$work/ha1/story" "$work/ha2/story" && [ "$well_done" = 1 ] && exit 0
{
    echo "demo: NOT every switch happened; the last words of the nodes:"
    tail -n 12 "$work/ha1/words" "$work/ha2/words"
} >&2
exit 1

#!/bin/sh
# Sourced by scenarios after scenario.sh: a director, three real servers and a client, each in a network namespace of the
# machine lb, with the kernel's own IPVS.
# shellcheck disable=SC2016 # the machine expands it

# The scripts are not beside the commands on the machine: the host's files are its root.
scripts=$(cd "$(dirname "$0")/../../../scripts" && pwd)
# Every command below begins with these: dir runs in the director's network, table prints what the kernel has.
# What listens for orders leaves a socket open in all that it starts, and waits until nobody has it.
prelude='
exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
PATH='$scripts':$PATH
dir() { ip netns exec dir "$@"; }
table() { dir ipvsadm -Sn; }
serve() { # serve N: the web server of a real server
    ip netns exec "rs$1" lab-client serve 0.0.0.0:80 >/dev/null 2>&1 & echo $! >"/run/rs$1.pid"; }
die() { kill -9 "$(cat "/run/rs$1.pid")"; }
load() { # load SECONDS: four clients, one after the other request each: how many of how many are lost, and how
    ip netns exec cli python3 /run/client.py "$1" ||:; }
'
lb() { # lb STATUS COMMANDS
    expect "$1" lb "$prelude$2" "${3:-300}"
}
table_is() { # table_is WHAT LINES: the table becomes that; the time is a bound, not a measure
    wanted=$2
    until_true 60 "$1: $(printf '%s' "$wanted" | tr '\n' ';') in place of: $(vm run lb "$prelude table" | tr '\n' ';')" same_table
    say "$1: the table is as the .cf has it"
}
same_table() { [ "$(vm run lb "$prelude table")" = "$wanted" ]; }
head="-A -t 10.1.0.100:80 -s wrr"
row() { printf -- '-a -t 10.1.0.100:80 -r %s -g -w %s\n' "$1" "$2"; }
rows() { printf '%s\n' "$head"; while [ $# -gt 0 ]; do row "$1" "$2"; shift 2; done; }

balancer_up() { # the machine, its networks, the .cf, the client; nobody serves yet but the fallback
    up_all <<'UP'
lb 10.77.0.1 --memory 640
UP
    begin
    say "-- networks: cli 10.1.0.9, dir 10.1.0.2 with 10.1.0.100, rs1 to rs3 with the same on lo"
    lb 0 '
    for module in bridge veth ip_vs ip_vs_wrr; do modprobe $module || exit; done
    ip link add br0 type bridge && ip link set br0 up
    add() { ip netns add $1 && ip link add $1 type veth peer name eth0 netns $1 && ip link set $1 master br0 up &&
        ip -n $1 link set lo up && ip -n $1 addr add $2/24 dev eth0 && ip -n $1 link set eth0 up; }
    add cli 10.1.0.9 && add dir 10.1.0.2 && ip -n dir addr add 10.1.0.100/32 dev eth0 || exit
    for n in 1 2 3; do
        add rs$n 10.1.0.1$n || exit
        ip netns exec rs$n sh -c "echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce"
        ip -n rs$n addr add 10.1.0.100/32 dev lo
    done
    # A new connection from a port that the one client used for a dead server less than a minute ago is scheduled anew.
    dir sh -c "echo 1 >/proc/sys/net/ipv4/vs/expire_nodest_conn" || exit
    mkdir -p /etc/ha.d/maintenance
    cat >/etc/ha.d/www.cf <<CF
checktimeout=2
negotiatetimeout=2
checkinterval=1
quiescent=yes
fallback=127.0.0.1:80
maintenancedir=/etc/ha.d/maintenance
logfile="/run/www.log"
virtual=10.1.0.100:80
	real=10.1.0.11:80 gate 3
	real=10.1.0.12:80 gate 2
	real=10.1.0.13:80 gate 1
	service=http
	request="index.html"
	receive="served"
	scheduler=wrr
CF
    cat >/run/client.py <<PY
import collections, socket, sys, threading, time
end, told, lock, when = time.monotonic() + float(sys.argv[1]), collections.Counter(), threading.Lock(), []
def ask():
    try:
        with socket.create_connection(("10.1.0.100", 80), 10) as s:
            s.sendall(b"GET /index.html HTTP/1.0\\r\\n\\r\\n")
            said = b""
            while piece := s.recv(4096): said += piece
        return "served" if said.startswith(b"HTTP/1.") and b" 200 " in said[:20] else "cut off"
    except OSError as e: return type(e).__name__
def client():
    while time.monotonic() < end:
        came = ask()
        with lock: told[came] += 1; came == "served" or when.append(time.strftime("%T"))
        time.sleep(0.1)
threads = [threading.Thread(target=client) for _ in range(4)]
for t in threads: t.start()
for t in threads: t.join()
lost = {k: n for k, n in told.items() if k != "served"}
print("lost", sum(lost.values()), "of", sum(told.values()), lost and (lost, "from", when[0], "to", when[-1]) or "")
PY
    chmod -R go-w /etc/ha.d; ip netns exec dir lab-client serve 127.0.0.1:80 --body fallback >/dev/null 2>&1 &
    sleep 1'
}

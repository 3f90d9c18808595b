complete -c hb-listen -l node -d 'The name of this node [default: the host name, in lower case]' -r
complete -c hb-listen -l ha-d -d 'Take nodes, media, times and keys from ha.cf and authkeys here; what else is given goes before them' -r -F
complete -c hb-listen -l authkeys -d 'The keys; [default: /etc/ha.d/authkeys]' -r -F
complete -c hb-listen -l state-dir -d 'Keep generations and numbers here: a restart is then known as one, and opens no door to a replay' -r -F
complete -c hb-listen -l udp -d 'Hear unicast and broadcast on this port' -r
complete -c hb-listen -l mcast -d 'Hear this group on an interface' -r
complete -c hb-listen -l serial -d 'Hear this serial line' -r
complete -c hb-listen -l peers -d 'The other nodes; without any, whoever has a key counts' -r
complete -c hb-listen -l deadtime -d 'Silence that means death, of nodes that do not announce their own [default: 30s]' -r
complete -c hb-listen -l warntime -d 'Silence that is worth a word [default: half the deadtime in force]' -r
complete -c hb-listen -l initdead -d 'How long a node has at first to be heard [default: twice --deadtime]' -r
complete -c hb-listen -l until -d 'End with status 0 once this is so: unknown, up, late, dead or left' -r
complete -c hb-listen -l for -d 'End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told' -r
complete -c hb-listen -l pulse -d 'Print how regularly each node beats on each medium, this often [default with --human: 5s]' -r
complete -c hb-listen -l tick -d 'Print a tick this often' -r
complete -c hb-listen -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c hb-listen -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c hb-listen -l standby -d 'Print a reply to a node that starts, too: this one holds nothing'
complete -c hb-listen -l beats -d 'Print every heartbeat, not only those that change something'
complete -c hb-listen -l human -d 'Print words for a person in place of JSON'
complete -c hb-listen -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb-listen -s V -l version -d 'Print version'

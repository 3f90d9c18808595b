complete -c hb-send -l node -d 'The name of this node [default: the host name, in lower case]' -r
complete -c hb-send -l ha-d -d 'Take nodes, media, times and keys from ha.cf and authkeys here; what else is given goes before them' -r -F
complete -c hb-send -l authkeys -d 'The keys; [default: /etc/ha.d/authkeys]' -r -F
complete -c hb-send -l state-dir -d 'Keep generations and numbers here: a restart is then known as one, and opens no door to a replay' -r -F
complete -c hb-send -l ucast -d 'Send to this host' -r
complete -c hb-send -l bcast -d 'Broadcast on this interface' -r
complete -c hb-send -l mcast -d 'Send to this group on an interface' -r
complete -c hb-send -l serial -d 'Send along this serial line' -r
complete -c hb-send -l every -d 'From one heartbeat to the next [default: 1s, or keepalive]' -r
complete -c hb-send -l deadtime -d 'Announce that this silence of ours means death, up to 24h; else the listeners\' own is in force' -r
complete -c hb-send -l status -d 'The status that heartbeats carry' -r
complete -c hb-send -l count -d 'End after so many heartbeats; 0 sends only what stdin asks for' -r
complete -c hb-send -l form -d 'How messages are written' -r -f -a "auto\t'On UDP netstrings with both authentications, as heartbeat 3 with msgfmt classic'
classic\t'Lines, as old releases do'
netstring\t'On UDP netstrings without the inner authentication, as msgfmt netstring'"
complete -c hb-send -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c hb-send -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c hb-send -l realtime -d 'Ask for real-time priority and locked memory'
complete -c hb-send -l beats -d 'Print every heartbeat and reply that is sent'
complete -c hb-send -l human -d 'Print words for a person in place of JSON'
complete -c hb-send -s h -l help -d 'Print help (see more with \'--help\')'
complete -c hb-send -s V -l version -d 'Print version'

complete -c probe-exec -l style -d 'What its exit statuses mean' -r -f -a "nagios\t'Monitoring plugin: 0 OK, 1 WARNING (up), 2 CRITICAL, 3 and the rest UNKNOWN'
mon\t'Monitor of mon: 0 is up, anything else is down'
lsb\t'LSB init script asked for its status: 0 runs, 1 to 3 it does not, the rest unknown'"
complete -c probe-exec -l target -d 'Its name in events [default: its words]' -r
complete -c probe-exec -l timeout -d 'The longest that one run may take: then it is told to end, and killed' -r
complete -c probe-exec -l jobs -d 'The most checks that run at a time' -r
complete -c probe-exec -l every -d 'Probe again and again, this often; with --until or --for the default is 1s' -r
complete -c probe-exec -l fall -d 'Noes in a row that make a target down [default: 3 with --every, else 1]' -r
complete -c probe-exec -l rise -d 'Yeses in a row that make a target up [default: 2 with --every, else 1]' -r
complete -c probe-exec -l until -d 'End with status 0 once every target is in this state' -r -f -a "up\t'Every target is up'
down\t'Every target is down'"
complete -c probe-exec -l for -d 'End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told' -r
complete -c probe-exec -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c probe-exec -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c probe-exec -l human -d 'Print words for a person in place of JSON'
complete -c probe-exec -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probe-exec -s V -l version -d 'Print version'

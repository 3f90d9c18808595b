complete -c probe-ping -l size -d 'Bytes of payload in an echo, 16 to 65507' -r
complete -c probe-ping -l interface -d 'Leave by this interface; without a carrier on it nothing can be told' -r
complete -c probe-ping -l timeout -d 'The longest that one probe may take, from the look-up of the name to its end' -r
complete -c probe-ping -l every -d 'Probe again and again, this often; with --until or --for the default is 1s' -r
complete -c probe-ping -l fall -d 'Noes in a row that make a target down [default: 3 with --every, else 1]' -r
complete -c probe-ping -l rise -d 'Yeses in a row that make a target up [default: 2 with --every, else 1]' -r
complete -c probe-ping -l until -d 'End with status 0 once every target is in this state' -r -f -a "up\t'Every target is up'
down\t'Every target is down'"
complete -c probe-ping -l for -d 'End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told' -r
complete -c probe-ping -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c probe-ping -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c probe-ping -l human -d 'Print words for a person in place of JSON'
complete -c probe-ping -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probe-ping -s V -l version -d 'Print version'

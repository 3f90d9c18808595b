complete -c probe-http -s p -l port -d 'The port of targets that are bare hosts' -r
complete -c probe-http -l path -d 'The path, and the query, of targets that are bare hosts [default: /]' -r
complete -c probe-http -l expect -d 'Statuses that are healthy: single ones and ranges, separated by commas' -r
complete -c probe-http -l body -d 'What has to occur in the body (its first 1 MiB); a regular expression' -r
complete -c probe-http -l method -d 'The method to ask with; no request has a body' -r
complete -c probe-http -l header -d 'A header line to send, such as \'Host: www.example.org\'; may be repeated' -r
complete -c probe-http -l resolve -d 'Use this address for a name and port in place of looking it up; may be repeated' -r
complete -c probe-http -l cacert -d 'Trust the authorities in this file of PEM certificates, in place of the system\'s' -r -F
complete -c probe-http -l interface -d 'Leave by this interface; without a carrier on it nothing can be told' -r
complete -c probe-http -l timeout -d 'The longest that one probe may take, from the look-up of the name to its end' -r
complete -c probe-http -l every -d 'Probe again and again, this often; with --until or --for the default is 1s' -r
complete -c probe-http -l fall -d 'Noes in a row that make a target down [default: 3 with --every, else 1]' -r
complete -c probe-http -l rise -d 'Yeses in a row that make a target up [default: 2 with --every, else 1]' -r
complete -c probe-http -l until -d 'End with status 0 once every target is in this state' -r -f -a "up\t'Every target is up'
down\t'Every target is down'"
complete -c probe-http -l for -d 'End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told' -r
complete -c probe-http -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c probe-http -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c probe-http -l tls -d 'Ask bare hosts over TLS'
complete -c probe-http -l insecure -d 'Take any certificate'
complete -c probe-http -l human -d 'Print words for a person in place of JSON'
complete -c probe-http -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probe-http -s V -l version -d 'Print version'

complete -c lvs-sync -l own -d 'Delete this service where it is not among what is wanted; may be repeated' -r
complete -c lvs-sync -l timeout -d 'The longest that one call of ipvsadm may take' -r
complete -c lvs-sync -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c lvs-sync -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c lvs-sync -l follow -d 'Make each line as it comes, until stdin ends'
complete -c lvs-sync -l dry-run -d 'Say what would be done, and do nothing'
complete -c lvs-sync -l human -d 'Print words for a person in place of JSON'
complete -c lvs-sync -s h -l help -d 'Print help (see more with \'--help\')'
complete -c lvs-sync -s V -l version -d 'Print version'

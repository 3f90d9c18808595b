complete -c ha-decide -l ha-d -d 'The folder with ha.cf and haresources' -r -F
complete -c ha-decide -l node -d 'The name of this node [default: the host name, in lower case]' -r
complete -c ha-decide -l lease -d 'The kernel\'s lease of the addresses that nodes hold' -r
complete -c ha-decide -l stop-deadline -d 'The longest that giving up a group takes, on any node' -r
complete -c ha-decide -l max-groups -d 'The most groups of one node' -r
complete -c ha-decide -l orders -d 'Write what is for hb-send there, and not on stdout' -r -F
complete -c ha-decide -l journal -d 'Append every event that was decided on, and what was decided' -r -F
complete -c ha-decide -l journal-size -d 'At so many bytes the journal becomes FILE.1, and a new one begins' -r
complete -c ha-decide -l status -d 'Keep what is thought now in this file, for ha-status' -r -F
complete -c ha-decide -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c ha-decide -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c ha-decide -l explain -d 'At the end of the input say of each group where it is and why'
complete -c ha-decide -l human -d 'Print words for a person in place of JSON'
complete -c ha-decide -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ha-decide -s V -l version -d 'Print version'

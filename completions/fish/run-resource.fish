complete -c run-resource -l ha-d -d 'The folder of the cluster, with resource.d' -r -F
complete -c run-resource -l timeout -d 'How long one run of an agent may take [default: 60s to start or stop, 20s to ask]' -r
complete -c run-resource -l kill-after -d 'An agent that was told to end because of that is killed after this time' -r
complete -c run-resource -l stop-retries -d 'How often to try a stop again that failed' -r
complete -c run-resource -l retry-every -d 'Between those' -r
complete -c run-resource -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c run-resource -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c run-resource -l keep -d 'Where one does not start, leave those running that were started before it'
complete -c run-resource -l dry-run -d 'Ask only, and say what would be done'
complete -c run-resource -l human -d 'Print words for a person in place of JSON'
complete -c run-resource -s h -l help -d 'Print help (see more with \'--help\')'
complete -c run-resource -s V -l version -d 'Print version'

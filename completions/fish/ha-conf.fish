complete -c ha-conf -l ha-d -d 'The folder with ha.cf, authkeys, haresources and resource.d' -r -F
complete -c ha-conf -l checks -d 'The lines of targets for the stdin of this prober' -r -f -a "probe-http\t'HTTP and HTTPS'
probe-ftp\t'FTP'
probe-tcp\t'Every other service, and connections'
probe-ping\t'Echoes'
probe-exec\t'Commands'"
complete -c ha-conf -l set -d 'Of those only the set with this number, as --probers counts' -r
complete -c ha-conf -l wanted -d 'The stdin of lvs-sync, by a file of states: lines of TARGET, a tab, and up, down or unknown' -r -F
complete -c ha-conf -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c ha-conf -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c ha-conf -l probes -d 'For mon: print the checks as probe-exec takes them on stdin'
complete -c ha-conf -l settings -d 'With --probes: before them the event mon-cf, with the settings of the whole file'
complete -c ha-conf -l probers -d 'The processes that its checks need: prober, interval, failures, and how many targets each has'
complete -c ha-conf -l follow -d 'Go on with states from stdin, and print each service that changes by them; after an empty line all'
complete -c ha-conf -l problems -d 'What is wrong with it, as check does for the files of a cluster'
complete -c ha-conf -l human -d 'Print words for a person in place of JSON'
complete -c ha-conf -s h -l help -d 'Print help (see more with \'--help\')'
complete -c ha-conf -s V -l version -d 'Print version'

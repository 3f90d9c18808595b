complete -c vip-take -l dev -d 'The network interface that is to have it' -r
complete -c vip-take -l if-held -d 'What to do where somebody else answers for it' -r -f -a "refuse\t'Leave it and say who has it'
wait\t'Ask again and again until it is free'
steal\t'Take it all the same, whoever has it'"
complete -c vip-take -l steal-from -d 'Override this holder alone, refuse any other' -r
complete -c vip-take -l probe -d 'How long to ask before it is taken, or off' -r
complete -c vip-take -l wait-every -d 'With --if-held wait: ask this often' -r
complete -c vip-take -l label -d 'A label for the address, as ifconfig shows it (IPv4)' -r
complete -c vip-take -l lease -d 'Let the kernel remove it after this many whole seconds, unless renewed [default with --hold: 3s]' -r
complete -c vip-take -l announce -d 'Announcements after it was taken, the first one at once' -r
complete -c vip-take -l announce-every -d 'Between those' -r
complete -c vip-take -l refresh -d 'Announce it again this often, or never' -r
complete -c vip-take -l on-conflict -d 'What to do when another machine has the address too' -r -f -a "defend\t'Keep it and announce it again, at most once a second'
yield\t'Give it up'"
complete -c vip-take -l probe-every -d 'Ask this often whether another machine has the address too' -r
complete -c vip-take -l feed -d 'Drop the address when no line has come on stdin for this long, or stdin ends' -r
complete -c vip-take -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c vip-take -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c vip-take -l dry-run -d 'Say what would be done, and do nothing but ask'
complete -c vip-take -l hold -d 'Stay in the foreground, renew the lease, and drop the address at the end'
complete -c vip-take -l until-eof -d 'Drop the address when stdin ends'
complete -c vip-take -l human -d 'Print words for a person in place of JSON'
complete -c vip-take -s h -l help -d 'Print help (see more with \'--help\')'
complete -c vip-take -s V -l version -d 'Print version'

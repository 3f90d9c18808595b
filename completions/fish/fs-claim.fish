complete -c fs-claim -l guard -d 'What keeps other nodes away' -r -f -a "none\t'Nobody is kept away: the caller has to know that no other node has it'
flock\t'A lock file; excludes this machine only, or those that share the file'
lease\t'A record on shared storage that is renewed'
drbd\t'DRBD\'s own roles: promoted before, demoted after'
scsi-pr\t'A SCSI-3 persistent reservation: the disk refuses the writes of others'"
complete -c fs-claim -l node -d 'The name of this node [default: its host name]' -r
complete -c fs-claim -l timeout -d 'For each step: looking, claiming, mounting' -r
complete -c fs-claim -l fsck-timeout -d 'How long that may take' -r
complete -c fs-claim -l lock-file -d 'flock: the lock file, on storage that the nodes share [default: one a device in /run/takeover/fs]' -r -F
complete -c fs-claim -l lease-dev -d 'lease: the file or block device that holds the record' -r -F
complete -c fs-claim -l lease -d 'lease: after a last renewal nobody else takes it for this long; the same on all nodes' -r
complete -c fs-claim -l on-lost -d 'lease: what to do when it is lost' -r -f -a "release\t'Unmount; if somebody holds it, kill them at once and unmount'
kill\t'The same'
reboot\t'As release; if that fails, reset the machine'"
complete -c fs-claim -l watchdog -d 'lease: the watchdog that resets this machine before the lease ends' -r -F
complete -c fs-claim -l drbd-resource -d 'drbd: the resource, where the name of the device does not show it' -r
complete -c fs-claim -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c fs-claim -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c fs-claim -l fsck -d 'Check the file system before it is mounted'
complete -c fs-claim -l status -d 'Tell what is so, and touch nothing'
complete -c fs-claim -l dry-run -d 'Say what would be done, and do nothing'
complete -c fs-claim -l take-over -d 'scsi-pr: take the reservation of another node, which must be known to be dead'
complete -c fs-claim -l human -d 'Print words for a person in place of JSON'
complete -c fs-claim -s h -l help -d 'Print help (see more with \'--help\')'
complete -c fs-claim -s V -l version -d 'Print version'

complete -c probe-tcp -l service -d 'Ask as this service is asked' -r -f -a "tcp\t'Connects, and follows --expect and --send'
ftp\t'The greeting 220'
smtp\t'The greeting 220'
submission\t'The greeting 220, on port 587'
pop\t'The greeting +OK, and the login with --user'
pops\t'The same over TLS'
imap\t'The greeting OK or PREAUTH, and the login with --user'
imaps\t'The same over TLS'
nntp\t'The greeting 200 or 201'
sip\t'An answer of class 100 or 200 to OPTIONS'
ldap\t'The answer to an anonymous bind'
ldaps\t'The same over TLS'
dns\t'The answer to a query of the name in --request'
mysql\t'The whole login, and the query in --request'
pgsql\t'The whole login, and the query in --request'
radius\t'The accepted login of --user'"
complete -c probe-tcp -s p -l port -d 'The port of targets that name none' -r
complete -c probe-tcp -l expect -d 'What the service has to say next; may be repeated, and mixed with --send' -r
complete -c probe-tcp -l send -d 'What to say next; \\r, \\n, \\t, \\0, \\xHH and \\\\ stand for what they do in C' -r
complete -c probe-tcp -l server-name -d 'The name that the certificate has to be for [default: the host]' -r
complete -c probe-tcp -l cacert -d 'Trust the authorities in this file of PEM certificates, in place of the system\'s' -r -F
complete -c probe-tcp -l request -d 'What to ask a service for: a name, a query' -r
complete -c probe-tcp -l receive -d 'What its answer has to hold; a regular expression' -r
complete -c probe-tcp -l user -d 'Whom to log in' -r
complete -c probe-tcp -l password-file -d 'The file whose first line is the password of --user' -r -F
complete -c probe-tcp -l database -d 'The database to log in to' -r
complete -c probe-tcp -l secret-file -d 'The file whose first line is the secret of a RADIUS server' -r -F
complete -c probe-tcp -l interface -d 'Leave by this interface; without a carrier on it nothing can be told' -r
complete -c probe-tcp -l timeout -d 'The longest that one probe may take, from the look-up of the name to its end' -r
complete -c probe-tcp -l every -d 'Probe again and again, this often; with --until or --for the default is 1s' -r
complete -c probe-tcp -l fall -d 'Noes in a row that make a target down [default: 3 with --every, else 1]' -r
complete -c probe-tcp -l rise -d 'Yeses in a row that make a target up [default: 2 with --every, else 1]' -r
complete -c probe-tcp -l until -d 'End with status 0 once every target is in this state' -r -f -a "up\t'Every target is up'
down\t'Every target is down'"
complete -c probe-tcp -l for -d 'End after this long: status 0, or with --until status 1 when it did not happen, 75 when it could not be told' -r
complete -c probe-tcp -l fields -d 'Print these fields, tab-separated, in place of JSON; ha-events(7) lists them' -r
complete -c probe-tcp -l exit-style -d 'Whose exit statuses to use' -r -f -a "native\t'0 yes, 1 no, 64 usage, 69 unavailable, 70 internal, 75 cannot tell, 77 permission, 78 configuration'
nagios\t'0 OK, 2 CRITICAL, 3 UNKNOWN'
lsb-status\t'LSB init script `status`: 0 running, 3 not running, 4 unknown'
lsb-action\t'LSB init script actions: 0 done, 1 failed, 2 usage, 4 permission'
ocf\t'OCF monitor: 0 running, 7 not running, 1 error, 2 arguments, 4 permission'
mon\t'mon monitor: 0 or 1; the first line of a probe names the targets that failed'"
complete -c probe-tcp -l udp -d 'Send datagrams; up is what answers'
complete -c probe-tcp -l tls -d 'Begin with a TLS handshake'
complete -c probe-tcp -l insecure -d 'Take any certificate'
complete -c probe-tcp -l human -d 'Print words for a person in place of JSON'
complete -c probe-tcp -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probe-tcp -s V -l version -d 'Print version'

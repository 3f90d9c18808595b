#!/bin/sh
# scripts/install: what it installs is there and works, and what it removes is exactly that. Needs no root and no build:
# the commands are stand-ins.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 75' HUP INT TERM

failed=0
check() { # WHAT COMMAND...: the command has to succeed
    what=$1
    shift
    if "$@" >/dev/null 2>&1; then
        echo "ok: $what"
    else
        echo "FAILED: $what: $*"
        failed=1
    fi
}
ends_with() { # STATUS COMMAND...
    wanted=$1
    shift
    got=0
    "$@" >"$work/out" 2>&1 || got=$?
    if [ "$got" -ne "$wanted" ]; then
        echo "status $got in place of $wanted: $*"
        cat "$work/out"
        return 1
    fi
}
same() { [ "$1" = "$2" ]; }
not() { ! "$@"; }
says() { # WORDS COMMAND...: it prints them
    words=$1
    shift
    "$@" | grep -Fq "$words"
}
files() { (cd "$1" && find . ! -type d | sort); }
everything() { (cd "$1" && find . | sort); }

mkdir "$work/bin dir"
for source in src/bin/*.rs; do
    name=$(basename "$source" .rs)
    printf '#!/bin/sh\necho %s 1\n' "$name" >"$work/bin dir/$name"
done
install() { scripts/install --bin-dir "$work/bin dir" "$@"; }

# Into a package's folder.
check 'installs into a destdir' ends_with 0 install --destdir "$work/d" --prefix /usr
list=$work/d/usr/share/takeover/installed
for source in src/bin/*.rs; do
    name=$(basename "$source" .rs)
    check "$name runs" same "$("$work/d/usr/bin/$name")" "$name 1"
    check "$name has a page" test -n "$(find "$work/d/usr/share/man" -name "$name.[18]")"
    for file in bash-completion/completions/"$name" zsh/site-functions/_"$name" fish/vendor_completions.d/"$name".fish; do
        check "$file" cmp -s "$work/d/usr/share/$file" completions/*/"$(basename "$file")"
    done
done
for page in man/*.[0-9]; do
    check "$page" cmp -s "$page" "$work/d/usr/share/man/man${page##*.}/$(basename "$page")"
done
for file in scripts/resource.d/*; do
    there=$work/d/usr/share/takeover/resource.d/$(basename "$file")
    check "$there" cmp -s "$there" "$file"
    check "$there finds the commands" ends_with 0 "$there" --help
done
for name in ha-standby ha-takeover ha-failback hb_standby hb_takeover; do
    check "$name knows its name" says "usage: $name " "$work/d/usr/bin/$name" --help
    check "$name has a page" test -f "$work/d/usr/share/man/man8/$name.8"
done
check 'cl_status' ends_with 0 "$work/d/usr/bin/cl_status" --help
share=$work/d/usr/share/takeover
check 'the init script' ends_with 2 "$share/init.d/takeover"
check 'it looks where it was installed' grep -q '^PATH=/usr/bin:' "$share/init.d/takeover"
check 'so does the unit' grep -q '^ExecStart=/usr/bin/ha-node ' "$share/systemd/takeover.service"
check 'and cron' grep -q '^PATH=/usr/bin:' "$share/cron/takeover"
check 'examples' cmp -s scripts/examples/n-plus-m/ha.cf "$share/examples/n-plus-m/ha.cf"
check 'nobody else reads a key' same 600 "$(stat -c %a "$share/examples/n-plus-m/authkeys")"
check 'what the resource scripts share' test -f "$work/d/usr/share/takeover/resource.d/.lib"
(cd "$work/d/usr" && find . ! -type d ! -name installed | sed 's/^..//' | sort) >"$work/there"
grep -v '/$' "$list" | sort >"$work/listed"
check 'the list names exactly what is there' cmp "$work/there" "$work/listed"
check 'nothing is writable by others' same '' "$(find "$work/d" ! -type l -perm /022)"

# Again, and with a file that no longer belongs.
before=$(everything "$work/d")
check 'installs over itself' ends_with 0 install --destdir "$work/d" --prefix /usr
check 'twice is once' same "$before" "$(everything "$work/d")"
echo old >"$work/d/usr/bin/gone"
{ echo bin/gone; cat "$list"; } >"$work/list" && cp "$work/list" "$list"
check 'installs over an older version' ends_with 0 install --destdir "$work/d" --prefix /usr
check 'what no longer belongs is gone' same "$before" "$(everything "$work/d")"

# Away again, from between somebody else's files.
echo mine >"$work/d/usr/bin/mine"
check 'uninstalls' ends_with 0 scripts/install --uninstall --destdir "$work/d" --prefix /usr
check 'somebody else'\''s file stays, alone' same "$(files "$work/d")" ./usr/bin/mine
check 'a second time there is nothing' ends_with 69 scripts/install --uninstall --destdir "$work/d" --prefix /usr

# heartbeat's own cl_status is neither replaced nor removed.
mkdir -p "$work/hb/bin"
echo theirs >"$work/hb/bin/cl_status"
check 'installs beside heartbeat' ends_with 0 install --prefix "$work/hb"
check 'twice' ends_with 0 install --prefix "$work/hb"
check 'its page neither' not test -e "$work/hb/share/man/man1/cl_status.1"
check 'uninstalls from there' ends_with 0 scripts/install --prefix "$work/hb" --uninstall
check 'its cl_status is there' same theirs "$(cat "$work/hb/bin/cl_status")"

# A prefix that exists stays as it was; one that does not goes again.
mkdir -p "$work/p/share/man"
before=$(everything "$work/p")
check 'installs under a prefix' ends_with 0 install --prefix="$work/p/"
check 'uninstalls from it' ends_with 0 scripts/install --prefix="$work/p" --uninstall
check 'the prefix is as before' same "$before" "$(everything "$work/p")"
check 'installs under a new prefix' ends_with 0 install --prefix "$work/new one"
check 'uninstalls from there' ends_with 0 scripts/install --prefix "$work/new one" --uninstall
check 'the new prefix is gone' not test -e "$work/new one"

# Wrong words change nothing.
for wrong in '--prefix relative' '--prefix ./x' '--prefix /a/../b' '--prefix' '--prefix=' '--destdir d' '--wrong' 'x'; do
    # shellcheck disable=SC2086 # words on purpose
    check "refuses $wrong" ends_with 64 install --destdir "$work/w" $wrong
done
check 'says what is missing' ends_with 69 scripts/install --bin-dir "$work/nowhere" --destdir "$work/w"
check 'and changed nothing' not test -e "$work/w"
check 'help' ends_with 0 scripts/install --help

# A list that somebody changed directs nothing outside the prefix.
check 'installs once more' ends_with 0 install --prefix "$work/evil"
echo keep >"$work/keep"
for line in ../keep bin/../../keep /etc/passwd "bin//x" share/other; do
    echo "$line" >"$work/evil/share/takeover/installed"
    check "refuses to remove $line" ends_with 70 scripts/install --prefix "$work/evil" --uninstall
done
check 'the file outside is there' test -e "$work/keep"

[ "$failed" -eq 0 ]

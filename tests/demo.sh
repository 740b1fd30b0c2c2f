#!/bin/sh
# `make demo`: a server, $SUBSCRIBERS subscribers, messages to all of them, the histogram; and everything is stopped again.
set -u

# A process has only so many descriptors: as many workers as that takes, and no fewer than there are cores.
limit=$(ulimit -H -n)
[ "$limit" = unlimited ] && limit=1048576
workers=$(nproc)
room=$((limit > 600 ? limit - 500 : 100))
need=$((SUBSCRIBERS / room + 1))
[ "$workers" -lt "$need" ] && workers=$need
if [ "$workers" -gt 64 ]; then
	cat >&2 <<END
demo: $SUBSCRIBERS subscribers take more descriptors than there may be: a process may open $limit files (ulimit -H -n).
demo: with fewer subscribers: make demo DEMO_SUBSCRIBERS=$((32 * room))
demo: or raise the limit: as root \`ulimit -n 65536 && make demo\`; in a container --ulimit nofile=65536; in a systemd unit LimitNOFILE=65536
END
	exit 1
fi

dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

# (Its own user may be one that can't enter where this was built.)
[ "$(id -u)" = 0 ] && user=root || user=
"$BUILD/janus" -c /dev/null -o user=$user -o runtime_dir="$dir/run" -o listen=flash://127.0.0.1:0 -o workers="$workers" &
server=$!
url=
tries=0
while [ -z "$url" ]; do
	kill -0 "$server" 2>/dev/null || exit 1
	tries=$((tries + 1))
	[ "$tries" -gt 200 ] && { echo "demo: the server does not answer" >&2; exit 1; }
	url=$("$BUILD/janusctl" -o runtime_dir="$dir/run" status 2>/dev/null | sed -n 's,.*flash://\(127[^ ]*\).*,\1,p')
	[ -n "$url" ] || sleep 0.05
done
"$BUILD/janusbench" -n "$SUBSCRIBERS" -r 5 --server-pid "$server" "$url"

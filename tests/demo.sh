#!/bin/sh
# `make demo`: a server, $SUBSCRIBERS subscribers, messages to all of them, the histogram; and everything is stopped again.
set -u

# A process has only so many descriptors: as many workers as that takes, and no fewer than there are cores.
limit=$(ulimit -H -n)
[ "$limit" = unlimited ] && limit=1048576
workers=$(nproc)
need=$((SUBSCRIBERS / (limit - 500) + 1))
[ "$workers" -lt "$need" ] && workers=$need

dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

"$BUILD/janus" -o runtime_dir="$dir/run" -o listen=flash://127.0.0.1:0 -o workers="$workers" &
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

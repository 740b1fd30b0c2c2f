#!/bin/sh
# What `make clients` takes beside what Janus does: says nothing when all is there; else installs it (root), or prints the command that would.
set -u

# Sets $missing to the commands and Python modules that are not there. The distribution's Python will do, if another one is first in the path.
find_missing()
{
	missing=
	for c in curl node npm promtool; do
		command -v $c >/dev/null || missing="$missing $c"
	done
	for c in nginx haproxy caddy; do		# often not in the path of those who are not root
		PATH=$PATH:/usr/sbin command -v $c >/dev/null || missing="$missing $c"
	done
	command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || missing="$missing chromium"
	for m in websockets msgpack; do
		python3 -c "import $m" 2>/dev/null || /usr/bin/python3 -c "import $m" 2>/dev/null || missing="$missing python3-$m"
	done
}

find_missing
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null; then
	manager=apt-get
elif command -v dnf >/dev/null; then
	manager=dnf
else
	echo "deps-clients: missing:$missing. Neither apt-get nor dnf is here to install it." >&2
	exit 1
fi

packages=
for thing in $missing; do
	case $thing in
	node)	packages="$packages nodejs" ;;
	promtool)	[ $manager = apt-get ] && packages="$packages prometheus" || packages="$packages golang-github-prometheus" ;;
	*)	packages="$packages $thing" ;;
	esac
done

if [ "$(id -u)" != 0 ]; then
	echo "deps-clients: missing:$missing" >&2
	echo "deps-clients: install with: sudo $manager install -y$packages" >&2
	exit 1
fi

echo "deps-clients: installing$packages"
if [ $manager = apt-get ]; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || echo "deps-clients: apt-get update failed; trying with the lists that are here" >&2
	apt-get install -y -qq --no-install-recommends $packages >&2
else
	dnf install -y -q $packages >&2
fi || { echo "deps-clients: $manager could not install$packages" >&2; exit 1; }

find_missing
if [ -n "$missing" ]; then
	echo "deps-clients: still missing:$missing" >&2
	exit 1
fi

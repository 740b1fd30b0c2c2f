#!/bin/sh
# What `make clients` takes beside what Janus does: says nothing when all is there; else installs it (root), or prints the command that would.
set -u

# Sets $missing to the commands and Python modules that are not there. The distribution's Python will do, if another one is first in the path.
find_missing()
{
	missing=
	for c in curl node npm openssl promtool testssl; do
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

# The package for one of them; $1 is the package manager.
package_of()
{
	case $1:$2 in
	*:node)			echo nodejs ;;
	apt-get:testssl)	echo testssl.sh ;;
	apt-get:promtool)	echo prometheus ;;
	dnf:promtool)		echo golang-github-prometheus ;;
	*)			echo "$2" ;;
	esac
}

dir=${0%deps*.sh}
. "${dir:-./}deps-install.sh"

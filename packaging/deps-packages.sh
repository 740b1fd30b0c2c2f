#!/bin/sh
# What it takes to build and check packages: says nothing when all is there; else installs it (root), or prints the command that would.
# `deps-packages.sh deb`: what `make deb` takes, and no more, with what debian/control names; `deps-packages.sh rpm`: rpmbuild alone.
set -u

what=${1:-}

manager=
for m in apt-get dnf; do
	[ -n "$manager" ] || ! command -v $m >/dev/null || manager=$m
done

case $what in
deb)	commands="dpkg-buildpackage dh" ;;
rpm)	commands=rpmbuild ;;
*)	commands="dpkg-buildpackage dh lintian fakeroot rpmbuild rpmlint mandoc strace systemd-analyze systemd-nspawn zsh python3 git" ;;
esac

find_missing()
{
	missing=
	for c in $commands; do
		command -v $c >/dev/null || missing="$missing $c"
	done
	if [ "$what" != rpm ] && [ "$manager" = apt-get ] && [ -z "$missing" ]; then
		dpkg-checkbuilddeps packaging/debian/control 2>/dev/null || missing=" build-dependencies"
	fi
}

find_missing
[ -z "$missing" ] && exit 0

if [ -z "$manager" ]; then
	echo "deps-packages: missing:$missing. Neither apt-get nor dnf is here to install it." >&2
	exit 1
fi

# The distribution's package for what is missing; none for what `apt-get build-dep` brings, as debian/control names it.
package_of()
{
	case $manager:$1 in
	apt-get:dpkg-buildpackage|apt-get:dh|apt-get:build-dependencies)	;;
	*:dpkg-buildpackage)	echo dpkg-dev ;;
	*:dh)			echo debhelper ;;
	apt-get:rpmbuild)	echo rpm ;;
	*:rpmbuild)		echo rpm-build ;;
	*:systemd-analyze)	echo systemd ;;
	*:systemd-nspawn)	echo systemd-container ;;
	*)			echo "$1" ;;
	esac
}

packages=
for thing in $missing; do
	packages="$packages $(package_of "$thing")"
done
packages=$(echo $packages)

# Runs what installs it, each command behind "$@".
install()
{
	[ $manager != apt-get ] || "$@" apt-get update -qq || echo "deps-packages: apt-get update failed; trying with the lists that are here" >&2
	[ $manager != apt-get ] || set -- "$@" apt-get -y -qq --no-install-recommends
	[ $manager = apt-get ] || set -- "$@" dnf -y -q
	[ -z "$packages" ] || "$@" install $packages || return 1
	[ $manager != apt-get ] || [ "$what" = rpm ] || "$@" build-dep ./packaging
}

if [ "$(id -u)" != 0 ]; then
	echo "deps-packages: missing:$missing" >&2
	echo "deps-packages: install with:" >&2
	install echo "  sudo" >&2
	exit 1
fi

echo "deps-packages: installing what is missing:$missing"
export DEBIAN_FRONTEND=noninteractive
install env >&2 || { echo "deps-packages: $manager could not install it" >&2; exit 1; }

find_missing
if [ -n "$missing" ]; then
	echo "deps-packages: still missing:$missing" >&2
	exit 1
fi

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

# The package for one of them; $1 is the package manager. None for what `apt-get build-dep` brings, as debian/control names it.
package_of()
{
	case $1:$2 in
	apt-get:dpkg-buildpackage|apt-get:dh|apt-get:build-dependencies)	;;
	*:dpkg-buildpackage)	echo dpkg-dev ;;
	*:dh)			echo debhelper ;;
	apt-get:rpmbuild)	echo rpm ;;
	*:rpmbuild)		echo rpm-build ;;
	*:systemd-analyze)	echo systemd ;;
	*:systemd-nspawn)	echo systemd-container ;;
	*)			echo "$2" ;;
	esac
}

[ "$what" = rpm ] || [ "$manager" != apt-get ] || behind="apt-get build-dep -y -qq --no-install-recommends ./packaging"
dir=${0%deps*.sh}
. "${dir:-./}deps-install.sh"

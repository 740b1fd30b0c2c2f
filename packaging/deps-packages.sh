#!/bin/sh
# What it takes to build and check packages (make deb, make rpm, make packages-check): says nothing when all is there; else installs it (root), or prints
# the command that would.
set -u

find_missing()
{
	missing=
	for c in dpkg-buildpackage dh lintian fakeroot rpmbuild rpmlint mandoc strace systemd-analyze systemd-nspawn python3 git; do
		command -v $c >/dev/null || missing="$missing $c"
	done
}

find_missing
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null; then
	manager=apt-get
elif command -v dnf >/dev/null; then
	manager=dnf
else
	echo "deps-packages: missing:$missing. Neither apt-get nor dnf is here to install it." >&2
	exit 1
fi

package_of()
{
	case $1:$2 in
	apt-get:dpkg-buildpackage)	echo dpkg-dev ;;
	apt-get:dh)			echo debhelper ;;
	apt-get:rpmbuild)		echo rpm ;;
	apt-get:systemd-analyze)	echo systemd ;;
	apt-get:systemd-nspawn)		echo systemd-container ;;
	dnf:dpkg-buildpackage)		echo dpkg-dev ;;
	dnf:dh)				echo debhelper ;;
	dnf:rpmbuild)			echo rpm-build ;;
	dnf:systemd-analyze)		echo systemd ;;
	dnf:systemd-nspawn)		echo systemd-container ;;
	*)				echo "$2" ;;
	esac
}

packages=
for thing in $missing; do
	packages="$packages $(package_of $manager "$thing")"
done

if [ "$(id -u)" != 0 ]; then
	echo "deps-packages: missing:$missing" >&2
	echo "deps-packages: install with: sudo $manager install -y$packages" >&2
	exit 1
fi

echo "deps-packages: installing$packages"
if [ $manager = apt-get ]; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || echo "deps-packages: apt-get update failed; trying with the lists that are here" >&2
	apt-get install -y -qq --no-install-recommends $packages >&2
else
	dnf install -y -q $packages >&2
fi || { echo "deps-packages: $manager could not install$packages" >&2; exit 1; }

find_missing
if [ -n "$missing" ]; then
	echo "deps-packages: still missing:$missing" >&2
	exit 1
fi

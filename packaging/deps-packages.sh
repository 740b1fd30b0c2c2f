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

# The package for one of them; $1 is the package manager.
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

dir=${0%deps*.sh}
. "${dir:-./}deps-install.sh"

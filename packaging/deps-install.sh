# What deps.sh, deps-clients.sh and deps-packages.sh do once they know what may be wanted, sourced by them at their end: says nothing when all is there;
# else installs it (root), or prints the command that would. They have find_missing(), which sets $missing to the things that are not there, and
# package_of(), which prints the package for one of them; its $1 is the package manager. $behind, if they set it, is a command that installs more.

name=${0##*/}
name=${name%.sh}

find_missing
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null; then
	manager=apt-get
elif command -v dnf >/dev/null; then
	manager=dnf
else
	echo "$name: missing:" $missing". Neither apt-get nor dnf is here to install it." >&2
	exit 1
fi

# Whether the lists of packages are here: in a fresh container, they are not.
have_lists()
{
	[ $manager != apt-get ] || apt-cache show gcc >/dev/null 2>&1
}

root=0
[ "$(id -u)" = 0 ] && root=1
if [ $root = 1 ] && [ $manager = apt-get ]; then
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -qq || echo "$name: apt-get update failed; trying with the lists that are here" >&2
fi

if ! have_lists; then
	echo "$name: missing:" $missing >&2
	if [ $root = 1 ]; then
		echo "$name: there are no package lists, and apt-get update brings none: see what it says (network, proxy, /etc/apt/sources.list*), then run make again." >&2
	else
		echo "$name: there are no package lists. \`sudo sh packaging/$name.sh\` fetches them and installs what is missing; or \`sudo apt-get update\`, then make again: it says what to install." >&2
	fi
	exit 1
fi

packages=
for thing in $missing; do
	packages="$packages $(package_of $manager "$thing")"
done
packages=$(echo $packages)

if [ $root = 0 ]; then
	echo "$name: missing:" $missing >&2
	[ $manager = apt-get ] && update="sudo apt-get update && " || update=
	echo "$name: install with: ${update}${packages:+sudo $manager install -y $packages}${packages:+${behind:+ && }}${behind:+sudo $behind}" >&2
	exit 1
fi

install()
{
	if [ -z "$packages" ]; then
		:
	elif [ $manager = apt-get ]; then
		apt-get install -y -qq --no-install-recommends $packages >&2
	else
		dnf install -y -q $packages >&2
	fi && ${behind:-:} >&2
}

echo "$name: installing what is missing:" $missing
install || { echo "$name: $manager could not install it" >&2; exit 1; }

find_missing
if [ -n "$missing" ]; then
	echo "$name: still missing:" $missing >&2
	exit 1
fi

#!/bin/sh
# What it takes to build and test Janus: says nothing when all is there; else installs it (root), or prints the command that would.
# Run by `make`. `deps.sh server`: what building the server takes, and no more; `deps.sh fuzz`: what the fuzzers take besides all.
# Environment: CC, CPPFLAGS, FUZZ_CC.
set -u

CC=${CC:-cc}
FUZZ_CC=${FUZZ_CC:-clang}
what=${1:-}

have_header()
{
	[ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ] ||
		printf '#include <%s>\n' "$1" | $CC ${CPPFLAGS:-} -x c -E - >/dev/null 2>&1
}

# Whether clang can link a fuzzer: the runtime is a package of its own, of clang's version.
have_fuzzer()
{
	dir=$(mktemp -d) || return 1
	echo 'int LLVMFuzzerTestOneInput(const char *p, long n); int LLVMFuzzerTestOneInput(const char *p, long n) { return !p && n; }' |
		$FUZZ_CC -fsanitize=fuzzer,address,undefined -x c -o "$dir/fuzzer" - >/dev/null 2>&1
	linked=$?
	rm -r "$dir"
	return $linked
}

# Sets $missing to what is not there, by header or command.
find_missing()
{
	missing=
	command -v "${CC%% *}" >/dev/null || missing=cc
	for h in stdio.h ev.h msgpack.h jsmn.h ini.h liburing.h nettle/sha1.h bsd/sys/tree.h zlib.h curses.h openssl/evp.h jansson.h curl/curl.h nats/nats.h; do
		have_header $h || missing="$missing $h"
	done
	[ "$what" = server ] && return
	have_header cmocka.h || missing="$missing cmocka.h"
	for c in python3 curl openssl; do
		command -v $c >/dev/null || missing="$missing $c"
	done
	# (Fedora has none: there tests of other nodes are skipped.)
	command -v dnf >/dev/null || PATH=$PATH:/usr/sbin command -v nats-server >/dev/null || missing="$missing nats-server"
	[ "$what" != fuzz ] && return
	command -v "${FUZZ_CC%% *}" >/dev/null || missing="$missing clang"
	have_fuzzer || missing="$missing libFuzzer"
}

# The version of the clang that is there, or that would be installed.
clang_version()
{
	if command -v "${FUZZ_CC%% *}" >/dev/null; then
		$FUZZ_CC -dumpversion | cut -d. -f1
	else
		apt-cache depends clang | sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p'
	fi
}

# The distribution's package for one missing thing; $1 is the package manager.
package_of()
{
	case $1:$2 in
	*:cc)		echo gcc ;;
	*:python3|*:curl|*:openssl|*:nats-server)	echo "$2" ;;
	*:clang)	echo clang ;;
	apt-get:stdio.h)	echo libc6-dev ;;
	apt-get:ev.h)		echo libev-dev ;;
	apt-get:msgpack.h)	# C and C++ were parted in Debian 13
		if apt-cache show libmsgpack-c-dev >/dev/null 2>&1; then echo libmsgpack-c-dev; else echo libmsgpack-dev; fi ;;
	apt-get:jsmn.h)		echo libjsmn-dev ;;
	apt-get:ini.h)		echo libinih-dev ;;
	apt-get:liburing.h)	echo liburing-dev ;;
	apt-get:cmocka.h)	echo libcmocka-dev ;;
	apt-get:nettle/sha1.h)	echo nettle-dev ;;
	apt-get:bsd/sys/tree.h)	echo libbsd-dev ;;
	apt-get:zlib.h)		echo zlib1g-dev ;;
	apt-get:curses.h)	echo libncurses-dev ;;
	apt-get:openssl/evp.h)	echo libssl-dev ;;
	apt-get:jansson.h)	echo libjansson-dev ;;
	apt-get:curl/curl.h)	echo libcurl4-openssl-dev ;;
	apt-get:nats/nats.h)	echo libnats-dev ;;
	apt-get:libFuzzer)	# parted from the headers with 14.0.6, which recommend it
		v=$(clang_version)
		if apt-cache show libclang-rt-$v-dev >/dev/null 2>&1; then echo libclang-rt-$v-dev; else echo libclang-common-$v-dev; fi ;;
	dnf:stdio.h)		echo glibc-devel ;;
	dnf:ev.h)		echo libev-devel ;;
	dnf:msgpack.h)		echo msgpack-c-devel ;;
	dnf:jsmn.h)		echo jsmn-devel ;;
	dnf:ini.h)		echo inih-devel ;;
	dnf:liburing.h)		echo liburing-devel ;;
	dnf:cmocka.h)		echo libcmocka-devel ;;
	dnf:bsd/sys/tree.h)	echo libbsd-devel ;;
	dnf:nettle/sha1.h)	echo nettle-devel ;;
	dnf:zlib.h)		echo zlib-devel ;;
	dnf:curses.h)		echo ncurses-devel ;;
	dnf:openssl/evp.h)	echo openssl-devel ;;
	dnf:jansson.h)		echo jansson-devel ;;
	dnf:curl/curl.h)	echo libcurl-devel ;;
	dnf:nats/nats.h)	echo cnats-devel ;;
	dnf:libFuzzer)		echo compiler-rt ;;
	esac
}

dir=${0%deps*.sh}
. "${dir:-./}deps-install.sh"

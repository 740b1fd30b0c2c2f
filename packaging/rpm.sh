#!/bin/sh
# RPM packages, of build/janus-VERSION.tar.gz, into build/rpm. Environment: VERSION, RELEASE; JANUS_LAYOUT, for tests.
set -eu

command -v rpmbuild >/dev/null || { echo "rpm: there is no rpmbuild: \`make packages-deps\` installs what this takes" >&2; exit 1; }
SOURCE_DATE_EPOCH=$(sh packaging/epoch.sh)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
top=$PWD/build/rpm
mkdir -p "$top"
# Where packages are not rpm's own, it knows of no libraries.
nodeps=
rpm -q make >/dev/null 2>&1 || nodeps=--nodeps
rpmbuild -bb $nodeps --define "_topdir $top/top" --define "_sourcedir $PWD/build" --define "_rpmdir $top" --define "_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
	--define "janus_version $VERSION" --define "janus_release $RELEASE" --define "janus_date $(date -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')" \
	--define "_smp_mflags -j$(nproc)" --define "janus_layout ${JANUS_LAYOUT:-BROKEN=0}" packaging/rpm/janus.spec > "$top/build.log" 2>&1 || { tail -n 40 "$top/build.log" >&2; exit 1; }
ls -1 "$top"/*-"$VERSION-$RELEASE"*.rpm | sed "s,^$PWD/,  ,"

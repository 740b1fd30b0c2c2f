#!/bin/sh
# Debian packages, of build/janus-VERSION.tar.gz, into build/deb. Environment: VERSION, REVISION.
set -eu

for c in dpkg-buildpackage dh; do
	command -v $c >/dev/null || { echo "deb: there is no $c: \`make packages-deps\` installs what this takes" >&2; exit 1; }
done
top=$PWD
folder=build/deb/janus-$VERSION
SOURCE_DATE_EPOCH=$(sh packaging/epoch.sh)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
rm -rf "$folder"
mkdir -p build/deb
cp "build/janus-$VERSION.tar.gz" "build/deb/janus_$VERSION.orig.tar.gz"
tar -xzf "build/janus-$VERSION.tar.gz" -C build/deb
cp -r "$folder/packaging/debian" "$folder/debian"
# The version has one place, the Makefile; changes are in CHANGELOG.md.
cat > "$folder/debian/changelog" <<END
janus ($VERSION-$REVISION) unstable; urgency=medium

  * Version $VERSION; what has changed is in CHANGELOG.md.

 -- The Janus authors <janus@example.org>  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
cd "$folder"
JANUS_VERSION=$VERSION dpkg-buildpackage -b -us -uc > ../build.log 2>&1 || { tail -n 40 ../build.log >&2; exit 1; }
cd "$top"
ls -1 build/deb/*_"$VERSION-$REVISION"_*.deb | sed 's/^/  /'

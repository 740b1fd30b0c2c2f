#!/bin/sh
# build/janus-VERSION.tar.gz: the files that git tracks, as they are in the tree, or where there is no git all that `make dist` has packed once.
# The same files give the same bytes: order, owners, modes and times are fixed.
# Environment: VERSION; OUT, the folder, build if it is not said.
set -eu

epoch=$(sh packaging/epoch.sh)
name=janus-$VERSION
out=${OUT:-build}
mkdir -p "$out"
if git rev-parse --is-inside-work-tree >/dev/null 2>&1 && [ -e .git ]; then
	git ls-files -z
else
	find . \( -path ./build -o -path ./debian -o -name __pycache__ -o -name .git \) -prune -o \( -type f -o -type l \) -printf '%P\0'
fi | LC_ALL=C sort -z > "$out/$name.files"
tar --create --file="$out/$name.tar" --no-recursion --null --files-from="$out/$name.files" --format=ustar --mtime="@$epoch" --owner=0 --group=0 \
	--numeric-owner --mode=u=rwX,go=rX --transform="flags=r;s,^,$name/,"
gzip -9nf "$out/$name.tar"
rm "$out/$name.files"
echo "  $out/$name.tar.gz"

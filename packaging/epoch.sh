#!/bin/sh
# The time that packages say they are of, in seconds since 1970: SOURCE_DATE_EPOCH, else the last commit's, else that of the archive's files.
if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
	echo "$SOURCE_DATE_EPOCH"
elif [ -e .git ] && git log -1 --format=%ct 2>/dev/null; then
	:
else
	stat -c %Y CHANGELOG.md
fi

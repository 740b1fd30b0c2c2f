# What comes out of a build: make install, uninstall, dist, deb, rpm, packages-check. Part of the Makefile.
#
# `make install` installs what `make` has built: it looks for no libraries and installs none. A configuration that is there stays as it is. Folders
# can be set one by one; DESTDIR stands before them all, for packages. sysconfdir also says which file the programs read without -c.

PREFIX        ?= /usr
sysconfdir    ?= /etc
rundir        ?= /run
sbindir       ?= $(PREFIX)/sbin
bindir        ?= $(PREFIX)/bin
libexecdir    ?= $(PREFIX)/libexec
datadir       ?= $(PREFIX)/share
mandir        ?= $(datadir)/man
docdir        ?= $(datadir)/doc/janus
bashdir       ?= $(datadir)/bash-completion/completions
zshdir        ?= $(datadir)/zsh/site-functions
# systemd looks for these below /usr/lib, /usr/local/lib and /etc only. Empty: not installed.
unitdir       ?= $(PREFIX)/lib/systemd/system
sysusersdir   ?= $(PREFIX)/lib/sysusers.d
tmpfilesdir   ?= $(PREFIX)/lib/tmpfiles.d

# 0: the server alone, as `make server` has built it.
WITH_BENCH    ?= 1

# What is installed: MODE:SOURCE:WHERE. WHERE ends in a / if it is the folder.
INSTALLED := 755:$(BUILD)/janus:$(sbindir)/ 755:$(BUILD)/janusctl:$(bindir)/ 755:$(BUILD)/janus-jwks:$(libexecdir)/janus/ 755:$(BUILD)/janus-bridge:$(libexecdir)/janus/ \
             $(if $(filter 1,$(WITH_BENCH)),755:$(BUILD)/janusbench:$(bindir)/ 644:packaging/janusbench.1:$(mandir)/man1/) \
             $(patsubst %,644:%:$(mandir)/man8/,$(wildcard packaging/*.8)) \
             $(patsubst %,644:%:$(mandir)/man5/,$(wildcard packaging/*.5)) \
             644:README.md:$(docdir)/ 644:PROTOCOL.md:$(docdir)/ 644:CHANGELOG.md:$(docdir)/ \
             $(patsubst %,644:%:$(docdir)/examples/,$(wildcard packaging/examples/*) packaging/grafana/janus.json) \
             644:packaging/systemd/60-janus-million.conf:$(docdir)/examples/ \
             644:packaging/systemd/million.conf:$(docdir)/examples/ \
             $(patsubst %,644:%:$(bashdir)/janusctl,$(wildcard packaging/completion/*.bash)) \
             $(patsubst %,644:%:$(zshdir)/,$(wildcard packaging/completion/_*)) \
             755:packaging/systemd/janus-stop-post:$(libexecdir)/janus/ \
             $(if $(unitdir),644:packaging/systemd/janus.service:$(unitdir)/) \
             $(if $(sysusersdir),644:packaging/systemd/janus.sysusers:$(sysusersdir)/janus.conf) \
             $(if $(tmpfilesdir),644:packaging/systemd/janus.tmpfiles:$(tmpfilesdir)/janus.conf)

# Texts name the folders of a distribution's package. This writes those that it was built for.
PLACES    := -e 's,/usr/sbin/,$(sbindir)/,g' -e 's,/usr/bin/,$(bindir)/,g' -e 's,/etc/janus,$(sysconfdir)/janus,g' -e 's,/run/janus,$(rundir)/janus,g' -e 's,/usr/libexec/,$(libexecdir)/,g' \
             -e 's,/usr/share/doc/janus,$(docdir),g'
# The server's folder for its lock and its control socket is the one that the unit makes, so that janusctl finds it there whoever asks.
# Members of this group may use janusctl (packages: janus; it must be there when the server starts).
control_group ?=
INI       := sed -e 's,^control_group =.*,$(strip control_group = $(control_group)),' -e 's,^runtime_dir =.*,runtime_dir = $(rundir)/janus,' packaging/janus.ini

install: $(if $(filter 1,$(WITH_BENCH)),programs,server-programs)
	@for f in $(INSTALLED); do \
		mode=$${f%%:*} f=$${f#*:}; source=$${f%%:*} to=$(DESTDIR)$${f#*:}; \
		case $$to in */) to=$$to$${source##*/} ;; esac; \
		echo "  $$to"; \
		install -D -m $$mode $$source $$to || exit 1; \
		case $$source in *.[158]|*.service|*.tmpfiles|*-post) sed $(PLACES) $$source > $$to ;; esac || exit 1; \
	done
	@ini=$(DESTDIR)$(sysconfdir)/janus/janus.ini; \
	$(INI) > $(BUILD)/janus.ini || exit 1; \
	if [ ! -e $$ini ] && [ ! -L $$ini ]; then install -D -m 644 $(BUILD)/janus.ini $$ini; \
	elif ! cmp -s $(BUILD)/janus.ini $$ini; then \
		echo "$$ini stays as it is; this version's defaults are in $$ini.new"; install -m 644 $(BUILD)/janus.ini $$ini.new; \
	fi

# Of the same folders. A configuration that was changed stays, and what the server has written.
uninstall:
	@for f in $(INSTALLED); do \
		f=$${f#*:}; source=$${f%%:*} to=$(DESTDIR)$${f#*:}; \
		case $$to in */) to=$$to$${source##*/} ;; esac; \
		rm -f $$to; \
	done
	@ini=$(DESTDIR)$(sysconfdir)/janus/janus.ini; \
	rm -f $$ini.new; \
	if $(INI) | cmp -s - $$ini; then rm -f $$ini; \
	elif [ -e $$ini ]; then echo "$$ini was changed: it stays"; fi
	@rmdir --ignore-fail-on-non-empty $(DESTDIR)$(docdir)/examples $(DESTDIR)$(docdir) $(DESTDIR)$(sysconfdir)/janus $(DESTDIR)$(libexecdir)/janus 2>/dev/null || true

# ---- packages ----

# The packages' revision: what is behind the version. (Debian's own first package, -1, comes behind this one.)
DEB_REVISION ?= 1~upstream1
RPM_RELEASE  ?= 1

# Files that are tracked, as they are now, or all files of an unpacked archive: build/janus-VERSION.tar.gz, of the same bytes each time.
dist:
	@VERSION=$(VERSION) sh packaging/dist.sh

# Into build/deb and build/rpm, from the archive. What this takes is installed if you are root; else the command is printed.
deb: dist
	@sh packaging/deps-packages.sh deb
	@VERSION=$(VERSION) REVISION=$(DEB_REVISION) sh packaging/deb.sh
rpm: dist
	@sh packaging/deps.sh server && sh packaging/deps-packages.sh rpm
	@VERSION=$(VERSION) RELEASE=$(RPM_RELEASE) sh packaging/rpm.sh

packages-deps:
	@sh packaging/deps-packages.sh
# Builds packages of several versions, checks them, and really installs, upgrades and removes them in containers on an overlay of this machine, of which
# nothing stays. As root. PACKAGES="deb_stop ..." those; OLD=FOLDER: the upgrade is from the packages there.
packages-check: all packages-deps
	@python3 tests/packages/run $(PACKAGES)

.PHONY: install uninstall dist deb rpm packages-deps packages-check

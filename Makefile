# Janus. `make` builds build/janus, build/janusctl, build/janusbench, and build/janus-jwks and build/janus-bridge, which the server starts.
#   make demo    start a server, 40,000 subscribers, publish, print the histogram, stop
#   make settings after a change of shm/settings.def: packaging/janus.ini and the manual page
#   make clients the same server with clients from elsewhere: curl, npm's ws and eventsource, Python's websockets and msgpack, Chromium; and behind nginx, HAProxy, Caddy
#   make check   unit tests and scenarios, and twelve seconds of each fuzzer (but for SANITIZE=1)
#   make stress  death at each single instruction: two minutes (make check has a quarter of it, another one each time)
#   make mutants breaks Janus in one place at a time, and expects a test to fail: a quarter of an hour (make check has 40 seconds of it)
#   make fuzz    the fuzzers alone, FUZZ_SECONDS=60 each; FUZZ="http json" these
#   make kernel-tls  tests of the kernel's TLS, in a virtual machine
#   make bench   Janus beside the floor; bench-peers: beside nchan, redis, nats and mosquitto; bench-million; bench-history, bench-janusctl: what history, and looking, costs; bench-patterns; bench-tls: TLS; bench-nodes: other nodes
#   make chaos   ten minutes of killing (workers, keepers and masters, 6 : 2 : 2, and spares), stopping, reloading and upgrading under load
#   make chaos-nodes  ten minutes of killing bridges, workers and nats-servers of three nodes under load
#   make soak    10,000 connections and 1,000 messages a second for SOAK_SECONDS=600: memory must be flat, build/soak.svg shows it
#   make reconnect  five minutes of subscribers who break off and come back, with kills, reloads and upgrades
#   CRASH=1      a build for tests, with points at which a process can be made to die, in build/crash
#   LAYOUT=98    a build for tests, whose layout of shared memory is another, with crash points, in build/layout98; 99: it can't read snapshots either
#   BROKEN=1     a build for tests, whose recovery and adoption are broken: they must notice, in build/broken
#   V=1          show commands       SANITIZE=1   ASan and UBSan, in build/asan
#   make server  build/janus, build/janusctl, build/janus-jwks and build/janus-bridge alone, which takes neither Python nor cmocka nor curl
#   make install uninstall   of what is built (packaging/install.mk: PREFIX, sysconfdir, DESTDIR...); make dist deb rpm

VERSION  := 0.1.0
CC       ?= gcc
V        ?= 0
SANITIZE ?= 0
CRASH    ?= 0
LAYOUT   ?=
BROKEN   ?= 0
WERROR   ?= 1

BUILD    := build
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DJANUS_VERSION='"$(VERSION)"' -I.
WARN     := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
ifeq ($(WERROR),1)
WARN     += -Werror
endif
ifeq ($(CRASH),1)
BUILD    := build/crash
CPPFLAGS += -DJANUS_CRASH_POINTS
endif
# The next ones are LIKE another build, but for sources that say one of some words, or include one header: other objects are copies of its.
ifneq ($(LAYOUT),)
LIKE     := build/crash
LIKE_BY  := CRASH=1 LAYOUT=
BUT_FOR  := HUB_LAYOUT|SNAPSHOT_VERSION|JANUS_OTHER_LAYOUT
BUT_WITH := shm/session_shm.h
BUILD    := build/layout$(LAYOUT)
CPPFLAGS += -DJANUS_OTHER_LAYOUT -DHUB_LAYOUT=$(LAYOUT) -DJANUS_CRASH_POINTS
endif
ifeq ($(LAYOUT),99)
LIKE     := build/layout98
LIKE_BY  := LAYOUT=98
BUT_FOR  := HUB_LAYOUT|SNAPSHOT_VERSION
BUT_WITH :=
CPPFLAGS += -DSNAPSHOT_VERSION=0
endif
ifeq ($(BROKEN),1)
LIKE     := $(BUILD)
LIKE_BY  := BROKEN=0
BUT_FOR  := JANUS_BROKEN_RECOVERY|JANUS_BROKEN_ADOPTION
BUT_WITH :=
BUILD    := build/broken
CPPFLAGS += -DJANUS_BROKEN_RECOVERY -DJANUS_BROKEN_ADOPTION
WARN     += -Wno-unused-function
endif
ifeq ($(SANITIZE),1)
LIKE     := $(LIKE:%=%/asan)
BUILD    := $(BUILD)/asan
CFLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=address,undefined
endif
Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),true,printf '  %-5s %s\n' "$(1)" "$(2)")

# msgpack-c changed its library's name with 6.0.
MSGPACK  := $(shell pkg-config --libs msgpack-c 2>/dev/null || echo -lmsgpackc)
# janusctl's alone, for `top`.
CURSES   := $(shell pkg-config --libs ncursesw 2>/dev/null || echo -lncursesw -ltinfo)
LIBS     := -lev $(MSGPACK) -luring -linih -lnettle -lssl -lcrypto -ljansson -lz -lm

# These hold a main() each; every other source of the four layers goes into one archive.
MAINS    := master/main.c master/ctl/janusctl.c master/jwks/janus-jwks.c master/bridge/janus-bridge.c
SRC      := $(filter-out $(MAINS),$(wildcard proto/*.c shm/*.c worker/*/*.c master/*.c master/*/*.c))
OBJ      := $(SRC:%.c=$(BUILD)/%.o)
LIB      := $(BUILD)/libjanus.a
BENCH    := $(filter-out $(addprefix tests/bench/,floor.c handshakes.c libnats.c patterns.c resume.c crowd.c tool.c),$(wildcard tests/bench/*.c))
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
STRESS   := $(BUILD)/tests/stress/ring_stress $(BUILD)/tests/stress/tls_stress
SERVER   := $(BUILD)/janus $(BUILD)/janusctl $(BUILD)/janus-jwks $(BUILD)/janus-bridge
PROGRAMS := $(SERVER) $(BUILD)/janusbench

all: deps
	@$(MAKE) --no-print-directory programs
server: server-deps
	@$(MAKE) --no-print-directory server-programs
ifeq ($(LIKE),)
programs: $(PROGRAMS)
server-programs: $(SERVER)
library: $(LIB)
else
programs: FILES = $(PROGRAMS)
server-programs: FILES = $(SERVER)
library: FILES = $(LIB)
programs server-programs library:
	@$(MAKE) --no-print-directory $(LIKE_BY) library
	@$(MAKE) --no-print-directory $(FILES)
endif

deps:
	@sh packaging/deps.sh
server-deps:
	@sh packaging/deps.sh server

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

# Those that are its own are made anew when the other build's are, also if nothing is known yet of what they include. (That build is up to date: see library.)
ifneq ($(LIKE),)
OWN      := $(shell grep -lwE '$(BUT_FOR)' $(SRC)) \
		$(if $(BUT_WITH),$(patsubst $(LIKE)/%.d,%.c,$(shell grep -l '$(BUT_WITH)' $(SRC:%.c=$(LIKE)/%.d) 2>/dev/null)))
$(OBJ): $(BUILD)/%.o: $(LIKE)/%.o
$(filter-out $(OWN:%.c=$(BUILD)/%.o),$(OBJ)):
	@mkdir -p $(@D)
	@cp -p $< $@
endif

# The file that is read without -c. (Where it is may change from one make to the next, as in `make install sysconfdir=...`.)
$(BUILD)/sysconfdir: sysconfdir-now
	@mkdir -p $(@D)
	@echo $(sysconfdir) | cmp -s - $@ || echo $(sysconfdir) > $@
sysconfdir-now:
$(addprefix $(BUILD)/,$(MAINS:.c=.o)): $(BUILD)/sysconfdir
$(addprefix $(BUILD)/,$(MAINS:.c=.o)): CPPFLAGS += -DJANUS_CONFIG_FILE='"$(sysconfdir)/janus/janus.ini"'

# Where programs are installed that the server starts.
$(BUILD)/libexecdir: libexecdir-now
	@mkdir -p $(@D)
	@echo $(libexecdir) | cmp -s - $@ || echo $(libexecdir) > $@
libexecdir-now:
$(BUILD)/master/program.o: $(BUILD)/libexecdir
$(BUILD)/master/program.o: CPPFLAGS += -DJANUS_LIBEXEC='"$(libexecdir)/janus"'

# It holds the page, figures.html and janus.js, which -MMD does not see.
$(BUILD)/worker/protocol/http_page.o: worker/protocol/page.html worker/protocol/figures.html packaging/janus.js/janus.js

$(LIB): $(OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/janus: $(BUILD)/master/main.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/janusctl: $(BUILD)/master/ctl/janusctl.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) $(CURSES)

# libcurl is this program's alone.
$(BUILD)/janus-jwks: $(BUILD)/master/jwks/janus-jwks.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lcurl

# libnats is this program's alone.
$(BUILD)/janus-bridge: $(BUILD)/master/bridge/janus-bridge.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS) -lnats

$(BUILD)/janusbench: $(BENCH:%.c=$(BUILD)/%.o) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# What janusbench speaks is tested beside what the server does; and its books.
$(patsubst %,$(BUILD)/tests/unit/test_bench_%,speak come ledger tlsc): $(filter-out %/janusbench.o,$(BENCH:%.c=$(BUILD)/%.o))
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

$(BUILD)/tests/stress/ring_stress: $(patsubst %.c,$(BUILD)/%.o,$(filter-out %/tls_stress.c,$(wildcard tests/stress/*.c))) $(LIB)
$(BUILD)/tests/stress/tls_stress: $(addprefix $(BUILD)/tests/stress/,tls_stress.o stepping.o) $(LIB)
$(BUILD)/tests/stress/tls_stress: LDFLAGS += -Wl,--wrap=send
$(STRESS):
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

# What shm/settings.def says, into packaging/janus.ini and packaging/janus.conf.5, which are kept with the sources.
settings:
	@CC="$(CC)" python3 packaging/settings.py
	@CC="$(CC)" python3 packaging/metrics.py

# ---- tests ----

# Fuzzers are clang's (libFuzzer), with ASan and UBSan, in build/fuzz; so with SANITIZE=1 there is nothing in them that is new.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_CHECK   := $(if $(filter 1,$(SANITIZE)),,12)
FUZZ_CFLAGS  := -O1 -g -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
FUZZERS      := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIB     := $(patsubst %.c,build/fuzz/%.o,$(wildcard proto/*.c) $(addprefix worker/io/tls_,handshake.c server.c certificate.c) $(addprefix shm/,secrets.c tickets.c segment.c) \
		$(filter-out tests/fuzz/fuzz_%,$(wildcard tests/fuzz/*.c)))

# What is built for tests is built by all processors, but where -j says otherwise.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
check: $(if $(FUZZ_CHECK),fuzz-deps,deps)
	@$(MAKE) --no-print-directory $(PARALLEL) tests headers layers variants $(if $(FUZZ_CHECK),fuzzers)
	@JANUS_BUILD=$(BUILD) JANUS_CRASH_BUILD=$(call variant,crash) JANUS_BROKEN_BUILD=$(call variant,broken) \
	 JANUS_OTHER_BUILD=$(call variant,layout98) JANUS_NO_SNAPSHOT_BUILD=$(call variant,layout99) \
	 JANUS_STRESS_EACH=4 JANUS_FUZZ_SECONDS=$(FUZZ_CHECK) JANUS_MUTANT_SECONDS=$(if $(filter 1,$(SANITIZE)),,40) JANUS_TEST_SLOWNESS=$(if $(filter 1,$(SANITIZE)),4,1) tests/run $(TESTS)
# Tests of the tests: Janus is broken in one place at a time, and a test must fail. MUTANTS="repair publish" those.
mutants: deps
	@$(MAKE) --no-print-directory $(PARALLEL) tests variants
	@tests/mutants/run -k $(MUTANTS)
# Lock, ring, index, history: a death at each instruction, all of them.
stress: tests
	@JANUS_BUILD=$(BUILD) tests/run ring_stress tls_stress
tests: programs $(UNIT) $(STRESS) $(BUILD)/floor $(BUILD)/bench-resume $(BUILD)/bench-libnats

# Clients that nobody here wrote. What they need is installed by name, and takes a network; npm's are pinned by tests/clients.
CLIENTS := build/clients
clients: all
	@sh packaging/deps-clients.sh
	@$(MAKE) --no-print-directory $(CLIENTS)/node_modules/.package-lock.json
	@JANUS_BUILD=$(BUILD) JANUS_CLIENTS=1 JANUS_TEST_SLOWNESS=$(if $(filter 1,$(SANITIZE)),4,1) tests/run test_clients
$(CLIENTS)/node_modules/.package-lock.json: tests/clients/package.json tests/clients/package-lock.json
	$(call say,NPM,$(CLIENTS))
	@mkdir -p $(CLIENTS)
	@cp $^ $(CLIENTS)
	$(Q)npm ci --prefix $(CLIENTS) --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

# Builds that some tests want beside the one they test. (Its library is there first, as one of them takes objects of it.)
variant = build/$(1)$(if $(filter 1,$(SANITIZE)),/asan)
variants: $(LIB)
	@$(MAKE) --no-print-directory CRASH=1 server-programs
	@$(MAKE) --no-print-directory BROKEN=1 server-programs
	@$(MAKE) --no-print-directory LAYOUT=98 server-programs
	@$(MAKE) --no-print-directory LAYOUT=99 server-programs

fuzz: fuzz-deps
	@$(MAKE) --no-print-directory fuzzers
	@JANUS_FUZZ_SECONDS=$(FUZZ_SECONDS) JANUS_TEST_JOBS=$$(nproc) tests/run $(if $(FUZZ),$(FUZZ:%=fuzz_%),fuzz_)
fuzz-deps:
	@FUZZ_CC="$(FUZZ_CC)" sh packaging/deps.sh fuzz
fuzzers: $(FUZZERS)

build/fuzz/%.o: %.c
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(FUZZ_CC) -std=gnu11 $(CPPFLAGS) $(FUZZ_CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o $(FUZZ_LIB)
	$(call say,LD,$@)
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(MSGPACK) -lnettle -lssl -lcrypto -ljansson -lm

# Ten minutes, 11,000 connections, and whatever can be done to a server that it must bear, all at the same time; see chaos.py. The seed that it
# prints does it again: CHAOS="--seed N ...".
CHAOS ?= --subscribers 10000 --topics 40 --rate 100 --slow 50 --large 600 --large-rate 8 --seconds 600 --kills 480 --keepers 200 --spares 40 --masters 200 --bursts 12 \
         --stops 120 --reloads 40 --pairs 25 --upgrades 20 --broken 20 --log $(BUILD)/chaos.log
chaos: all
	@$(MAKE) --no-print-directory variants
	@JANUS_BUILD=$(BUILD) JANUS_OTHER_BUILD=$(call variant,layout98) tests/scenarios/chaos.py $(CHAOS)

# Ten minutes, three nodes with 10,000 subscribers each and a nats-server each; see chaos_nodes.py.
CHAOS_NODES ?= --subscribers 10000 --topics 200 --publishers 4 --rate 200 --seconds 600 --pause 2
chaos-nodes: all
	@JANUS_BUILD=$(BUILD) tests/scenarios/chaos_nodes.py $(CHAOS_NODES)

# Five minutes: 5,000 subscribers who drop their connections every few seconds and come back, 1,000 messages a second, kills, reloads, upgrades; see
# reconnect.py.
RECONNECT ?= --subscribers 5000 --topics 100 --rate 1000 --seconds 300 --every 3 --away 8 --ring 4096 --workers 4 --kills 400 --bursts 10 --reloads 20 \
             --resizes 10 --upgrades 15
reconnect: all
	@$(MAKE) --no-print-directory variants
	@JANUS_BUILD=$(BUILD) JANUS_OTHER_BUILD=$(call variant,layout98) tests/scenarios/reconnect.py $(RECONNECT)

# The kernel's TLS, which not every machine has: its tests in a virtual machine. KERNEL: Debian packages of a kernel (6.14 or newer for TLS 1.3), and of its modules.
kernel-tls: tests variants
	@JANUS_BUILD=$(BUILD) JANUS_TEST_SLOWNESS=20 JANUS_TEST_JOBS=1 tests/vm/run $(KERNEL) -- sh -c '$(BUILD)/tests/unit/test_tls_session && tests/run test_kernel_tls'

# The memory graph of the comet article; see soak.py.
SOAK_SECONDS ?= 600
SOAK ?= --connections 10000 --rate 1000
soak: all
	@JANUS_BUILD=$(BUILD) tests/scenarios/soak.py $(SOAK) --seconds $(SOAK_SECONDS) --svg $(BUILD)/soak.svg

# Every header stands alone.
headers:
	@for h in $(wildcard proto/*.h shm/*.h worker/*/*.h master/*.h master/*/*.h); do \
		echo "#include \"$$h\"" | $(CC) -std=gnu11 $(CPPFLAGS) $(WARN) -fsyntax-only -x c - || exit 1; \
	done

# Who includes and calls whom: layers, the worker's storeys, circles.
layers: programs
	@tests/layers $(BUILD)

# ---- figures: beside the floor, a program that does nothing but send ----

$(BUILD)/floor: $(BUILD)/tests/bench/floor.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -luring
bench: all $(BUILD)/floor
	@python3 tests/bench/bench.py --build $(BUILD); r=$$?; $(MAKE) --no-print-directory chart; exit $$r
$(BUILD)/bench-patterns: $(BUILD)/tests/bench/patterns.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
bench-patterns: $(BUILD)/bench-patterns
	@$(BUILD)/bench-patterns
bench-million: all $(BUILD)/floor
	@python3 tests/bench/bench.py --build $(BUILD) --million
# What history costs a publish: alternating rounds on one server, three minutes.
bench-history: all
	@python3 tests/bench/history_cost.py --build $(BUILD)
$(BUILD)/bench-handshakes: $(addprefix $(BUILD)/tests/bench/,handshakes.o tool.o) $(filter-out %/janusbench.o,$(BENCH:%.c=$(BUILD)/%.o)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
bench-tls: all $(BUILD)/bench-handshakes
	@python3 tests/bench/bench_tls.py --build $(BUILD)
# What being joined with other nodes costs, beside NATS alone: some minutes.
$(BUILD)/bench-libnats: $(BUILD)/tests/bench/libnats.o
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lnats
bench-nodes: all $(BUILD)/bench-libnats
	@python3 tests/bench/nodes_cost.py --build $(BUILD)
# What looking costs a server with 200,000 connections and 1,000,000 topics: some minutes, 6 GiB.
bench-janusctl: all
	@python3 tests/bench/janusctl_cost.py --build $(BUILD)
# It is janusbench's parts with another main().
$(BUILD)/bench-resume: $(addprefix $(BUILD)/tests/bench/,resume.o crowd.o tool.o) $(filter-out %/janusbench.o,$(BENCH:%.c=$(BUILD)/%.o)) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
bench-peers: all $(BUILD)/floor $(BUILD)/bench-resume
	@python3 tests/bench/peers.py --build $(BUILD)
	@$(MAKE) --no-print-directory chart
# Of what was measured last; CHART=tests/bench/figures.svg is the one that the README shows.
CHART ?= $(BUILD)/bench.svg
chart:
	@python3 tests/bench/chart.py --out $(CHART) $(wildcard $(BUILD)/peers.json $(BUILD)/bench.json)

# ---- for people ----

DEMO_SUBSCRIBERS ?= 40000
demo: all
	@BUILD=$(BUILD) SUBSCRIBERS=$(DEMO_SUBSCRIBERS) sh tests/demo.sh

include packaging/install.mk

clean:
	rm -rf build

.PHONY: all programs deps settings check tests stress mutants clients variants server server-programs server-deps library fuzz fuzz-deps fuzzers chaos chaos-nodes reconnect kernel-tls soak bench bench-history bench-janusctl bench-million bench-nodes bench-patterns bench-peers bench-tls chart headers layers demo \
	clean
.SECONDARY:
-include $(shell find $(addprefix $(BUILD)/,master proto shm tests worker) build/fuzz -name '*.d' 2>/dev/null)

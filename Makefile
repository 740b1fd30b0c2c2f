# Janus. `make` builds build/janus, build/janusctl and build/janusbench.
#   make demo    start a server, 40,000 subscribers, publish, print the histogram, stop
#   make check   unit tests and scenarios
#   V=1          show commands       SANITIZE=1   ASan and UBSan, in build/asan
#   DESTDIR, PREFIX for `make install`

VERSION  := 0.1.0
PREFIX   ?= /usr
CC       ?= gcc
V        ?= 0
SANITIZE ?= 0
WERROR   ?= 1

BUILD    := build
CFLAGS   ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -DJANUS_VERSION='"$(VERSION)"' -I.
WARN     := -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef
ifeq ($(WERROR),1)
WARN     += -Werror
endif
ifeq ($(SANITIZE),1)
BUILD    := build/asan
CFLAGS   += -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS  += -fsanitize=address,undefined
endif
Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),true,printf '  %-5s %s\n' "$(1)" "$(2)")

LIBS     := -lev -lmsgpackc -luring -linih -lm

# master/main.c and master/janusctl.c hold a main() each; every other source of the four layers goes into one archive.
MAINS    := master/main.c master/janusctl.c
SRC      := $(filter-out $(MAINS),$(wildcard proto/*.c shm/*.c worker/*.c master/*.c))
OBJ      := $(SRC:%.c=$(BUILD)/%.o)
LIB      := $(BUILD)/libjanus.a
BENCH    := $(wildcard tests/bench/*.c)
UNIT     := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
PROGRAMS := $(BUILD)/janus $(BUILD)/janusctl $(BUILD)/janusbench

all: deps
	@$(MAKE) --no-print-directory programs
programs: $(PROGRAMS)

deps:
	@sh packaging/deps.sh

$(BUILD)/%.o: %.c
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CPPFLAGS) $(CFLAGS) $(WARN) -MMD -MP -c -o $@ $<

$(LIB): $(OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/janus: $(BUILD)/master/main.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/janusctl: $(BUILD)/master/janusctl.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/janusbench: $(BENCH:%.c=$(BUILD)/%.o) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

clean:
	rm -rf build

.PHONY: all programs deps clean
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

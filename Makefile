# mx20: a backup mail exchanger.  `make help` lists what this file can do.

SAN     ?=
CFLAGS  ?= -O2 -g
PREFIX  ?= /usr/local
DESTDIR ?=
PYTHON  ?= /usr/bin/python3
B       := build/$(or $(SAN),plain)
VERSION := 0.1.0

PKGS    := libconfig lmdb openssl libunbound libcurl jansson libidn2 libsystemd \
           libmicrohttpd
XFLAGS  := -std=c17 -MMD -MP -Wall -Wextra -Wpedantic -Wshadow -Wconversion \
           -Wstrict-prototypes -Wmissing-prototypes -Wcast-qual -Wformat=2 \
           -Wvla -fno-strict-aliasing -fstack-protector-strong -pthread \
           $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all \
           -fno-omit-frame-pointer,-D_FORTIFY_SOURCE=2) \
           $(if $(WERROR),-Werror)
# libev's watchers are cast by its own macros: hence no strict aliasing.
# libpq is loaded when a mirror is configured: only its header is needed here.
CPPFLAGS += $(shell pkg-config --cflags libpq)
CPPFLAGS += -I. -D_GNU_SOURCE -DMX_VERSION='"$(VERSION)"'
XLDFLAGS := -pthread -Wl,--as-needed -Wl,-z,relro,-z,now \
            $(if $(SAN),-fsanitize=$(SAN))
# Debian's libev and libunistring have no .pc file.  libev is linked statically:
# the shared one exports libevent's old functions (event_set ...) as well,
# libunbound would find those before the libevent it was built for, and write
# beyond its own structures; so keep the archive to ourselves.
LIBS     = $(shell pkg-config --libs $(PKGS)) -lunistring -l:libev.a -Wl,--exclude-libs,libev.a -lm
CTLLIBS  = $(LIBS) $(shell pkg-config --libs ncursesw)

# Folders in the order a mail travels; files by wildcard.
SHARED  := common/base common/smtp common/mail common/control common/net \
           common/spf config/value config/allow config common/spool \
           common/status
ROOMS   := daemon/intake daemon/policy daemon/drain daemon/route \
           daemon/sts daemon/tables daemon/dns daemon/proof daemon/delivery \
           daemon/known daemon/relay daemon/history daemon/report daemon/check \
           daemon/control daemon/web daemon/mirror
SRC     := $(wildcard $(addsuffix /*.c,$(SHARED) $(ROOMS)))
CTLSRC  := $(wildcard daemon/ctl/*.c)
UNITSRC := $(wildcard tests/unit/*/*/test_*.c tests/unit/*/test_*.c)
FUZZSRC := $(wildcard tests/fuzz/fuzz_*.c)
OBJ     := $(SRC:%.c=$(B)/%.o)
CTLOBJ  := $(CTLSRC:%.c=$(B)/%.o)
UNIT    := $(UNITSRC:tests/unit/%.c=$(B)/unit/%)
FUZZ    := $(FUZZSRC:tests/fuzz/%.c=$(B)/fuzz/%)
BENCHSRC := $(wildcard tests/bench/*.c)
BENCH   := $(BENCHSRC:tests/bench/%.c=$(B)/bench/%)
SUPSRC  := $(wildcard tests/support/*.c)
SUPOBJ  := $(SUPSRC:%.c=$(B)/%.o)
TSANOBJ := $(if $(filter thread,$(SAN)),$(B)/tests/sanitizer/thread.o)
LIB     := $(B)/libmx20.a
SUPLIB  := $(B)/libsupport.a

# V=1 shows the commands.
Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %s  %s\n' '$(1)' '$(2)')
JOBS := $(shell nproc)

all: $(B)/mx20d $(B)/mx20ctl ## build build/mx20d and build/mx20ctl
ifeq ($(SAN),)
all: build/mx20d build/mx20ctl
endif

build/mx20d build/mx20ctl: build/%: build/plain/%
	@ln -f $< $@

$(B)/mx20d: $(patsubst %.c,$(B)/%.o,$(wildcard daemon/*.c)) $(TSANOBJ) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/mx20ctl: $(CTLOBJ) $(LIB)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -o $@ $^ $(CTLLIBS)

# mx20ctl's parts are in it, too, for its unit tests.
$(LIB): $(OBJ) $(filter-out %/main.o,$(CTLOBJ))
$(SUPLIB): $(SUPOBJ)
$(LIB) $(SUPLIB):
	@rm -f $@
	@$(AR) rcs $@ $^

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(XFLAGS) -c -o $@ $<

# A static pattern: a bare one without a recipe would add no prerequisites.
$(UNIT): $(B)/unit/%: $(B)/tests/unit/%.o $(SUPLIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS) -lcriterion

-include $(OBJ:.o=.d) $(CTLOBJ:.o=.d) $(UNIT:$(B)/unit/%=$(B)/tests/unit/%.d)
-include $(SUPOBJ:.o=.d) $(patsubst %.c,$(B)/%.d,$(wildcard daemon/*.c))

.PHONY: all help deps run demo check check-unit check-system fuzz bench lint \
        format install clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

deps: ## install what is missing to build and test (Debian packages)
	@tests/support/deps.sh test

clean: ## remove everything that was built
	rm -rf build

# pkg-config must be there before this file can say what to build with: so
# these install first and then ask make again.
run: ## run the daemon in the foreground on an unprivileged port
	@tests/support/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@mkdir -p build/run
	@[ -e build/run/domains ] || \
		cp -R config/domains config/recipients build/run/
	@sed -e '/^listen/s/port = 25;/port = 2525;/' \
	     -e "/^user/s/mx20/$$(id -un)/" \
	     -e 's|/var/spool/mx20|spool|' \
	     -e 's|/run/mx20/control.sock|control.sock|' \
		config/mx20.conf >build/run/mx20.conf
	exec build/mx20d -c $(CURDIR)/build/run/mx20.conf

demo: ## tell the product's story on loopback: primary down, up, mail delivered
	@tests/support/deps.sh build
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(PYTHON) tests/support/demo.py

demo-mirror: ## the same with two copies: a node, its disk and a database lost
	@tests/support/deps.sh mirror
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(PYTHON) tests/support/demo_mirror.py
.PHONY: demo-mirror

# Criterion's memory is where ThreadSanitizer's must be; one thread has no races.
CHECKS := $(if $(filter thread,$(SAN)),check-system,check-unit check-fuzz \
            check-powercut check-system)
check: ## install what is missing and run every test (SAN=... for sanitizers)
	@tests/support/deps.sh test
	@tests/support/peers.sh exim4-daemon-light
	@$(MAKE) --no-print-directory -j$(JOBS) check-programs
	@$(MAKE) --no-print-directory $(CHECKS)
check-programs: all bench-tools $(UNIT) $(FUZZ)
.PHONY: check-programs

# Load generators and measuring tools, also used by the system tests.
$(BENCH): $(B)/bench/%: $(B)/tests/bench/%.o $(SUPLIB) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

# Libraries that watch or disturb a process from inside (LD_PRELOAD).
PRELOADSRC := $(wildcard tests/preload/*.c)
PRELOAD    := $(PRELOADSRC:tests/preload/%.c=$(B)/preload/%.so)
$(PRELOAD): $(B)/preload/%.so: tests/preload/%.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE $(CFLAGS) -std=c17 -Wall -Wextra -fPIC -shared -o $@ $< -ldl

# What a power cut can leave of the spool.
$(B)/powercut/powercut: $(addprefix $(B)/tests/,powercut/powercut.o support/spool_audit.o) $(LIB)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)
-include $(B)/tests/powercut/powercut.d
POWERCUT := tests/powercut/powercut.py
POWERCUT_IMAGES ?= 600
powercut-tools: all $(PRELOAD) $(B)/powercut/powercut
check-powercut: powercut-tools ## 50 images a power cut could leave
	@MX20_BUILD=$(B) $(PYTHON) $(POWERCUT) 50
powercut: ## 600 of them, POWERCUT_IMAGES=n
	@tests/support/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) powercut-tools
	@MX20_BUILD=$(B) $(PYTHON) $(POWERCUT) $(POWERCUT_IMAGES)
.PHONY: powercut-tools check-powercut powercut

SOAK_SECONDS ?= 7200
soak: ## two hours of mixed traffic, outages and kill -9, then an audit
	@tests/support/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@MX20_BUILD=$(B) $(PYTHON) tests/soak/soak.py $(SOAK_SECONDS)
	@MX20_BUILD=$(B) $(PYTHON) tests/soak/flap.py $$(($(SOAK_SECONDS) / 12))
	@MX20_BUILD=$(B) $(PYTHON) tests/soak/mirror.py $$(($(SOAK_SECONDS) / 72))
.PHONY: soak

OUT ?= build/corpus
corpus: all ## record what mx20 says in hundreds of sessions: OUT=folder
	@MX20_BUILD=$(B) $(PYTHON) tests/corpus/corpus.py $(OUT)
.PHONY: corpus

bench: ## measure mx20 beside the mail servers found here (QUICK=1: 2 minutes)
	@tests/support/deps.sh test
	@tests/support/peers.sh exim4-daemon-light opensmtpd
	@$(MAKE) --no-print-directory -j$(JOBS) all bench-tools
	@PYTHONPATH=tests/bench $(PYTHON) tests/bench/bench.py
# Attacks: tests/attack.
$(B)/attack/tlsattack: tests/attack/tlsattack.c
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(XFLAGS) -o $@ $< -lssl -lcrypto
attack: ## every attack in turn, honest sessions measured beside it
	@tests/support/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) all $(B)/attack/tlsattack $(PRELOAD)
	@MX20_BUILD=$(B) $(PYTHON) tests/attack/attack.py
.PHONY: attack
bench-reload: $(B)/bench/bench_reload ## reload with 1M domains and 10M recipients
	$< shared
	$< each
bench-tools: $(BENCH) $(PRELOAD)
.PHONY: bench-tools bench-reload

objects: $(OBJ) $(CTLOBJ) $(SUPOBJ) $(patsubst %.c,$(B)/%.o,$(wildcard daemon/*.c))

check-unit: $(UNIT) ## run every unit test program
	@B=$(B) tests/support/run-unit.sh $(UNIT)

# Fuzz targets: with clang and libFuzzer under build/fuzz, else with a main of
# our own that replays files.
FUZZ_SECONDS ?= 600
FUZZLIBS := $(addprefix $(B)/tests/,fuzz/files.o fuzz/world.o support/naive.o) $(LIB)
FUZZMAIN := $(if $(findstring fuzzer,$(SAN)),,$(B)/tests/fuzz/replay.o)
$(FUZZ): $(B)/fuzz/%: $(B)/tests/fuzz/%.o $(FUZZMAIN) $(FUZZLIBS)
	@mkdir -p $(@D)
	$(call say,LD,$@)
	$(Q)$(CC) $(CFLAGS) $(XLDFLAGS) $(if $(FUZZMAIN),,-fsanitize=fuzzer) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)
# a connection without a socket, in the place of the library's
$(B)/fuzz/fuzz_delivery $(B)/fuzz/fuzz_relay $(B)/fuzz/fuzz_session: $(B)/tests/fuzz/fakeconn.o
$(B)/fuzz/fuzz_delivery $(B)/fuzz/fuzz_relay: $(B)/tests/fuzz/far.o
$(B)/fuzz/fuzz_relay: $(B)/tests/fuzz/door.o
-include $(patsubst %.c,$(B)/%.d,$(wildcard tests/fuzz/*.c))

fuzz-programs: $(FUZZ)
fuzz: ## fuzz each target for FUZZ_SECONDS=600; findings in tests/fuzz/regress
	@tests/support/deps.sh fuzz
	@$(MAKE) --no-print-directory CC=clang B=build/fuzz \
		SAN=fuzzer-no-link,address,undefined fuzz-programs
	@FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run.sh \
		$(FUZZSRC:tests/fuzz/%.c=build/fuzz/fuzz/%)

check-fuzz: $(FUZZ) ## replay every fuzzing seed and every crash once found
	@tests/fuzz/replay.sh $(FUZZ)
.PHONY: fuzz-programs check-fuzz

check-system: all $(BENCH) $(PRELOAD) ## the real daemon against real and scripted servers
	@MX20_BUILD=$(B) $(PYTHON) -m pytest -q -p no:cacheprovider -n 4 --timeout 300 \
		$(PYTESTFLAGS) tests/system

# The gate's share of `make check SAN=thread`, which takes longer.
RACES := $(addprefix tests/system/test_,intake_tls.py daemon.py tables.py \
           crash.py route_tls.py path.py proof.py mirror.py mirror_course.py \
           mirror_faults.py mirror_takeover.py)
# It reads the spool through a mapping of 1 TiB, for which ThreadSanitizer does
# not always leave a place.
RACES += --deselect \
	tests/system/test_daemon.py::test_check_tells_what_changes_and_what_waits
# Too long here, a minute the first; or of mx20ctl, which has no threads.
RACES += $(addprefix --deselect tests/system/test_mirror,\
           _course.py::test_joins_under_load .py::test_the_others_say_who_is_ill \
           .py::test_check_knows_the_mirror .py::test_check_is_silent_without_one)
check-races: ## modules where threads meet, under ThreadSanitizer
	@tests/support/deps.sh test
	@$(MAKE) --no-print-directory -j$(JOBS) SAN=thread all bench-tools
	@MX20_BUILD=build/thread $(PYTHON) -m pytest -q -p no:cacheprovider -n 4 \
		--timeout 300 $(RACES)
.PHONY: check-races

# Everything below DESTDIR; a configuration that is there already stays.
UNITDIR := lib/systemd/system
MAN5    := $(wildcard config/*.5)
MAN7    := $(wildcard daemon/*.7)
MAN8    := $(wildcard daemon/*.8 daemon/ctl/*.8)
SAMPLES := mx20.conf domains $(patsubst config/%,%,$(wildcard config/recipients/*))
# where Debian's zsh looks
ZSHDIR  := $(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
WATCHED := prometheus/mx20.rules.yml grafana/mx20.json icinga/mx20.conf
PUT     := install -D -m 644
install: all ## copy binaries, manuals, completion, units, samples and scripts
	install -D -m 755 build/mx20d "$(DESTDIR)$(PREFIX)/sbin/mx20d"
	install -D -m 755 build/mx20ctl "$(DESTDIR)$(PREFIX)/bin/mx20ctl"
	@set -ex; for m in $(MAN5); do \
		$(PUT) -t "$(DESTDIR)$(PREFIX)/share/man/man5" $$m; done
	@set -ex; for m in $(MAN7); do \
		$(PUT) -t "$(DESTDIR)$(PREFIX)/share/man/man7" $$m; done
	@set -ex; for m in $(MAN8); do \
		$(PUT) -t "$(DESTDIR)$(PREFIX)/share/man/man8" $$m; done
	$(PUT) contrib/completion/mx20ctl.bash \
		"$(DESTDIR)$(PREFIX)/share/bash-completion/completions/mx20ctl"
	$(PUT) contrib/completion/_mx20ctl \
		"$(DESTDIR)$(PREFIX)/share/zsh/$(ZSHDIR)/_mx20ctl"
	install -d "$(DESTDIR)$(PREFIX)/$(UNITDIR)"
	@set -ex; for u in $(notdir $(wildcard contrib/systemd/*)); do \
		sed 's|@PREFIX@|$(PREFIX)|' contrib/systemd/$$u \
		>"$(DESTDIR)$(PREFIX)/$(UNITDIR)/$$u"; done
	@set -ex; for d in sysusers.d tmpfiles.d; do $(PUT) \
		contrib/$$d/mx20.conf "$(DESTDIR)$(PREFIX)/lib/$$d/mx20.conf"; done
	@set -ex; for f in $(wildcard contrib/recipients/*); do \
		install -D -t "$(DESTDIR)$(PREFIX)/share/doc/mx20/recipients" \
		-m $$([ -x $$f ] && echo 755 || echo 644) $$f; done
	install -D -m 755 contrib/icinga/check_mx20 \
		"$(DESTDIR)$(PREFIX)/lib/nagios/plugins/check_mx20"
	@set -ex; for f in $(WATCHED); do $(PUT) \
		contrib/$$f "$(DESTDIR)$(PREFIX)/share/doc/mx20/$$f"; done
	@set -ex; for f in $(SAMPLES); do \
		[ -e "$(DESTDIR)/etc/mx20/$$f" ] || \
		$(PUT) config/$$f "$(DESTDIR)/etc/mx20/$$f"; done

deb: ## install what is missing and make a Debian package in build/deb
	@tests/support/deps.sh deb
	@contrib/make-deb $(VERSION) build/deb
check-package: ## lintian; install, send, upgrade, remove, purge in a Debian of its own
	@tests/support/deps.sh package
	@contrib/make-deb $(VERSION) build/deb
	@lintian --allow-root --display-info --fail-on error,warning,info build/deb/*.changes
	@$(PYTHON) tests/package/lifecycle.py build/deb/mx20_*.deb $(OLD)
.PHONY: deb check-package

LINTSRC = $(SRC) $(CTLSRC) $(wildcard daemon/*.c)
lint: objects ## layers, cppcheck and clang-tidy
	@.ci/layers
	@.ci/lint $(LINTSRC)

format: ## clang-format over every source file
	@clang-format -i $(LINTSRC) $(wildcard common/*/*.h config/*.h config/*/*.h daemon/*/*.h)
.PHONY: objects

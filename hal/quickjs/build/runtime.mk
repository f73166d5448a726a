# Builds the programs of an ECU for one architecture, and the compiler of bytecode for this machine:
#   make -f hal/quickjs/build/runtime.mk ARCH=x86_64 programs
# The results lie in out/bin, everything else in out/runtime; sources.sh has filled out/runtime/sources.
# Static with musl; sections that nothing uses are left out. CRYPTO=openssl links the machine's
# OpenSSL dynamically instead of BearSSL (ARCH=x86_64 only, with the C library of the machine).
# RUNTIME_RELEASE=N builds release N of the programs (kind `runtime`) into out/bin/ARCH/release-N.

comma := ,
ARCH ?= x86_64
OUT := out/bin
WORK := out/runtime
SOURCES := $(WORK)/sources
CRYPTO ?= bearssl
DEBIAN_ARCH := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(ARCH)))
ifeq ($(ARCH),armhf)
TRIPLET := arm-linux-gnueabihf
MUSL := arm-linux-musleabihf
else
TRIPLET := $(ARCH)-linux-gnu
MUSL := $(ARCH)-linux-musl
endif
HERE := hal/quickjs
TARGET := $(SOURCES)/$(DEBIAN_ARCH)/usr
OBJECTS := $(WORK)/objects/$(ARCH)$(if $(filter openssl,$(CRYPTO)),-openssl)
RUNTIME_RELEASE ?= 1
later-release := $(patsubst %,release-%,$(filter-out 1,$(RUNTIME_RELEASE)))
BIN := $(OUT)/$(ARCH)$(if $(filter openssl,$(CRYPTO)),-openssl)$(if $(later-release),/$(later-release))
QUICKJS := $(WORK)/quickjs
TOOLS := $(WORK)/quickjs-tools
FIPS := $(SOURCES)/aws-lc/crypto/fipsmodule

native := $(filter $(ARCH),$(shell uname -m))
CC := $(if $(native),gcc,$(TRIPLET)-gcc)
STRIP := $(if $(native),strip,$(TRIPLET)-strip)
kernel-headers := $(if $(native),-idirafter /usr/include/$(TRIPLET) -idirafter /usr/include,-idirafter /usr/$(TRIPLET)/include)

# mldsa-native and mlkem-native lie in folders of like names.
lattice = -isystem $(FIPS)/$(subst -,_,$(1))/$(subst -,,$(subst ml-dsa,mldsa,$(subst ml-kem,mlkem,$(1))))

warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes
common := -std=gnu11 -D_GNU_SOURCE -fwrapv -funsigned-char -ffunction-sections -fdata-sections \
  -fno-asynchronous-unwind-tables -fno-unwind-tables
# Values of 8 bytes on every machine (reduce-engine.pl): nothing of a program lies above 4 GiB.
values := -DJS_NAN_BOXING=1
ifeq ($(CRYPTO),openssl)
c-library :=
link = $(CC) -no-pie -Wl,--gc-sections -o $@ $^ $(TARGET)/lib/$(TRIPLET)/libbearssl.a -lcrypto -lm
else
c-library := -nostdinc -isystem $(TARGET)/include/$(MUSL) \
  -isystem $(shell $(CC) -print-file-name=include) $(kernel-headers)
crt = $(TARGET)/lib/$(MUSL)/$(1).o
gcc-file = $(shell $(CC) -print-file-name=$(1))
# The linker's map beside the objects tells `make size` what a program is made of.
link = $(CC) -static -no-pie -nostdlib -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack -Wl,-Map=$(OBJECTS)/$(@F)$(later-release).map -o $@ \
  $(call crt,crt1) $(call crt,crti) $(call gcc-file,crtbeginT.o) $(filter %.o,$^) \
  $(TARGET)/lib/$(TRIPLET)/libbearssl.a -L$(TARGET)/lib/$(MUSL) -Wl,--start-group -lc \
  $(call gcc-file,libgcc.a) $(call gcc-file,libgcc_eh.a) -Wl,--end-group \
  $(call gcc-file,crtend.o) $(call crt,crtn)
endif

engine := quickjs libregexp libunicode dtoa
host := $(patsubst $(HERE)/%.c,%,$(wildcard $(HERE)/engine/*.c $(HERE)/linux/*.c $(HERE)/tls/*.c))
crypto := crypto/keccak crypto/ml-dsa crypto/ml-kem crypto/slh-dsa crypto/hybrid-kem \
  crypto/wipe crypto/$(CRYPTO)
primary-only := engine/net engine/tls engine/vehicle linux/stream linux/vehicle \
  $(filter tls/%,$(host))
primary := $(host) $(crypto)
secondary := $(filter-out $(primary-only) engine/main,$(host)) $(crypto) engine/main-secondary

.PHONY: programs
programs: $(BIN)/ecu-primary $(BIN)/ecu-secondary

objects = $(patsubst %,$(OBJECTS)/%.o,$(1))

$(BIN)/ecu-primary: $(call objects,$(primary) $(engine) bootloader main release-$(RUNTIME_RELEASE))
	@mkdir -p $(@D)
	@$(link)
	@$(STRIP) $@

$(BIN)/ecu-secondary: $(call objects,$(secondary) $(engine) bootloader main release-$(RUNTIME_RELEASE))
	@mkdir -p $(@D)
	@$(link)
	@$(STRIP) $@

# The engine as changed for small heaps, and as this machine's tools have it. The folders are copies:
# Debian's package stays as it came. A copy that would come out as it is stays, too.
$(QUICKJS)/.prepared $(TOOLS)/.prepared: %/.prepared: $(SOURCES)/quickjs/quickjs.c \
    $(wildcard $(HERE)/build/*.pl) $(addprefix $(HERE)/build/,function-records.c named-properties.c short-list.h)
	@rm -rf $*.new && mkdir -p $*.new && cp $(SOURCES)/quickjs/*.[ch] $*.new/
	@perl $(HERE)/build/reduce-engine.pl $*.new $(if $(filter $(TOOLS),$*),tools)
	@diff -rq --exclude=.prepared $*.new $* >/dev/null 2>&1 || { rm -rf $* && mv $*.new $* && touch $@; }
	@rm -rf $*.new

$(call objects,$(engine)): $(OBJECTS)/%.o: $(QUICKJS)/.prepared
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -Os -w $(values) -DQUICKJS_NG_BUILD -DQJS_DISABLE_PARSER \
	  -c $(QUICKJS)/$*.c -o $@

host-includes := -isystem $(QUICKJS) -isystem $(TARGET)/include/bearssl
heap-flags := -DDEFAULT_HEAP_BYTES=$(or $(HEAP),524288)
$(OBJECTS)/engine/%.o: $(HERE)/engine/%.c $(wildcard $(HERE)/*/*.h) $(QUICKJS)/.prepared
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -O2 $(values) $(warnings) $(host-includes) $(heap-flags) -DPRIMARY -c $< -o $@

$(OBJECTS)/engine/main-secondary.o: $(HERE)/engine/main.c $(wildcard $(HERE)/*/*.h) $(QUICKJS)/.prepared
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -O2 $(values) $(warnings) $(host-includes) $(heap-flags) -c $< -o $@

$(OBJECTS)/linux/%.o: $(HERE)/linux/%.c $(wildcard $(HERE)/*/*.h)
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -O2 $(warnings) $(host-includes) -c $< -o $@

$(OBJECTS)/tls/%.o: $(HERE)/tls/%.c $(wildcard $(HERE)/*/*.h)
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -O2 $(warnings) $(host-includes) -c $< -o $@

$(OBJECTS)/crypto/%.o: $(HERE)/crypto/%.c $(wildcard $(HERE)/crypto/*.h)
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -O2 $(warnings) $(host-includes) -I$(HERE)/crypto \
	  $(if $(filter ml-%,$*),$(call lattice,$*)) -c $< -o $@

# -- Bytecode: compiled on this machine, runs on all ------------------------------------------------

HOST_OBJECTS := $(WORK)/objects/host
COMPILER := $(OUT)/bytecode-compiler

.PHONY: compiler
compiler: $(COMPILER)

$(HOST_OBJECTS)/%.o: $(TOOLS)/.prepared
	@mkdir -p $(@D)
	@gcc $(common) -O2 -w -DQUICKJS_NG_BUILD -c $(TOOLS)/$*.c -o $@

$(COMPILER): $(HERE)/build/bytecode-compiler.c $(patsubst %,$(HOST_OBJECTS)/%.o,$(engine))
	@mkdir -p $(@D)
	@gcc $(common) -O2 $(warnings) -isystem $(QUICKJS) -o $@ $^ -lm -lpthread

# The two programs in the binary.
in-binary := bootloader main

$(in-binary:%=$(WORK)/%.js): $(WORK)/%.js: $(shell find agent/install agent/codec hal -name '*.ts') agent/codes.ts agent/limits.ts
	@node_modules/.bin/esbuild hal/quickjs/$*.ts --bundle --format=iife --target=es2020 --minify \
	  --define:ECU_PROGRAM=true --platform=neutral --charset=ascii --log-level=warning --outfile=$@

$(in-binary:%=$(WORK)/%.bytecode): $(WORK)/%.bytecode: $(WORK)/%.js $(COMPILER)
	@$(COMPILER) $< $@

# An assembler program that takes in the file of the second name under the first; writable, since the
# engine binds names in it.
bytecode-assembly = .section .data\n.global $(1)_bytecode, $(1)_bytecode_size\n.balign \
  4\n$(1)_bytecode_size: .long end - $(1)_bytecode\n$(1)_bytecode: .incbin \
  "$(2).bytecode"\nend:\n.section .note.GNU-stack,"",%%progbits\n

$(call objects,$(in-binary)): $(OBJECTS)/%.o: $(WORK)/%.bytecode
	@mkdir -p $(@D)
	@cd $(WORK) && printf '$(call bytecode-assembly,$*,$*)' | $(CC) -x assembler -c - -o $(abspath $@)

# The release that the program is of: all that differs from one build to the next of the same sources.
release-source = printf 'extern const unsigned program_release;\nconst unsigned program_release = %s;\n'
$(OBJECTS)/release-%.o:
	@mkdir -p $(@D)
	@$(release-source) $* | $(CC) -x c -c - -o $@

# -- The native crypto as a program for tests (test/native), with this machine's C library -----------

PROVIDER := out/native
provider-units := engine/arguments engine/crypto crypto/keccak crypto/ml-dsa crypto/ml-kem \
  crypto/slh-dsa crypto/hybrid-kem crypto/wipe
engine-objects := $(patsubst %,$(HOST_OBJECTS)/%.o,$(engine))

.PHONY: provider-hosts
provider-hosts: $(addprefix $(PROVIDER)/provider-host-,bearssl openssl bearssl-sanitized)

# provider-host,VARIANT,CLASSICAL,FLAGS,LIBRARIES
define provider-host
$(PROVIDER)/$(1)/%.o: $(HERE)/%.c $(wildcard $(HERE)/*/*.h) $(QUICKJS)/.prepared
	@mkdir -p $$(@D)
	@gcc $(common) $(warnings) $(3) $(heap-flags) -DPRIMARY -isystem $(QUICKJS) \
	  -isystem /usr/include/bearssl -I$(HERE)/crypto \
	  $$(if $$(findstring crypto/ml-,$$*),$$(call lattice,$$(notdir $$*))) -c $$< -o $$@

$(PROVIDER)/$(1)/host.o: test/native/provider-host.c $(wildcard $(HERE)/*/*.h) $(QUICKJS)/.prepared
	@mkdir -p $$(@D)
	@gcc $(common) $(warnings) $(3) -isystem $(QUICKJS) -c $$< -o $$@

$(PROVIDER)/provider-host-$(1): $(patsubst %,$(PROVIDER)/$(1)/%.o,host $(provider-units) crypto/$(2)) \
    $(engine-objects)
	@gcc $(3) -o $$@ $$^ $(4) -lm -lpthread
endef
$(eval $(call provider-host,bearssl,bearssl,-O2,-l:libbearssl.a))
$(eval $(call provider-host,openssl,openssl,-O2,-lcrypto))
$(eval $(call provider-host,bearssl-sanitized,bearssl,-O1 -g -fsanitize=address$(comma)undefined \
  -fno-sanitize-recover=all,-l:libbearssl.a))

# -- Programs for tests: the host of the Primary, with sanitizers, and a script in main.ts's place

scripts := tls-client fuzz

.PHONY: script-hosts
.SECONDARY:
script-hosts: $(addprefix $(PROVIDER)/script-host-,$(scripts)) $(PROVIDER)/without-entropy \
  $(PROVIDER)/heap-exercise $(PROVIDER)/flash-exercise

$(PROVIDER)/without-entropy: test/native/without-entropy.c
	@mkdir -p $(@D)
	@gcc $(common) $(warnings) -O2 -o $@ $<

$(PROVIDER)/heap-exercise: test/native/heap-exercise.c $(HERE)/engine/heap.c $(wildcard $(HERE)/engine/*.h) $(QUICKJS)/.prepared
	@mkdir -p $(@D)
	@gcc $(common) $(warnings) -g -fsanitize=address,undefined -isystem $(QUICKJS) -o $@ $(filter %.c,$^)

$(PROVIDER)/flash-exercise: test/native/flash-exercise.c $(HERE)/linux/flash.c $(wildcard $(HERE)/engine/*.h)
	@mkdir -p $(@D)
	@gcc $(common) $(warnings) -g -fsanitize=address,undefined -o $@ $(filter %.c,$^)

$(PROVIDER)/bearssl-sanitized/malloc-heap.o: test/native/malloc-heap.c $(wildcard $(HERE)/engine/*.h) $(QUICKJS)/.prepared
	@mkdir -p $(@D)
	@gcc $(common) $(warnings) -g -fsanitize=address,undefined -isystem $(QUICKJS) -c $< -o $@

$(PROVIDER)/%.js: test/native/%.ts $(shell find agent hal test/simulator test/fuzz -name '*.ts')
	@node_modules/.bin/esbuild $< --bundle --format=iife --target=es2020 --platform=neutral \
	  --charset=ascii --log-level=warning --outfile=$@

$(PROVIDER)/%.bytecode: $(PROVIDER)/%.js $(COMPILER)
	@$(COMPILER) $< $@

$(PROVIDER)/script-%.o: $(PROVIDER)/%.bytecode
	@cd $(PROVIDER) && printf '$(call bytecode-assembly,main,$*)' | gcc -x assembler -c - -o $(abspath $@)

$(PROVIDER)/no-bootloader.js:
	@mkdir -p $(@D) && touch $@

$(PROVIDER)/no-bootloader.o: $(PROVIDER)/no-bootloader.bytecode
	@cd $(PROVIDER) && printf '$(call bytecode-assembly,bootloader,no-bootloader)' | gcc -x assembler -c - -o $(abspath $@)

$(PROVIDER)/release.o:
	@mkdir -p $(@D)
	@$(release-source) 1 | gcc -x c -c - -o $@

$(PROVIDER)/script-host-%: $(PROVIDER)/script-%.o $(PROVIDER)/no-bootloader.o $(PROVIDER)/release.o \
    $(patsubst %,$(PROVIDER)/bearssl-sanitized/%.o,\
    malloc-heap $(filter-out linux/fortify engine/heap,$(primary))) $(engine-objects)
	@gcc -fsanitize=address,undefined -o $@ $^ -l:libbearssl.a -lm -lpthread

# -- A Secondary's program that only installs, or verifies (`make bench`, `make bench-peers`), or calls functions

.PHONY: bench-programs function-records
function-records: $(BIN)/function-records

bench-programs: $(BIN)/bench-install $(BIN)/bench-verification $(BIN)/bench-floor $(PROVIDER)/bench-measure

$(BIN)/bench-install $(BIN)/bench-verification $(BIN)/function-records: $(BIN)/%: $(call objects,\
    $(secondary) $(engine) release-1) $(PROVIDER)/no-bootloader.o $(PROVIDER)/script-%.o
	@mkdir -p $(@D)
	@$(link)

$(OBJECTS)/bench-floor.o: test/native/bench-floor.c $(wildcard $(HERE)/*/*.h)
	@mkdir -p $(@D)
	@$(CC) $(common) $(c-library) -O2 $(warnings) -c $< -o $@

$(BIN)/bench-floor: $(call objects,bench-floor linux/flash linux/fortify $(crypto))
	@mkdir -p $(@D)
	@$(link)

$(PROVIDER)/bench-measure: test/native/bench-measure.c
	@mkdir -p $(@D)
	@gcc $(common) $(warnings) -O2 -o $@ $<

# -- The engine with its parser and the native crypto, for the agent's own tests (test/quickjs) ------

.PHONY: engine-host
engine-host: $(PROVIDER)/engine-host

$(PROVIDER)/engine-host.o: test/quickjs/engine-host.c $(wildcard $(HERE)/*/*.h) $(QUICKJS)/.prepared
	@mkdir -p $(@D)
	@gcc $(common) $(warnings) -O2 -isystem $(QUICKJS) -c $< -o $@

$(PROVIDER)/engine-host: $(PROVIDER)/engine-host.o $(engine-objects) \
    $(patsubst %,$(PROVIDER)/bearssl/%.o,$(provider-units) crypto/bearssl)
	@gcc -O2 -o $@ $^ -l:libbearssl.a -lm -lpthread

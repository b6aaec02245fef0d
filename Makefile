# Builds and installs: make && sudo make install
#
#   PREFIX    /usr/local unless set
#   LIBDIR    $(PREFIX)/lib unless set; distributions: $(PREFIX)/lib/TRIPLET, or $(PREFIX)/lib64
#   DESTDIR   a folder to install into in place of /
#   CARGO     cargo and its flags: make CARGO='cargo --offline'
#
# make uninstall takes away what make install has put there; deb and rpm make packages.

PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
CARGO ?= cargo
MANDIR = $(PREFIX)/share/man
CARGO_HOME ?= $(HOME)/.cargo
# A folder of its own: the flags below are not those of a plain cargo build.
export CARGO_TARGET_DIR ?= target/install
VERSION = $(shell sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml)

# The same sources give the same bytes wherever they, and the crates, are.
export RUSTFLAGS += --remap-path-prefix=$(CURDIR)=/epochsocks --remap-path-prefix=$(CARGO_HOME)=/cargo

LAUNCHER = $(CARGO_TARGET_DIR)/release/epochsocks
LIBRARY = libepochsocks_preload
REGISTRIES := $(shell src/preload/build-variants --list)
LIBRARIES = $(LIBRARY).so $(REGISTRIES:%=$(LIBRARY)-%.so)
DOCUMENTS = README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE packaging/THIRD-PARTY.txt
MANUAL = $(wildcard design/manual/*.md)
DOCDIR = $(PREFIX)/share/doc/epochsocks

# Source, target and mode of each installed file but the libraries.
define FILES
$(LAUNCHER) $(PREFIX)/bin/epochsocks 755
packaging/torsocks $(LIBDIR)/epochsocks/torsocks 755
packaging/man/epochsocks.1 $(MANDIR)/man1/epochsocks.1 644
packaging/man/epochsocks.conf.5 $(MANDIR)/man5/epochsocks.conf.5 644
packaging/man/epochsocks-preload.8 $(MANDIR)/man8/epochsocks-preload.8 644
packaging/completions/epochsocks.bash $(PREFIX)/share/bash-completion/completions/epochsocks 644
packaging/completions/_epochsocks $(PREFIX)/share/zsh/site-functions/_epochsocks 644
packaging/completions/epochsocks.fish $(PREFIX)/share/fish/vendor_completions.d/epochsocks.fish 644
packaging/epochsocks.conf $(DOCDIR)/epochsocks.conf 644
$(foreach file,$(DOCUMENTS),$(file) $(DOCDIR)/$(notdir $(file)) 644
)
$(foreach file,$(MANUAL),$(file) $(DOCDIR)/$(file) 644
)
$(foreach file,$(LIBRARIES),$(CARGO_TARGET_DIR)/release/$(file) $(LIBDIR)/epochsocks/$(file) 644
)
endef
export FILES

.PHONY: all release install uninstall deb rpm
all: release
	CARGO='$(CARGO)' src/preload/build-variants $(REGISTRIES)

# The launcher and the library with the default registry.
release:
	$(CARGO) build --release --locked

install:
	@test -e $(LAUNCHER) || { echo "first: make"; exit 1; }
	@echo "$$FILES" | while read -r source target mode; do \
	  [ -z "$$source" ] || install -D -m "$$mode" "$$source" "$(DESTDIR)$$target" || exit 1; \
	done
	@echo "installed: $(DESTDIR)$(PREFIX)/bin/epochsocks"

uninstall:
	@echo "$$FILES" | while read -r source target mode; do \
	  [ -z "$$source" ] || rm -f "$(DESTDIR)$$target"; \
	done
	@rmdir "$(DESTDIR)$(LIBDIR)/epochsocks" "$(DESTDIR)$(DOCDIR)/design/manual" \
	  "$(DESTDIR)$(DOCDIR)/design" "$(DESTDIR)$(DOCDIR)" 2>/dev/null || true

deb:
	dpkg-buildpackage --build=binary --no-sign

rpm:
	mkdir -p $(CARGO_TARGET_DIR)/rpm
	rpmbuild -bb --build-in-place --define "_topdir $(abspath $(CARGO_TARGET_DIR)/rpm)" \
	  --define "upstream_version $(VERSION)" packaging/epochsocks.spec

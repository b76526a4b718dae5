# The recipes behind `./dev`. They expect the tools that `./dev` installs.

set shell := ["sh", "-eu", "-c"]
set ignore-comments

export CARGO_TARGET_DIR := env("CARGO_TARGET_DIR", env("XDG_CACHE_HOME", env("HOME") / ".cache") / "cairn/target")

cairn := CARGO_TARGET_DIR / "debug/cairn"
demo_store := env("CAIRN_DEMO", env("HOME") / "cairn-demo")

# list the recipes
default:
    @just --list --unsorted

# build the program in the everyday profile
build:
    cargo build --bin cairn

# build, make the demo store, run invoice-chase to its first approval and show it
demo: build
    #!/bin/sh
    set -eu
    cairn='{{ cairn }}' store='{{ demo_store }}'
    if [ -e "$store/store.toml" ]; then
        echo "using the demo store $store (to start over, move it away or delete it)"
    else
        "$cairn" init --demo "$store"
    fi
    # piped tables have a line of headings and tabs between the columns
    first() { "$cairn" -C "$store" inbox ls 2>/dev/null | sed -n 2p | cut -f 1; }
    item=$(first)
    if [ -n "$item" ]; then
        "$cairn" -C "$store" inbox ls 2>/dev/null
    else
        code=0
        "$cairn" -C "$store" run start invoice-chase --wait || code=$?
        # 10: it waits for a person, which is where the demo wants to be
        [ "$code" = 0 ] || [ "$code" = 10 ] || exit "$code"
        item=$(first)
    fi
    if [ -t 0 ] && [ -t 1 ]; then
        # a kernel in the background carries out what is approved on the screen
        "$cairn" -C "$store" kernel start
        echo "it goes on when you leave the screen; stop it with: $cairn -C $store kernel stop"
        exec "$cairn" -C "$store"
    fi
    if [ -n "$item" ]; then
        shown=$("$cairn" -C "$store" inbox show "$item" 2>/dev/null)
        digest=$(printf '%s\n' "$shown" | sed -n 's/^digest *//p')
        printf '\n%s\n\n' "$shown"
        echo "To go on, in a shell:"
        echo "  alias cairn='$cairn -C $store'"
        echo "  cairn inbox approve $item --digest $digest --wait"
        echo "  cairn inbox deny $item --digest $digest -m 'they called' --wait"
        echo "  cairn inbox ls"
        echo "  git -C $store log -3 --format='%s%n%(trailers)'"
        echo "or open the interface in a terminal: $cairn -C $store"
    fi

# tests make stores; what a machine remembers of them stays out of the operator's home
test_home := CARGO_TARGET_DIR / "test-home"

# what CI checks; ends with the summary of the test runner
test: fmt-check lint walls deny doc lint-lance seeded-bugs sim crashpoints
    # Everything else in one build, with Lance: this is the program that ships, and a package
    # that Lance pulls in could switch on a feature (such as serde_json's key order) for all.
    rm -rf '{{ test_home }}'
    XDG_STATE_HOME='{{ test_home }}' cargo nextest run --workspace -E 'not (binary(sim) | binary(crashpoints))'

# the quick part: format, lints, walls and the tests that need no Lance
check: fmt-check lint walls
    XDG_STATE_HOME='{{ test_home }}' cargo nextest run --workspace --no-default-features

# seeds of the simulator; CAIRN_SIM_SEEDS=1000000 just sim is the long run
sim:
    CAIRN_SIM_SEEDS="${CAIRN_SIM_SEEDS:-10000}" cargo nextest run --package cairn --test sim --no-default-features

# bugs on purpose: each must be found within 1,000 seeds
seeded-bugs:
    cargo nextest run --package cairn --test sim --no-default-features --features seeded-bugs -- seeded_

# power cuts and failing calls at every change to a file, as many as CI tries
crashpoints:
    XDG_STATE_HOME='{{ test_home }}' cargo nextest run --package cairn --test crashpoints --no-default-features

# all images of all workloads, more random ones, each cut again; every way to fail at every call (hours)
crashpoints-long:
    CAIRN_CRASH_IMAGES=1000000000 CAIRN_CRASH_SUBSETS=32 CAIRN_CRASH_AGAIN=2 CAIRN_FAULT_WAYS=10 \
    cargo test --package cairn --test crashpoints --no-default-features -- --nocapture

# format the code
fmt:
    cargo fmt --all

# tell whether the code is formatted
fmt-check:
    cargo fmt --all --check

# lints, without Lance
lint:
    cargo clippy --workspace --all-targets --no-default-features -- -D warnings

# lints, with Lance
lint-lance:
    cargo clippy --workspace --all-targets -- -D warnings

# which crate may know which; links, headers and definitions of the demo
walls:
    cargo nextest run --package cairn --test walls --no-default-features

# examples in the documentation of the code
doc:
    cargo test --workspace --doc --no-default-features

# licences, banned packages and sources, when cargo-deny is installed
deny:
    @if command -v cargo-deny >/dev/null; then cargo deny --offline check bans licenses sources; \
    else echo "cargo-deny is not installed: skipped (cargo install cargo-deny --locked)"; fi

# known vulnerabilities; needs cargo-deny and a network
advisories:
    cargo deny check advisories

# dependencies that nothing uses; needs cargo-machete
unused:
    cargo machete

# accept changed snapshots after reading them; needs cargo-insta
review:
    cargo insta review

# measure an optimised build without Lance in a throw-away store here, e.g. `just bench steps --repeat 3`
bench *ARGS:
    cargo build --release --no-default-features --bin cairn
    "$CARGO_TARGET_DIR/release/cairn" bench {{ ARGS }}

# leaves Lance out of `just bench-memory`, which then builds in minutes instead of an hour: `just bench_features=--no-default-features bench-memory`
bench_features := ""

# measure memory in an optimised build beside SQLite and a plain scan, e.g. `just bench-memory --only quality`
bench-memory *ARGS:
    cargo build --release --package cairn-bench-memory {{ bench_features }}
    "$CARGO_TARGET_DIR/release/cairn-bench-memory" {{ ARGS }}

# an optimised build (about an hour on 2 cores)
release:
    cargo build --release --bin cairn
    @echo "{{ CARGO_TARGET_DIR / "release/cairn" }}"

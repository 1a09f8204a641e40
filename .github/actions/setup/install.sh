#!/usr/bin/env bash
# Installs cargo rootfs: from a prebuilt archive, verified by its digest, else from the sources beside this action.
# The package of that name on crates.io is another program: it is neither installed nor accepted.
set -euo pipefail

sources=$(cd "$(dirname "$0")/../../.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$sources/Cargo.toml" | head -n 1)
bin=${CARGO_HOME:-$HOME/.cargo}/bin

fail() {
  echo "::error title=cargo rootfs::$1"
  exit 1
}

is_ours() {
  [ -x "$bin/cargo-rootfs" ] &&
    [ "$("$bin/cargo-rootfs" --version 2> /dev/null)" = "cargo-rootfs $version" ] &&
    "$bin/cargo-rootfs" help pipelines > /dev/null 2>&1
}

if is_ours; then
  echo "cargo rootfs $version is there already"
elif [ -n "${ARCHIVE:-}" ]; then
  [ -n "${SHA256:-}" ] || fail "an archive needs its digest: sha256"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  case $ARCHIVE in
    https://*) curl --fail --location --silent --show-error --retry 5 --output "$work/archive" "$ARCHIVE" ;;
    *) cp "$ARCHIVE" "$work/archive" ;;
  esac
  echo "$SHA256  $work/archive" | sha256sum --check --quiet || fail "the archive is not the one with the digest $SHA256"
  mkdir -p "$bin"
  tar -xzf "$work/archive" -C "$work"
  found=$(find "$work" -name cargo-rootfs -type f | head -n 1)
  [ -n "$found" ] || fail "the archive holds no cargo-rootfs"
  install -m 755 "$found" "$bin/cargo-rootfs"
else
  cargo install --locked --force --path "$sources/cargo-rootfs"
fi

is_ours || fail "$bin/cargo-rootfs is not cargo rootfs $version"
echo "version=$version" >> "${GITHUB_OUTPUT:-/dev/null}"
echo "$bin" >> "${GITHUB_PATH:-/dev/null}"

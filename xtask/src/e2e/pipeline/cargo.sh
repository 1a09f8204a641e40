#!/bin/sh
# cargo, but for what would compile this project for minutes. The one of crates.io is another program.
case " $* " in
*' install '*' --git '*' --tag '*' cargo-rootfs '*)
  echo "stand-in for cargo $*: the program of the task"
  mkdir -p "${CARGO_HOME:-$HOME/.cargo}/bin"
  cp "$PROGRAM" "${CARGO_HOME:-$HOME/.cargo}/bin/cargo-rootfs"
  ;;
*' install --locked cargo-auditable '*) echo "stand-in for cargo $*" ;;
*' install '*)
  echo 'not from git' >&2
  exit 1
  ;;
' xtask release '*)
  echo "stand-in for cargo $*: an archive of the program of the task, or of a C program for arm64"
  version=$("$PROGRAM" --version | cut -d ' ' -f 2)
  name=cargo-rootfs-$version-$3
  mkdir -p "target/dist/$name"
  case $3 in
  x86_64-*) cp "$PROGRAM" "target/dist/$name/cargo-rootfs" ;;
  *) echo 'int main(void) { return 0; }' | aarch64-linux-gnu-gcc -static -x c -o "target/dist/$name/cargo-rootfs" - ;;
  esac
  tar -czf "target/dist/$name.tar.gz" -C target/dist "$name"
  rm -r "target/dist/$name"
  echo '- notes' > target/dist/NOTES.md
  ;;
*) exec "$REAL_CARGO" "$@" ;;
esac

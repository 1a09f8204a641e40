#!/bin/sh
# A script as a careful person writes it: careful.sh OUT.tar TOOL...
# Copies every tool and the files that ldd lists, once each, packs them in a stable order,
# and renames the archive when it is complete.
set -eu
out=$1
shift
stage=$(mktemp -d)
trap 'rm -rf "$stage" "$out.new"' EXIT

files=$(
    for tool in "$@"; do
        path=$(command -v "$tool") || { echo "careful.sh: $tool: not found" >&2; exit 1; }
        needs=$(ldd "$path") || { echo "careful.sh: $path: ldd failed" >&2; exit 1; }
        case $needs in
            *'not found'*) echo "careful.sh: $path: $needs" >&2; exit 1 ;;
        esac
        echo "$path"
        # "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", and only the loader's path on its line
        echo "$needs" | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p'
    done | sort -u
)
for file in $files; do
    mkdir -p "$stage/root$(dirname "$file")"
    cp -L --preserve=mode "$file" "$stage/root$file"
done
tar -C "$stage/root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$out.new" .
mv "$out.new" "$out"

# A script as a careful person writes it: ldd.sh SYSROOT ROOT TOOL...
# Copies every tool and the files that ldd lists, with the links on the way, and /bin, /lib as in the sysroot.
set -eu
sysroot=$1 root=$2
shift 2
in_sysroot() { chroot "$sysroot" "$@"; }

for link in bin sbin lib lib64; do
    if [ -L "$sysroot/$link" ]; then cp -a "$sysroot/$link" "$root/"; fi
done
for tool in "$@"; do
    path=$(in_sysroot sh -c 'command -v "$1"' sh "$tool") || { echo "ldd.sh: $tool: not found" >&2; exit 1; }
    echo "$path"
    # "libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x...)", and only the loader's path on its line; nothing for a script.
    in_sysroot ldd "$path" 2>/dev/null | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p'
done | sort -u | while read -r file; do
    while :; do
        folder=$(in_sysroot readlink -f "$(dirname "$file")")
        mkdir -p "$root$folder"
        cp -a "$sysroot$folder/$(basename "$file")" "$root$folder/"
        if [ ! -L "$sysroot$folder/$(basename "$file")" ]; then break; fi
        target=$(readlink "$sysroot$folder/$(basename "$file")")
        case $target in /*) file=$target ;; *) file=$folder/$target ;; esac
    done
done
